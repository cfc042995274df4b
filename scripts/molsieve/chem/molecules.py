"""Molecules as RDKit sees them: one parser, one canonical identity.

The identity of a molecule is RDKit's canonical isomeric SMILES after isotope labels and atom map
numbers are dropped. Stereochemistry counts; tautomers count as different molecules (2-hydroxy-
1,4-naphthoquinone and 4-hydroxy-1,2-naphthoquinone are different electrolytes at the moment they
are drawn, whatever their equilibrium does later).
"""

from __future__ import annotations

from rdkit import Chem, rdBase


class MoleculeError(ValueError):
    """Not one closed-shell molecule; ``kind`` is unparsable, fragments or open_shell."""

    def __init__(self, kind: str, message: str):
        super().__init__(message)
        self.kind = kind


def parse_molecule(smiles: str) -> Chem.Mol:
    """The molecule of ``smiles``, isotopes and atom maps dropped, hydrogens implicit.

    Raises:
        MoleculeError: not a SMILES, attachment points left open, several fragments, radicals.
    """
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or molecule.GetNumAtoms() == 0:
        raise MoleculeError("unparsable", f"{smiles!r} is not a SMILES that RDKit can read")
    if "." in smiles and len(Chem.GetMolFrags(molecule)) > 1:
        raise MoleculeError("fragments", f"{smiles!r} holds several molecules")
    # Only bracket atoms carry labels, radicals or open attachment points.
    if "[" in smiles or "*" in smiles:
        molecule = _without_labels(molecule, smiles)
    return molecule


def _without_labels(molecule: Chem.Mol, smiles: str) -> Chem.Mol:
    labelled_hydrogen = False
    for atom in molecule.GetAtoms():
        if atom.GetAtomicNum() == 0:
            raise MoleculeError("unparsable", f"{smiles!r} has an open attachment point")
        if atom.GetNumRadicalElectrons():
            raise MoleculeError("open_shell", f"{smiles!r} is a radical")
        labelled_hydrogen |= atom.GetAtomicNum() == 1
        atom.SetIsotope(0)
        atom.SetAtomMapNum(0)
    # [2H] and [H:1] survive parsing as explicit atoms; once unlabelled they are plain hydrogens.
    molecule = Chem.RemoveHs(molecule) if labelled_hydrogen else molecule
    # A label can be all that made a centre stereogenic: CC([2H])O is ethanol.
    Chem.AssignStereochemistry(molecule, cleanIt=True, force=True)
    return molecule


def canonical_smiles(molecule: Chem.Mol | str) -> str:
    """The canonical identity of a molecule (or of a SMILES).

    Raises:
        MoleculeError: as :func:`parse_molecule`, for a SMILES.
    """
    if isinstance(molecule, str):
        molecule = parse_molecule(molecule)
    return str(Chem.MolToSmiles(molecule))
