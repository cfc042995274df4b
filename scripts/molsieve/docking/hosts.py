"""A framework made ready for docking: its symmetry, its surroundings, energy grids. Å, eV."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import ase
import numpy as np
import spglib
from scipy.ndimage import map_coordinates

from molsieve.crystals.framework import SYMPREC_ANGSTROM
from molsieve.docking.surroundings import Surroundings

GRID_SPACING_ANGSTROM = 0.3
GRID_REACH_ANGSTROM = 8.0
SCORE_REACH_ANGSTROM = 12.0


@dataclass(frozen=True, eq=False)
class Symmetry:
    """Space-group operations on positions: ``rotations[g] @ r + translations[g]``.

    Attributes:
        rotations: (G, 3, 3), Cartesian.
        translations: (G, 3) Å.
        cell: (3, 3), the lattice modulo which they are complete.
    """

    rotations: np.ndarray
    translations: np.ndarray
    cell: np.ndarray

    def proper(self) -> Symmetry:
        """Without the operations that turn a molecule into its mirror image."""
        kept = np.linalg.det(self.rotations) > 0
        return Symmetry(self.rotations[kept], self.translations[kept], self.cell)

    def images(self, positions: np.ndarray) -> np.ndarray:
        """(G, …, 3) all images of positions (…, 3)."""
        turned = np.einsum("gab,...b->g...a", self.rotations, positions)
        return turned + self.translations.reshape(-1, *[1] * (positions.ndim - 1), 3)


class Host:
    """A framework (or a framework with guests already in) in one cell, and its energy grids.

    Grids are made per element when first asked for and kept, so that one host serves many guests.
    They are anchored at the first atom: the same structure at another origin gives the same poses.

    Args:
        atoms: periodic.
        symmetric: look for space-group operations (spglib, 1e-2 Å); False: none but identity.
    """

    def __init__(self, atoms: ase.Atoms, symmetric: bool = True):
        self.atoms = atoms
        self.cell = np.asarray(atoms.cell.array)
        self.anchor = atoms.positions[0].copy()
        self.symmetry, primitive = _symmetry(atoms) if symmetric else (_identity(self.cell), atoms)
        self.grid_cell = np.asarray(primitive.cell.array)
        self.near = self._surroundings(primitive, GRID_REACH_ANGSTROM)
        self.score = self._surroundings(primitive, SCORE_REACH_ANGSTROM)
        lengths = np.linalg.norm(self.grid_cell, axis=1)
        self.grid_shape = tuple(int(n) for n in np.ceil(lengths / GRID_SPACING_ANGSTROM))
        self._grids: dict[int, np.ndarray] = {}

    @staticmethod
    def _surroundings(atoms: ase.Atoms, reach_angstrom: float) -> Surroundings:
        return Surroundings(atoms.cell.array, atoms.numbers, atoms.positions, reach_angstrom)

    def grid_points(self) -> np.ndarray:
        """(P, 3) positions of the grid's points, in the order of a raveled grid."""
        steps = [np.arange(n) / n for n in self.grid_shape]
        scaled = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
        return scaled @ self.grid_cell + self.anchor

    def make_grids(self, numbers: np.ndarray) -> None:
        """Grids for the elements ``numbers`` that have none yet."""
        missing = sorted({int(z) for z in numbers} - set(self._grids))
        if missing:
            values = self.near.grid_energies_ev(missing, self.grid_points())
            for number, grid in zip(missing, values, strict=True):
                self._grids[number] = grid.reshape(self.grid_shape).astype(np.float32)

    def grid_energies_ev(self, numbers: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """(P,) energies of poses (P, n, 3) of the guest of elements ``numbers``, interpolated."""
        self.make_grids(numbers)
        scaled = (positions - self.anchor) @ np.linalg.inv(self.grid_cell)
        indices = scaled * np.array(self.grid_shape)
        energies = np.zeros(len(positions))
        for number in np.unique(numbers):
            at = indices[:, numbers == number].reshape(-1, 3).T
            values = map_coordinates(self._grids[int(number)], at, order=1, mode="grid-wrap")
            energies += values.reshape(len(positions), -1).sum(axis=1)
        return energies

    def symmetry_of(self, repeats: tuple[int, int, int]) -> Symmetry:
        """Operations of the host repeated: those that keep the larger lattice, with its shifts."""
        kept = self._compatible(repeats)
        shifts = np.array(list(product(*(range(n) for n in repeats)))) @ self.cell
        rotations = np.repeat(self.symmetry.rotations[kept], len(shifts), axis=0)
        translations = (self.symmetry.translations[kept][:, None] + shifts[None]).reshape(-1, 3)
        return Symmetry(rotations, translations, self.cell * np.array(repeats)[:, None])

    def site_symmetry(self, repeats: tuple[int, int, int]) -> Symmetry:
        """Those operations modulo the lattice of one cell, mirror images left out."""
        kept = self._compatible(repeats)
        symmetry = self.symmetry
        return Symmetry(symmetry.rotations[kept], symmetry.translations[kept], self.cell).proper()

    def _compatible(self, repeats: tuple[int, int, int]) -> np.ndarray:
        cell = self.cell * np.array(repeats)[:, None]
        turned = np.einsum("gab,kb->gka", self.symmetry.rotations, cell)
        scaled = turned @ np.linalg.inv(cell)
        return np.all(np.abs(scaled - np.round(scaled)) < 1e-2, axis=(1, 2))


def _identity(cell: np.ndarray) -> Symmetry:
    return Symmetry(np.eye(3)[None], np.zeros((1, 3)), cell)


def _symmetry(atoms: ase.Atoms) -> tuple[Symmetry, ase.Atoms]:
    """Operations of the cell, and the same atoms in a smallest cell, neither turned nor moved."""
    cell = np.asarray(atoms.cell.array)
    described: Any = (cell, atoms.get_scaled_positions(), atoms.numbers)
    found = spglib.get_symmetry(described, symprec=SYMPREC_ANGSTROM)
    smallest = spglib.standardize_cell(
        described, to_primitive=True, no_idealize=True, symprec=SYMPREC_ANGSTROM
    )
    if found is None or smallest is None:
        return _identity(cell), atoms
    # Scaled r' = W r + w with column vectors: Cartesian rotation is cell.T W cell.T^-1.
    rotations = cell.T @ found["rotations"] @ np.linalg.inv(cell.T)
    lattice, scaled, numbers = smallest
    primitive = ase.Atoms(numbers=numbers, scaled_positions=scaled, cell=lattice, pbc=True)
    return Symmetry(rotations, found["translations"] @ cell, cell), primitive
