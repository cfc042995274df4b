"""What makes a periodic structure a sound tetrahedral framework, and its T–O bonds.

A sound framework: every T atom has four oxygens, every framework oxygen two T atoms, nothing
overlaps, hydrogen sits on an oxygen, and nothing is there but T atoms, oxygen, hydrogen and
metal cations. Lengths in Å.
"""

from __future__ import annotations

from dataclasses import dataclass

import ase
import numpy as np
from ase.data import atomic_numbers, chemical_symbols, covalent_radii
from matscipy.neighbours import neighbour_list

from molsieve.chem.connectivity import BOND_TOLERANCE
from molsieve.crystals.periodic_clusters import PeriodicClusters

T_ELEMENTS = (
    *("Si", "Al", "Ge", "B", "P", "Ga", "Fe", "Zn", "Be", "Ti", "Sn"),
    *("Zr", "Hf", "V", "Co", "Mn", "Ni", "Cu", "Cr", "As", "In"),
)
"""Elements taken as tetrahedral atoms: silica, its heteroatoms and the AlPO family's."""
CATION_ELEMENTS = ("Li", "Na", "K", "Rb", "Cs", "Mg", "Ca", "Sr", "Ba", "Ag", "Tl")
"""Elements taken as charge-compensating cations in the pores."""
T_NUMBERS = np.array([atomic_numbers[symbol] for symbol in T_ELEMENTS])
CATION_NUMBERS = np.array([atomic_numbers[symbol] for symbol in CATION_ELEMENTS])

CLOSEST_ANGSTROM = {
    ("T", "O"): 1.20,
    ("T", "T"): 2.00,
    ("O", "O"): 1.90,
    ("cation", "O"): 1.40,
    ("cation", "T"): 1.60,
    ("cation", "cation"): 1.60,
}
"""Pairs nearer than this overlap: about 0.4 Å below the shortest such distance in an ordinary
structure (B–O 1.47, edge-sharing T···T 2.4, O···O in BO4 2.4, Li–O 1.9)."""
CLOSEST_HYDROGEN_ANGSTROM = 0.70
"""The same for hydrogen and anything (O–H 0.96)."""
LABELS = "labels"
"""Array of an :class:`ase.Atoms` with the names that messages use, such as a CIF file's labels."""
HYDROXYL_ANGSTROM = 1.25
"""Longest bond from a framework oxygen to its proton."""


class FrameworkError(ValueError):
    """The structure is no framework that can be screened; the message says which atom and why."""


@dataclass(frozen=True, eq=False)
class Bonds:
    """Periodic T–O bonds, B of them, sorted by T atom, then oxygen, then image.

    Attributes:
        t: (B,) int, index of the T atom in its :class:`ase.Atoms`.
        o: (B,) int, index of the oxygen.
        image: (B, 3) int, lattice vectors added to the oxygen:
            ``position[o] + image @ cell - position[t]`` is the bond.
    """

    t: np.ndarray
    o: np.ndarray
    image: np.ndarray


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Ordered pairs (i, j, image of j) nearer than the longest bond, and their lengths in Å."""

    i: np.ndarray
    j: np.ndarray
    image: np.ndarray
    length: np.ndarray


def kinds_of(numbers: np.ndarray) -> np.ndarray:
    """Each atom's kind (N,): ``T``, ``O``, ``H``, ``cation`` or ``guest`` (anything else)."""
    kinds = np.full(len(numbers), "guest", dtype="<U6")
    kinds[np.isin(numbers, T_NUMBERS)] = "T"
    kinds[np.isin(numbers, CATION_NUMBERS)] = "cation"
    kinds[numbers == 8] = "O"
    kinds[numbers == 1] = "H"
    return kinds


