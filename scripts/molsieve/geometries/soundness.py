"""Whether displaced geometries are still the molecules or solids they were made from."""

from __future__ import annotations

import ase
import numpy as np
import torch
from ase.data import covalent_radii
from torch import Tensor

from molsieve.chem.connectivity import BOND_TOLERANCE, bonds_of_geometry
from molsieve.potential.batches import AtomsBatch
from molsieve.potential.neighbours import Edges, NeighbourCache

MIN_DISTANCE_FACTOR = 0.7
"""No two atoms closer than this times their summed covalent radii (C-H 0.75 Å, C-C 1.06 Å)."""
TOO_CLOSE = "two atoms too close"
CHANGED = "connectivity changed"
NOT_FINITE = "positions are not finite"
IMAGES = 65
"""Lattice translations told apart along one direction, from -32 to 32."""


class Soundness:
    """The bonds of S structures at home, periodic ones included, to judge them elsewhere by.

    A pair is bonded below ``BOND_TOLERANCE`` times its summed covalent radii.

    Args of the constructor:
        home: the structures as they are meant to be.
        stretch: a bond is broken beyond this multiple of the summed covalent radii; dynamics
            allows for more than a geometry that is to be labelled.
    """

    def __init__(self, home: AtomsBatch, stretch: float = BOND_TOLERANCE):
        self.stretch = stretch
        radii = torch.as_tensor(covalent_radii, device=home.numbers.device)
        self.radii = radii[home.numbers]
        self.reach = 2 * float(self.radii.max()) * BOND_TOLERANCE
        self.neighbours = NeighbourCache(self.reach)
        self.structure, self.n_structures = home.structure, home.n_structures
        edges, distance, radius = self._pairs(home)
        bonded = distance < BOND_TOLERANCE * radius
        self.bonds, self.bond_radius = edges.chosen(bonded), radius[bonded]
        self.bond_keys = self._keys(self.bonds)

    def faults(self, batch: AtomsBatch) -> list[str]:
        """S texts, empty for a structure that is sound.

        Args:
            batch: the same structures, at other positions and in other cells.
        """
        batch = batch.detached()
        finite = self._all_of(torch.isfinite(batch.positions).all(1))
        place = torch.where(finite[self.structure, None], batch.positions, 0.0)
        moved = batch.with_positions(place)
        edges, distance, radius = self._pairs(moved)
        close = edges.centre[distance < MIN_DISTANCE_FACTOR * radius]
        bonded = edges.chosen(distance < BOND_TOLERANCE * radius)
        formed = bonded.centre[~torch.isin(self._keys(bonded), self.bond_keys)]
        length = torch.linalg.vector_norm(self.bonds.vectors(moved), dim=1)
        broken = self.bonds.centre[length >= self.stretch * self.bond_radius]
        changed = self._any_at(formed) | self._any_at(broken)
        found = zip(finite.tolist(), self._any_at(close).tolist(), changed.tolist(), strict=True)
        return [
            NOT_FINITE if not f else TOO_CLOSE if c else CHANGED if b else "" for f, c, b in found
        ]

    def _pairs(self, batch: AtomsBatch) -> tuple[Edges, Tensor, Tensor]:
        """Pairs within reach of any bond, their distances and summed covalent radii, Å."""
        edges = self.neighbours(batch)
        distance = torch.linalg.vector_norm(edges.vectors(batch), dim=1)
        return edges, distance, self.radii[edges.centre] + self.radii[edges.neighbour]

    def _keys(self, edges: Edges) -> Tensor:
        """(E,) one number an ordered pair and image."""
        keys = edges.centre * len(self.radii) + edges.neighbour
        if edges.images is not None:
            for image in edges.images.round().long().clamp(-32, 32).unbind(1):
                keys = keys * IMAGES + image + IMAGES // 2
        return keys

    def _any_at(self, atoms: Tensor) -> Tensor:
        """(S,) bool: the structure has one of these atoms."""
        counts = torch.bincount(self.structure[atoms], minlength=self.n_structures)
        return counts > 0

    def _all_of(self, good: Tensor) -> Tensor:
        """(S,) bool: all atoms of the structure are ``good`` (N,)."""
        return torch.bincount(self.structure[~good], minlength=self.n_structures) == 0


def unsound(
    numbers: np.ndarray, positions_angstrom: np.ndarray, bonds: set[tuple[int, int]]
) -> str | None:
    """Why a geometry is no longer the molecule with these ``bonds``; None if it is.

    Args:
        numbers: (n_atoms,); positions_angstrom: (n_atoms, 3).
    """
    radii = covalent_radii[numbers]
    distance = np.linalg.norm(positions_angstrom[:, None] - positions_angstrom[None], axis=2)
    close = distance < MIN_DISTANCE_FACTOR * (radii[:, None] + radii[None])
    if np.triu(close, k=1).any():
        return TOO_CLOSE
    return None if bonds_of_geometry(numbers, positions_angstrom) == bonds else CHANGED


def bonds_of(atoms: ase.Atoms) -> set[tuple[int, int]]:
    """Bonded pairs of atoms of a molecule, i < j."""
    return bonds_of_geometry(atoms.numbers, atoms.positions)
