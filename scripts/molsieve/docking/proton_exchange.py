"""What a cation leaves when a proton takes its place in a framework: a neutral molecule.

A cation C+ that balances aluminium is compared by an exchange of neutral things only,

    H-framework + B → C-framework,    B = C+ less one proton for each charge,

so that no energy of a charged cell, nor of a charge in a vacuum, is ever asked for.
"""

from __future__ import annotations

from collections import Counter

from rdkit import Chem

from molsieve.chem.molecules import MoleculeError, parse_molecule
from molsieve.docking.guests import GuestError


def exchange_base(smiles: str) -> str:
    """The neutral molecule B of a cation, canonical; a neutral molecule is its own.

    Charges that cancel on bonded neighbours (nitro groups, N-oxides) are left alone. Of each other:

    1. an onium atom that carries hydrogen gives up one proton: its amine (``C[NH3+]`` → ``CN``);
    2. one that carries none hands a substituent to a carbon beside it, which gives up a proton:
       the isomer that the [1,2] rearrangement of Stevens gives (``C[N+](C)(C)C`` → ``CCN(C)C``;
       Stevens et al., J. Chem. Soc. 3193 (1928)), of an N-alkylpyridinium that of Ladenburg
       (a 2-alkylpyridine).

    ASSUME: for 2 any neutral isomer would balance the atoms, and shifts the binding energies of
    one guest by the same amount in every framework. This one is a stable molecule with the bonds of
    the cation but one, so the shift is that between two isomers, not one of charges.

    Raises:
        GuestError: no SMILES of one closed-shell molecule, an anion, or no such rearrangement.
    """
    try:
        cation = parse_molecule(smiles)
    except MoleculeError as error:
        raise GuestError(f"guest {smiles}: {error}") from error
    molecule = Chem.RWMol(cation)
    Chem.Kekulize(molecule, clearAromaticFlags=True)
    for atom in molecule.GetAtoms():  # so that no edit leaves hydrogens to be guessed
        hydrogens = atom.GetTotalNumHs()
        atom.SetNoImplicit(True)
        atom.SetNumExplicitHs(hydrogens)
    for index in [atom.GetIdx() for atom in molecule.GetAtoms() if _charged(atom)]:
        _neutralise(molecule, index, smiles)
    try:
        Chem.SanitizeMol(molecule)
    except ValueError as error:
        raise GuestError(f"guest {smiles}: without its protons it is no molecule") from error
    base = Chem.CanonSmiles(Chem.MolToSmiles(molecule))
    charge = Chem.GetFormalCharge(cation)
    if atom_counts(base) + Counter({1: charge}) != atom_counts(smiles):
        raise GuestError(f"guest {smiles}: {base} is not it less {charge} protons")
    return base


def atom_counts(smiles: str) -> Counter[int]:
    """Atoms of a molecule by atomic number, hydrogens included."""
    return Counter(atom.GetAtomicNum() for atom in Chem.AddHs(parse_molecule(smiles)).GetAtoms())


def _charged(atom: Chem.Atom) -> bool:
    """Whether an atom has a charge that no bonded neighbour cancels."""
    charge = atom.GetFormalCharge()
    return bool(charge) and all(n.GetFormalCharge() * charge >= 0 for n in atom.GetNeighbors())


def _neutralise(molecule: Chem.RWMol, index: int, smiles: str) -> None:
    onium = molecule.GetAtomWithIdx(index)
    if onium.GetFormalCharge() != 1:
        raise GuestError(
            f"guest {smiles}: {onium.GetSymbol()} with charge {onium.GetFormalCharge():+d}; a "
            "framework's aluminium balances cations of single charges only"
        )
    if onium.GetNumExplicitHs():
        _take_proton(onium)
    else:
        moved, carbon = _rearrangement(molecule, index, smiles)
        molecule.RemoveBond(index, moved)
        molecule.AddBond(carbon, moved, Chem.BondType.SINGLE)
        _take_proton(molecule.GetAtomWithIdx(carbon))
        for atom in (onium, molecule.GetAtomWithIdx(moved)):
            atom.SetChiralTag(Chem.ChiralType.CHI_UNSPECIFIED)
        Chem.FastFindRings(molecule)
    onium.SetFormalCharge(0)


def _take_proton(atom: Chem.Atom) -> None:
    atom.SetNumExplicitHs(atom.GetNumExplicitHs() - 1)
    atom.SetChiralTag(Chem.ChiralType.CHI_UNSPECIFIED)


def _rearrangement(molecule: Chem.RWMol, index: int, smiles: str) -> tuple[int, int]:
    """The substituent that moves and the carbon that takes it: the least disturbance.

    Substituents outside rings first, small ones, then carbons of many hydrogens, so that no
    stereocentre is made where none need be.
    """
    molecule.UpdatePropertyCache(strict=False)
    rank = list(Chem.CanonicalRankAtoms(molecule))
    rings = [set(ring) for ring in molecule.GetRingInfo().AtomRings()]
    found = []
    for moved in molecule.GetAtomWithIdx(index).GetNeighbors():
        bond = molecule.GetBondBetweenAtoms(index, moved.GetIdx())
        if bond.GetBondType() != Chem.BondType.SINGLE or moved.GetAtomicNum() != 6:
            continue
        for carbon in molecule.GetAtomWithIdx(index).GetNeighbors():
            pair = {moved.GetIdx(), carbon.GetIdx()}
            if len(pair) < 2 or carbon.GetAtomicNum() != 6 or not carbon.GetNumExplicitHs():
                continue
            if molecule.GetBondBetweenAtoms(*pair) is not None:
                continue
            order = (
                any({index, moved.GetIdx()} <= ring for ring in rings),
                any(pair <= ring for ring in rings),
                moved.GetDegree(),
                -carbon.GetNumExplicitHs(),
                rank[moved.GetIdx()],
                rank[carbon.GetIdx()],
            )
            found.append((order, moved.GetIdx(), carbon.GetIdx()))
    if not found:
        raise GuestError(
            f"guest {smiles}: {molecule.GetAtomWithIdx(index).GetSymbol()}+ has no proton to give "
            "and no carbon with hydrogen beside it: no neutral molecule to compare it with"
        )
    return min(found)[1:]