def sound_bonds(atoms: ase.Atoms) -> Bonds:
    """The T–O bonds of a framework that is sound.

    Raises:
        FrameworkError: it is not; the message names the atom and what is wrong with it.
    """
    _check_cell(atoms)
    kinds = kinds_of(atoms.numbers)
    _check_elements(atoms, kinds)
    pairs = _near_pairs(atoms)
    _check_overlaps(atoms, kinds, pairs)
    bonds = _tetrahedral_bonds(atoms, kinds, pairs)
    _check_coordination(atoms, kinds, bonds)
    _check_hydrogens(atoms, kinds, pairs)
    _check_dimensionality(atoms, bonds)
    return bonds


def atom_name(atoms: ase.Atoms, index: int) -> str:
    """An atom as a message names it: its label (or symbol and place from 1), and where it is."""
    x, y, z = atoms.get_scaled_positions(wrap=True)[index] % 1.0
    symbol = chemical_symbols[atoms.numbers[index]]
    labels = atoms.arrays.get(LABELS)
    name = f"{symbol} atom {index + 1}" if labels is None else str(labels[index])
    return f"{name} at ({x:.4f}, {y:.4f}, {z:.4f})"


def _check_cell(atoms: ase.Atoms) -> None:
    """Refuse what is empty or not periodic in three directions."""
    if len(atoms) == 0:
        raise FrameworkError("the structure has no atoms")
    if not np.isfinite(atoms.positions).all() or not np.isfinite(atoms.cell.array).all():
        raise FrameworkError("coordinates or cell hold values that are not numbers")
    if not atoms.pbc.all() or atoms.cell.volume < 1.0:
        raise FrameworkError("the structure is not periodic in three directions")


def _check_elements(atoms: ase.Atoms, kinds: np.ndarray) -> None:
    """Refuse guests, and structures without T atoms or oxygens."""
    foreign = np.flatnonzero(kinds == "guest")
    if len(foreign):
        found = sorted({chemical_symbols[n] for n in atoms.numbers[foreign]})
        raise FrameworkError(
            f"{atom_name(atoms, foreign[0])} is neither a T atom, oxygen, hydrogen nor a cation "
            f"({len(foreign)} such atoms: {', '.join(found)}): a guest, or an element that is "
            "not known in a framework"
        )
    for kind, word in (("T", "T atom (Si, Al, Ge, …)"), ("O", "oxygen")):
        if not (kinds == kind).any():
            raise FrameworkError(f"the structure has no {word}")


def _near_pairs(atoms: ase.Atoms) -> _Pairs:
    """All pairs within the longest T–O bond that an element in the structure can have."""
    longest = BOND_TOLERANCE * (covalent_radii[np.unique(atoms.numbers)].max() + covalent_radii[8])
    i, j, length, image = neighbour_list("ijdS", atoms, float(longest))
    return _Pairs(i, j, image, length)


def _check_overlaps(atoms: ase.Atoms, kinds: np.ndarray, pairs: _Pairs) -> None:
    """Refuse the nearest pair that is nearer than atoms of its kinds can be."""
    first, second = kinds[pairs.i], kinds[pairs.j]
    limit = np.zeros(len(pairs.i))
    for (one, other), angstrom in CLOSEST_ANGSTROM.items():
        pair = ((first == one) & (second == other)) | ((first == other) & (second == one))
        limit[pair] = angstrom
    limit[(first == "H") | (second == "H")] = CLOSEST_HYDROGEN_ANGSTROM
    too_near = np.flatnonzero(pairs.length < limit)
    if len(too_near):
        worst = too_near[np.argmin(pairs.length[too_near])]
        raise FrameworkError(
            f"{atom_name(atoms, pairs.i[worst])} and {atom_name(atoms, pairs.j[worst])} overlap: "
            f"{pairs.length[worst]:.2f} Å apart, at least {limit[worst]:.2f} Å expected"
        )


