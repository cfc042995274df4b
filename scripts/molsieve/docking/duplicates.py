"""Which poses are one pose: the same but for the framework's symmetry and the guest's own. Å."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from molsieve.docking.hosts import Symmetry

NUMBERS_AT_ONCE = 3_000_000


def distinct(
    positions: np.ndarray,
    automorphisms: np.ndarray,
    symmetry: Symmetry,
    surroundings: np.ndarray,
    tolerance_angstrom: float,
    most: int,
) -> list[int]:
    """Numbers of up to ``most`` poses that no earlier one equals.

    Two poses are one if the root mean square distance of their heavy atoms, the least over space
    group operations, lattice vectors and automorphisms of the molecule, is within the tolerance.
    Bounds spare most of the work: such poses have their middles within the tolerance, and their
    surroundings too (a distance to the framework changes by no more than the atom moves).

    Args:
        positions: (P, n, 3), best first.
        automorphisms: (A, h) heavy-atom orders of the guest.
        symmetry: modulo the cell that the poses are in.
        surroundings: (P, n, F) distances of each atom to its F nearest framework atoms.
    """
    heavy = positions[:, automorphisms[0]]
    middles = heavy.mean(axis=1)
    # Sorted over atoms: no order of the atoms brings two such lists nearer.
    met = np.sort(surroundings[:, automorphisms[0]], axis=1)
    free = np.ones(len(positions), dtype=bool)
    chosen: list[int] = []
    for k in range(len(positions)):
        if len(chosen) == most:
            break
        if not free[k]:
            continue
        chosen.append(k)
        rest = np.flatnonzero(free[k + 1 :]) + k + 1
        bound = np.sqrt(np.mean((met[rest] - met[k]) ** 2, axis=1)).max(axis=1)
        rest = rest[bound <= tolerance_angstrom]
        for part in np.array_split(rest, 1 + len(rest) * len(symmetry.rotations) // 500_000):
            images = symmetry.images(positions[k])
            at, operation, shift = _near_middles(
                middles[part],
                images[:, automorphisms[0]].mean(axis=1),
                symmetry,
                tolerance_angstrom,
            )
            found = _least_rms(heavy[part[at]], images[operation], shift, automorphisms)
            free[part[at[found <= tolerance_angstrom]]] = False
    return chosen


def different_images(
    pose: np.ndarray, automorphisms: np.ndarray, symmetry: Symmetry, tolerance_angstrom: float
) -> np.ndarray:
    """(G,) mask of operations whose image of a pose (n, 3) no earlier one gives.

    A pose on a symmetry element is its own image, atoms of a kind exchanged.
    """
    images = symmetry.images(pose)
    middles = images[:, automorphisms[0]].mean(axis=1)
    new = np.ones(len(images), dtype=bool)
    for k in range(len(images)):
        if new[k]:
            apart = middles[k + 1 :] - middles[k]
            shift = _lattice_shift(apart, symmetry)
            near = np.linalg.norm(apart - shift, axis=1) <= tolerance_angstrom
            later = np.flatnonzero(near & new[k + 1 :]) + k + 1
            heavy = images[later][:, automorphisms[0]]
            here = np.repeat(images[k][None], len(later), axis=0)
            found = _least_rms(heavy, here, shift[later - k - 1], automorphisms)
            new[later[found <= tolerance_angstrom]] = False
    return new


def packing_rms_angstrom(
    first: np.ndarray,
    second: np.ndarray,
    automorphisms: np.ndarray,
    symmetry: Symmetry,
    tolerance_angstrom: float,
) -> float:
    """The same for N guests in a cell, (N, n, 3) each, guests matched to guests as suits best.

    Infinite where it is surely above the tolerance.
    """
    here = second[:, automorphisms[0]].mean(axis=1)
    middles = symmetry.images(first[:, automorphisms[0]].mean(axis=1))
    apart = here[None, None] - middles[:, :, None]
    apart = np.linalg.norm(apart - _lattice_shift(apart, symmetry), axis=3)
    # N tolerance² bounds the sum of squares, so each guest's middle must find one this near.
    reach = tolerance_angstrom * np.sqrt(len(first))
    near = np.flatnonzero(np.all(apart.min(axis=2) <= reach, axis=1))
    if not len(near):
        return np.inf
    kept = Symmetry(symmetry.rotations[near], symmetry.translations[near], symmetry.cell)
    squares = _squares(kept.images(first), second, automorphisms, symmetry, reach)
    matched = [linear_sum_assignment(table) for table in squares]
    means = [table[pairs].mean() for table, pairs in zip(squares, matched, strict=True)]
    return float(np.sqrt(min(means)))


def _squares(
    images: np.ndarray,
    others: np.ndarray,
    automorphisms: np.ndarray,
    symmetry: Symmetry,
    reach: float,
) -> np.ndarray:
    """(G, N, N) mean square distances of images (G, N, n, 3) to others (N, n, 3).

    A million where middles are farther apart than the reach.
    """
    heavy = others[:, automorphisms[0]]
    apart = heavy.mean(axis=1) - images[:, :, None, automorphisms[0]].mean(axis=3)
    shift = _lattice_shift(apart, symmetry)
    operation, mine, other = np.nonzero(np.linalg.norm(apart - shift, axis=3) <= reach)
    squares = np.full(apart.shape[:3], 1e6)
    squares[operation, mine, other] = (
        _least_rms(
            heavy[other], images[operation, mine], shift[operation, mine, other], automorphisms
        )
        ** 2
    )
    return squares


def _lattice_shift(apart: np.ndarray, symmetry: Symmetry) -> np.ndarray:
    """The lattice vector nearest to ``apart`` (…, 3); exact where it is nearer than half a cell."""
    return np.round(apart @ np.linalg.inv(symmetry.cell)) @ symmetry.cell


def _near_middles(
    middles: np.ndarray, images: np.ndarray, symmetry: Symmetry, reach: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs (pose, operation) whose middles are within reach, and the lattice vector between."""
    apart = middles[:, None] - images[None]
    shift = _lattice_shift(apart, symmetry)
    at, operation = np.nonzero(np.sum((apart - shift) ** 2, axis=2) <= reach**2)
    return at, operation, shift[at, operation]


def _least_rms(
    heavy: np.ndarray, images: np.ndarray, shift: np.ndarray, automorphisms: np.ndarray
) -> np.ndarray:
    """(Q,) root mean squares of heavy (Q, h, 3) to images (Q, n, 3), least over automorphisms."""
    least = np.empty(len(heavy))
    step = max(1, NUMBERS_AT_ONCE // (3 * automorphisms.size))
    for start in range(0, len(heavy), step):
        part = slice(start, start + step)
        orders = (images[part] + shift[part, None])[:, automorphisms]
        squares = np.sum((heavy[part, None] - orders) ** 2, axis=3).mean(axis=2)
        least[part] = np.sqrt(squares.min(axis=1))
    return least
