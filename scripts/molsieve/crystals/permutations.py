"""The space group as permutations of a cell's atoms, for counting what is distinct under it.

Works on any cell of a framework, primitive, conventional or a supercell: pure translations of a
centred cell or a supercell are among the permutations.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.spatial import cKDTree

from molsieve.crystals.framework import SYMPREC_ANGSTROM, Framework, FrameworkError
from molsieve.crystals.symmetry import symmetry_of

LARGEST_MISS = 10.0
"""An operation may miss an atom by so many symmetry tolerances; T–O is a hundred times that."""


@lru_cache(maxsize=8)
def atom_permutations(
    framework: Framework, symprec_angstrom: float = SYMPREC_ANGSTROM
) -> np.ndarray:
    """The space group of this cell acting on its atoms: a group of G distinct permutations.

    Returns:
        (G, N) int32: operation g moves atom i onto atom ``[g, i]``. Read-only.

    Raises:
        FrameworkError: spglib finds no symmetry, or an operation that permutes no atoms.
    """
    symmetry = symmetry_of(framework, symprec_angstrom)
    scaled = _wrapped(framework.atoms.get_scaled_positions(wrap=False))
    tree = cKDTree(scaled, boxsize=1.0)
    rows = []
    for rotation, translation in zip(symmetry.rotations, symmetry.translations, strict=True):
        moved = _wrapped(scaled @ rotation.T + translation)
        _, nearest = tree.query(moved)
        _check(framework, moved - scaled[nearest], nearest, LARGEST_MISS * symprec_angstrom)
        rows.append(nearest)
    permutations = np.unique(np.array(rows, dtype=np.int32), axis=0)
    permutations.flags.writeable = False
    return permutations


def _wrapped(scaled: np.ndarray) -> np.ndarray:
    """Fractional coordinates in [0, 1)."""
    inside = scaled % 1.0
    return np.where(inside >= 1.0, 0.0, inside)  # -1e-17 % 1.0 is 1.0


def _check(
    framework: Framework, apart: np.ndarray, nearest: np.ndarray, largest_angstrom: float
) -> None:
    """Refuse an operation that moves an atom beside every other; ``apart`` (N, 3) fractional."""
    missed = np.linalg.norm((apart - np.round(apart)) @ framework.atoms.cell.array, axis=1)
    numbers = framework.atoms.numbers
    whole = len(np.unique(nearest)) == len(nearest) and (numbers[nearest] == numbers).all()
    if missed.max() > largest_angstrom or not whole:
        raise FrameworkError(
            f"{framework.name}: a symmetry operation misses an atom by {missed.max():.3f} Å; "
            "use another symmetry tolerance"
        )


def restricted(permutations: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The action on a set of atoms that the group maps onto itself: (G', n) int32, distinct rows.

    Args:
        permutations: (G, N) of atoms.
        index: (n,) the atoms, in the order that numbers them 0 … n - 1.
    """
    number = np.full(permutations.shape[1], -1, dtype=np.int32)
    number[index] = np.arange(len(index), dtype=np.int32)
    return np.unique(number[permutations[:, index]], axis=0)


def stabiliser(permutations: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The subgroup (G', n) that keeps the label (n,) of every site."""
    return permutations[(labels[permutations] == labels).all(axis=1)]
