"""What guest atoms meet around them: clearance and van der Waals energy, exact and periodic.

Lengths in Å, energies in eV; every distance is to all periodic images.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from molsieve.docking.van_der_waals import pair_energy, radius_angstrom

PAIRS_AT_ONCE = 2_000_000
"""Bounds the memory of energies: 24 bytes a pair."""


class Surroundings:
    """Atoms that fill space periodically, asked from points anywhere.

    Args:
        cell: (3, 3) lattice vectors, rows.
        numbers: (m,) atomic numbers.
        positions: (m, 3), inside the cell or not.
        reach_angstrom: atoms farther away than this are not seen.
    """

    def __init__(
        self, cell: np.ndarray, numbers: np.ndarray, positions: np.ndarray, reach_angstrom: float
    ):
        self.cell = np.asarray(cell, dtype=float)
        self.inverse = np.linalg.inv(self.cell)
        self.reach_angstrom = reach_angstrom
        self.numbers, self.positions = self._images(np.asarray(numbers), np.asarray(positions))
        self.species = np.unique(self.numbers)
        self._tree = cKDTree(self.positions)
        self._trees = {int(z): cKDTree(self.positions[self.numbers == z]) for z in self.species}
        self._density = len(numbers) / abs(np.linalg.det(self.cell))

    def margins_angstrom(
        self, numbers: np.ndarray, positions: np.ndarray, scale: float
    ) -> np.ndarray:
        """(P,) room left by each pose: smallest distance less ``scale`` times the sum of radii.

        Negative: a clash. Infinite: nothing is near enough to clash.

        Args:
            numbers: (n,) elements of the guest.
            positions: (P, n, 3).
        """
        wrapped = self._wrapped(positions)
        radii = np.array([radius_angstrom(int(z)) for z in numbers])
        smallest = np.full(positions.shape[:2], np.inf)
        for species, tree in self._trees.items():
            limits = scale * (radii + radius_angstrom(species))
            distances, _ = tree.query(wrapped, distance_upper_bound=float(limits.max()) + 1e-9)
            smallest = np.minimum(smallest, distances.reshape(positions.shape[:2]) - limits)
        return smallest.min(axis=1)

    def nearest_angstrom(self, points: np.ndarray, count: int = 1) -> np.ndarray:
        """(…, count) distances from points (…, 3) to the nearest atoms, near to far."""
        found = self._tree.query(self._wrapped(points), k=np.arange(1, count + 1))[0]
        return found.reshape(*points.shape[:-1], count)

    def tightest_contact(self, numbers: np.ndarray, pose: np.ndarray) -> tuple[int, int, float]:
        """(guest element, element met, distance) nearest in parts of the sum of their radii.

        Args:
            pose: (n, 3).
        """
        contacts = []
        for species, tree in self._trees.items():
            distances, _ = tree.query(self._wrapped(pose))
            for number, distance in zip(numbers, distances, strict=True):
                share = distance / (radius_angstrom(int(number)) + radius_angstrom(species))
                contacts.append((share, int(number), species, float(distance)))
        return min(contacts)[1:]

    def energies_ev(self, numbers: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """(P,) van der Waals energy of each pose (P, n, 3) with all atoms within the reach."""
        poses, atoms = positions.shape[:2]
        around = self._density * 4.19 * self.reach_angstrom**3
        step = max(1, int(PAIRS_AT_ONCE / (around * atoms + 1)))
        parts = [
            self.atom_energies_ev(np.tile(numbers, len(chunk)), chunk.reshape(-1, 3))
            for chunk in (positions[k : k + step] for k in range(0, poses, step))
        ]
        return np.concatenate(parts).reshape(poses, atoms).sum(axis=1) if parts else np.empty(0)

    def atom_energies_ev(self, numbers: np.ndarray, points: np.ndarray) -> np.ndarray:
        """(P,) energy of atoms ``numbers`` (P,) at ``points`` (P, 3)."""
        found = cKDTree(self._wrapped(points)).sparse_distance_matrix(
            self._tree, self.reach_angstrom, output_type="ndarray"
        )
        at, met, distances = found["i"], self.numbers[found["j"]], found["v"]
        mine = np.asarray(numbers)[at]
        energies = np.zeros(len(distances))
        for first in np.unique(mine):
            for second in self.species:
                pairs = (mine == first) & (met == second)
                energies[pairs] = pair_energy(int(first), int(second))(distances[pairs])
        return np.bincount(at, weights=energies, minlength=len(points))

    def grid_energies_ev(self, species: list[int], points: np.ndarray) -> np.ndarray:
        """(S, P) energy of each of S elements at each of (P, 3) points, pairs found once."""
        around = self._density * 4.19 * self.reach_angstrom**3
        step = max(1, int(PAIRS_AT_ONCE / (around + 1)))
        energies = np.zeros((len(species), len(points)))
        for start in range(0, len(points), step):
            part = slice(start, min(start + step, len(points)))
            energies[:, part] = self._grid_part(species, points[part])
        return energies

    def _grid_part(self, species: list[int], points: np.ndarray) -> np.ndarray:
        found = cKDTree(self._wrapped(points)).sparse_distance_matrix(
            self._tree, self.reach_angstrom, output_type="ndarray"
        )
        at, met, distances = found["i"], self.numbers[found["j"]], found["v"]
        sums = np.zeros((len(species), len(points)))
        for second in self.species:
            pairs = met == second
            where, apart = at[pairs], distances[pairs]
            for row, first in enumerate(species):
                values = pair_energy(first, int(second))(apart)
                sums[row] += np.bincount(where, weights=values, minlength=len(points))
        return sums

    def _wrapped(self, positions: np.ndarray) -> np.ndarray:
        scaled = np.asarray(positions).reshape(-1, 3) @ self.inverse
        return (scaled - np.floor(scaled)) @ self.cell

    def _images(self, numbers: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All images that a point inside the cell can see."""
        scaled = positions @ self.inverse
        scaled -= np.floor(scaled)
        heights = 1.0 / np.linalg.norm(self.inverse, axis=0)
        margin = self.reach_angstrom / heights + 1e-9
        spans = [np.arange(-int(np.ceil(m)), int(np.ceil(m)) + 1) for m in margin]
        shifts = np.stack(np.meshgrid(*spans, indexing="ij"), axis=-1).reshape(-1, 1, 3)
        images = (scaled[None] + shifts).reshape(-1, 3)
        seen = np.all((images >= -margin) & (images <= 1 + margin), axis=1)
        return np.tile(numbers, len(shifts))[seen], images[seen] @ self.cell
