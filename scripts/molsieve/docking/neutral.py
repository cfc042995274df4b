"""Neutral analogues of charged guests, so that binding energies need no charged cell."""

from __future__ import annotations

from rdkit import Chem

from molsieve.chem.molecules import MoleculeError, parse_molecule
from molsieve.docking.guests import GuestError

ISOELECTRONIC = {"N": "C", "P": "Si", "O": "N", "S": "P", "As": "Ge"}
"""A cation without a proton to give becomes the element to its left: as many electrons and bonds,
one nuclear charge less."""


def neutral_analogue(smiles: str) -> str:
    """The neutral molecule that stands for a charged guest, canonical; neutral ones unchanged.

    The rule, atom by atom, charges that cancel on bonded neighbours (nitro groups, N-oxides,
    ylides) left alone:

    1. an onium atom that carries hydrogen gives up one proton (``C[NH3+]`` → ``CN``);
    2. one that carries none becomes its isoelectronic left neighbour, with the same bonds
       (``C[N+](C)(C)C`` → ``CC(C)(C)C``; an imidazolium's or pyridinium's ``[n+]`` → ``c``);
    3. an anionic atom takes up one proton (``CC(=O)[O-]`` → ``CC(=O)O``).

    ASSUME: shape and dispersion decide binding in pure silica. That is what charge-free
    force-field screening of quaternary ammonium guests rests on (Lewis, Freeman and Catlow,
    J. Phys. Chem. 99, 11194 (1995); Schwalbe-Koda et al., Science 374, 308 (2021), Dreiding
    without charges). The isoelectronic exchange is this project's way of doing the same with a
    quantum-chemical level, which cannot leave charges out; no published rule was found.

    Raises:
        GuestError: no SMILES of one closed-shell molecule, or a charge that the rule cannot remove.
    """
    try:
        molecule = Chem.RWMol(parse_molecule(smiles))
    except MoleculeError as error:
        raise GuestError(f"guest {smiles}: {error}") from error
    for atom in list(molecule.GetAtoms()):
        if atom.GetFormalCharge() and not _cancelled(atom):
            _neutralise(atom, smiles)
    try:
        Chem.SanitizeMol(molecule)
    except ValueError as error:
        raise GuestError(f"guest {smiles}: its neutral analogue is no molecule: {error}") from error
    if Chem.GetFormalCharge(molecule) != 0:
        raise GuestError(f"guest {smiles}: the rule of neutral analogues leaves a charge")
    return Chem.CanonSmiles(Chem.MolToSmiles(molecule))


def _cancelled(atom: Chem.Atom) -> bool:
    charges = [neighbour.GetFormalCharge() for neighbour in atom.GetNeighbors()]
    return any(charge * atom.GetFormalCharge() < 0 for charge in charges)


def _neutralise(atom: Chem.Atom, smiles: str) -> None:
    charge, hydrogens = atom.GetFormalCharge(), atom.GetTotalNumHs()
    if charge == 1 and hydrogens > 0:
        hydrogens -= 1
    elif charge == 1 and atom.GetSymbol() in ISOELECTRONIC:
        left = ISOELECTRONIC[atom.GetSymbol()]
        atom.SetAtomicNum(Chem.GetPeriodicTable().GetAtomicNumber(left))
    elif charge == -1:
        hydrogens += 1
    else:
        raise GuestError(
            f"guest {smiles}: no neutral analogue of {atom.GetSymbol()} with charge {charge:+d}"
        )
    atom.SetFormalCharge(0)
    atom.SetNoImplicit(True)
    atom.SetNumExplicitHs(hydrogens)
