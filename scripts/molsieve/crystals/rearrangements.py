"""What became of the bonds of a framework, a guest or a complex on relaxation.

Three answers: the same; a proton moved between atoms that are no carbon (an acid site and an amine
may well do so: told, not refused); another substance. Contacts of cations and boron's bond to a
protonated oxygen, which opens on relaxation (Fild et al., Phys. Chem. Chem. Phys. 2, 3091 (2000)),
are no bonds here, in crystals; in a molecule they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import ase
import numpy as np

from molsieve.chem.connectivity import bonds_of_atoms, describe_change
from molsieve.crystals.soundness import CATION_NUMBERS

HYDROGEN, BORON, CARBON, OXYGEN = 1, 5, 6, 8


@dataclass(frozen=True)
class Rearrangement:
    """Bonds that broke or formed: ``text`` such as ``N24-H25 broken``; only protons moved, or not.

    ``proton`` False: it is another substance now.
    """

    text: str
    proton: bool


def rearrangement(before: ase.Atoms, after: ase.Atoms) -> Rearrangement | None:
    """What happened to the bonds between two geometries of the same atoms; None: nothing did."""
    expected, found = (_bonds(atoms) for atoms in (before, after))
    text = describe_change(expected, found, before.get_chemical_symbols())
    if text is None:
        return None
    numbers = before.numbers
    changed = expected ^ found
    protons = {k for pair in changed for k in pair if numbers[k] == HYDROGEN}
    held = protons <= {k for pair in found for k in pair}
    proton = held and all(_is_proton_bond(numbers[i], numbers[j]) for i, j in changed)
    return Rearrangement(text, proton)


def _bonds(atoms: ase.Atoms) -> set[tuple[int, int]]:
    numbers = atoms.numbers
    bonds = bonds_of_atoms(atoms)
    if not atoms.pbc.any():
        return set(bonds)
    return {(i, j) for i, j in bonds if _is_bond(numbers[i], numbers[j])}


def _is_bond(one: int, other: int) -> bool:
    if {one, other} == {BORON, OXYGEN}:
        return False
    return not np.isin([one, other], CATION_NUMBERS).any()


def _is_proton_bond(one: int, other: int) -> bool:
    return (one == HYDROGEN) != (other == HYDROGEN) and CARBON not in (one, other)
