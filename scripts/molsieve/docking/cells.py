"""Cells large enough that a guest stays away from its own periodic images. Lengths in Å."""

from __future__ import annotations

import itertools

import numpy as np
from ase.geometry import minkowski_reduce

MAX_REPEATS = 12


class CellError(ValueError):
    """No cell of sensible size is large enough."""


def shortest_lattice_vector_angstrom(cell: np.ndarray) -> float:
    """Length of the shortest non-zero lattice vector of ``cell`` (3, 3), rows its vectors."""
    reduced, _ = minkowski_reduce(np.asarray(cell, dtype=float), pbc=True)
    return float(np.linalg.norm(reduced, axis=1).min())


def repeats_for_guest(
    cell: np.ndarray,
    diameter_angstrom: float,
    min_image_distance_angstrom: float,
    min_cell_angstrom: float = 0.0,
) -> tuple[int, int, int]:
    """Fewest repeats of ``cell`` (3, 3) that suit the guest in every orientation.

    Atoms of a guest and of its image by lattice vector T are no nearer than |T| less the guest's
    diameter, so the shortest |T| must reach diameter + ``min_image_distance_angstrom``, and
    ``min_cell_angstrom`` (a supercell instead of k-points) as well. That is enough, not always
    needed: docking with fewer repeats refuses the poses that do meet their images.

    Raises:
        CellError: more than 12 repeats along an axis would be needed.
    """
    wanted = max(diameter_angstrom + min_image_distance_angstrom, min_cell_angstrom)
    lengths = np.linalg.norm(cell, axis=1)
    # Along an axis itself, n |a| must reach what is wanted; skew cells may need more.
    least = np.maximum(1, np.ceil(wanted / lengths - 1e-9)).astype(int)
    if least.max() > MAX_REPEATS:
        raise CellError(
            f"{wanted:.1f} Å between images needs {least.max()} repeats of a cell"
            f" {lengths.min():.1f} Å long; at most {MAX_REPEATS} are made:"
            " lower min_image_distance_angstrom"
        )
    ranges = [range(n, MAX_REPEATS + 1) for n in least]
    for repeats in sorted(itertools.product(*ranges), key=lambda n: (np.prod(n), max(n), n)):
        repeated = np.asarray(cell) * np.array(repeats)[:, None]
        if shortest_lattice_vector_angstrom(repeated) >= wanted - 1e-9:
            return repeats[0], repeats[1], repeats[2]
    raise CellError(f"no repeats up to {MAX_REPEATS} keep images {wanted:.1f} Å apart")


def lattice_vectors_within(cell: np.ndarray, reach_angstrom: float) -> np.ndarray:
    """(K, 3) non-zero lattice vectors no longer than the reach."""
    cell = np.asarray(cell, dtype=float)
    # |T| >= |n_i| times the distance of the planes that axis i crosses.
    heights = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    spans = [np.arange(-k, k + 1) for k in np.floor(reach_angstrom / heights).astype(int)]
    counts = np.stack(np.meshgrid(*spans, indexing="ij"), axis=-1).reshape(-1, 3)
    vectors = counts[np.any(counts != 0, axis=1)] @ cell
    return vectors[np.linalg.norm(vectors, axis=1) <= reach_angstrom]


def image_distances_angstrom(
    positions: np.ndarray, cell: np.ndarray, reach_angstrom: float
) -> np.ndarray:
    """(P,) nearest approach of each guest's atoms to its own images; infinite beyond the reach.

    Args:
        positions: (P, n, 3) poses of one guest.
    """
    positions = np.asarray(positions)
    nearest = np.full(len(positions), np.inf)
    spread = np.linalg.norm(positions - positions.mean(axis=1, keepdims=True), axis=2).max()
    vectors = lattice_vectors_within(cell, reach_angstrom + 2 * spread)
    vectors = vectors[_one_of_each_pair(vectors)]
    for vector in vectors:
        shifted = positions[:, :, None, :] - positions[:, None, :, :] + vector
        distances = np.sqrt(np.einsum("pijk,pijk->pij", shifted, shifted).min(axis=(1, 2)))
        nearest = np.minimum(nearest, distances)
    return np.where(nearest <= reach_angstrom, nearest, np.inf)


def _one_of_each_pair(vectors: np.ndarray) -> np.ndarray:
    """Mask of T where -T gives the same distances."""
    return np.array([tuple(vector) > tuple(-vector) for vector in vectors], dtype=bool)
