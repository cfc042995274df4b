"""Bonds seen in a geometry, to tell whether a relaxation kept the molecule it started from."""

from __future__ import annotations

import ase
import numpy as np
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

BOND_TOLERANCE = 1.2
"""A pair is bonded below this multiple of its summed covalent radii: above any stretched bond
(C-C 1.6 Å against 1.8), below hydrogen bonds (1.4 Å against 1.2) and diagonals of small rings."""


def bonds_of_geometry(numbers: np.ndarray, positions_angstrom: np.ndarray) -> set[tuple[int, int]]:
    """Bonded pairs (i, j), i < j, of a molecule.

    Args:
        numbers: (n_atoms,) atomic numbers.
        positions_angstrom: (n_atoms, 3).
    """
    positions = np.asarray(positions_angstrom, float)
    radii = covalent_radii[np.asarray(numbers, int)]
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=2)
    bonded = np.triu(distances < BOND_TOLERANCE * (radii[:, None] + radii[None]), k=1)
    return {(int(i), int(j)) for i, j in np.argwhere(bonded)}


def bonds_of_atoms(atoms: ase.Atoms) -> set[tuple[int, int]]:
    """Bonded pairs (i, j), i < j, of a molecule or, across its walls too, of a periodic cell."""
    if not atoms.pbc.any():
        return bonds_of_geometry(atoms.numbers, atoms.positions)
    reach = BOND_TOLERANCE * covalent_radii[atoms.numbers]
    first, second = neighbor_list("ij", atoms, reach)
    return {(int(i), int(j)) for i, j in zip(first, second, strict=True) if i < j}


def describe_change(
    expected: set[tuple[int, int]], found: set[tuple[int, int]], symbols: list[str]
) -> str | None:
    """What rearranged, in words such as ``O3-H9 broken``; None if nothing did."""

    def named(pairs: set[tuple[int, int]], what: str) -> list[str]:
        return [f"{symbols[i]}{i}-{symbols[j]}{j} {what}" for i, j in sorted(pairs)]

    changes = named(expected - found, "broken") + named(found - expected, "formed")
    return ", ".join(changes) or None