def _tetrahedral_bonds(atoms: ase.Atoms, kinds: np.ndarray, pairs: _Pairs) -> Bonds:
    """Pairs of T and O within :data:`BOND_TOLERANCE` times their summed covalent radii."""
    radii = covalent_radii[atoms.numbers]
    near = pairs.length < BOND_TOLERANCE * (radii[pairs.i] + radii[pairs.j])
    chosen = np.flatnonzero((kinds[pairs.i] == "T") & (kinds[pairs.j] == "O") & near)
    t, o, image = pairs.i[chosen], pairs.j[chosen], pairs.image[chosen]
    order = np.lexsort((*image.T[::-1], o, t))
    return Bonds(t[order].astype(int), o[order].astype(int), image[order].astype(int))


def _check_coordination(atoms: ase.Atoms, kinds: np.ndarray, bonds: Bonds) -> None:
    """Refuse a T atom without four oxygens, an oxygen without two T atoms."""
    of_t = np.bincount(bonds.t, minlength=len(atoms))
    of_o = np.bincount(bonds.o, minlength=len(atoms))
    wrong_t = np.flatnonzero((kinds == "T") & (of_t != 4))
    if len(wrong_t):
        raise FrameworkError(_t_message(atoms, wrong_t, of_t))
    wrong_o = np.flatnonzero((kinds == "O") & (of_o != 2))
    if len(wrong_o):
        raise FrameworkError(_o_message(atoms, wrong_o, of_o))


def _t_message(atoms: ase.Atoms, wrong: np.ndarray, count: np.ndarray) -> str:
    """Why T atoms are refused."""
    reason = "oxygens are missing" if count[wrong[0]] < 4 else "it is no tetrahedron"
    return (
        f"{atom_name(atoms, wrong[0])} has {count[wrong[0]]} oxygen neighbours instead of 4: "
        f"{reason}{_others(wrong, 'T atom')}"
    )


def _o_message(atoms: ase.Atoms, wrong: np.ndarray, count: np.ndarray) -> str:
    """Why oxygens are refused."""
    reason = {0: "water or another guest", 1: "a terminal oxygen of an interrupted framework"}
    return (
        f"{atom_name(atoms, wrong[0])} bonds to {count[wrong[0]]} T atoms instead of 2: "
        f"{reason.get(int(count[wrong[0]]), 'it joins too many T atoms')}"
        f"{_others(wrong, 'oxygen')}"
    )


def _check_hydrogens(atoms: ase.Atoms, kinds: np.ndarray, pairs: _Pairs) -> None:
    """Refuse hydrogen that is not on exactly one oxygen."""
    near = (kinds[pairs.i] == "H") & (kinds[pairs.j] == "O") & (pairs.length < HYDROXYL_ANGSTROM)
    count = np.bincount(pairs.i[near], minlength=len(atoms))
    wrong = np.flatnonzero((kinds == "H") & (count != 1))
    if len(wrong):
        raise FrameworkError(
            f"{atom_name(atoms, wrong[0])} has {count[wrong[0]]} oxygens within "
            f"{HYDROXYL_ANGSTROM} Å instead of 1: it is no proton of the framework"
            f"{_others(wrong, 'hydrogen')}"
        )


def _check_dimensionality(atoms: ase.Atoms, bonds: Bonds) -> None:
    """Refuse layers, chains and molecules: a part that is not endless in three directions."""
    clusters = PeriodicClusters(len(atoms))
    for t, o, image in zip(bonds.t.tolist(), bonds.o.tolist(), bonds.image.tolist(), strict=True):
        clusters.join(t, o, image)
    for t in np.unique(bonds.t).tolist():
        dimensionality = clusters.dimensionality(t)
        if dimensionality < 3:
            part = ("molecule", "chain", "layer")[dimensionality]
            raise FrameworkError(
                f"{atom_name(atoms, t)} belongs to a {part}, linked through oxygens in "
                f"{dimensionality} directions instead of 3: no framework"
            )


def _others(wrong: np.ndarray, word: str) -> str:
    """How many more atoms share a fault."""
    return f" ({len(wrong)} {word}s like this)" if len(wrong) > 1 else ""
