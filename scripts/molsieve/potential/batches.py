"""Structures side by side, as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import ase
import numpy as np
import pandas as pd
import torch
from torch import Tensor

from molsieve.chem.identities import atoms_from_row


@dataclass(frozen=True)
class AtomsBatch:
    """Structures side by side.

    Attributes:
        numbers: (N,) int64 atomic numbers.
        positions: (N, 3) float64, Å.
        structure: (N,) int64, index of the structure, ascending.
        cell: (S, 3, 3) float64, Å, rows are lattice vectors; zero where not periodic.
        pbc: (S, 3) bool.
        charge: (S,) int64, e.
        multiplicity: (S,) int64, 2S+1.
    """

    numbers: Tensor
    positions: Tensor
    structure: Tensor
    cell: Tensor
    pbc: Tensor
    charge: Tensor
    multiplicity: Tensor

    @classmethod
    def from_atoms(cls, structures: Sequence[ase.Atoms]) -> AtomsBatch:
        """Charge and multiplicity from ``info["charge_e"]`` and ``info["multiplicity"]`` (0, 1)."""
        if not structures:
            raise ValueError("a batch needs at least one structure")
        sizes = [len(a) for a in structures]
        return cls(
            numbers=torch.from_numpy(np.concatenate([a.numbers for a in structures]).astype("i8")),
            positions=torch.from_numpy(np.concatenate([a.positions for a in structures])),
            structure=torch.repeat_interleave(torch.tensor(sizes)),
            cell=torch.from_numpy(np.stack([a.cell.array for a in structures])),
            pbc=torch.from_numpy(np.stack([a.pbc for a in structures])),
            charge=torch.tensor([int(a.info.get("charge_e", 0)) for a in structures]),
            multiplicity=torch.tensor([int(a.info.get("multiplicity", 1)) for a in structures]),
        )

    @classmethod
    def from_structures(cls, structures: pd.DataFrame) -> AtomsBatch:
        """From rows of the ``structures`` table, in their order."""
        return cls.from_atoms([atoms_from_row(row) for row in structures.to_dict("records")])

    @property
    def n_structures(self) -> int:
        """S."""
        return len(self.charge)

    @property
    def sizes(self) -> Tensor:
        """(S,) atoms a structure."""
        return torch.bincount(self.structure, minlength=self.n_structures)

    @property
    def volumes(self) -> Tensor:
        """(S,) float64, Å³, differentiable in ``cell``; NaN where not periodic in all three."""
        first, second, third = self.cell.unbind(1)
        volume = (first * torch.linalg.cross(second, third)).sum(1).abs()
        return torch.where(self.pbc.all(1), volume, torch.nan)

    def with_positions(self, positions: Tensor) -> AtomsBatch:
        """The same structures elsewhere; ``positions`` (N, 3), Å."""
        return replace(self, positions=positions)

    def chosen(self, structures: Tensor) -> AtomsBatch:
        """The structures of these indices (A,), ascending, as a batch of their own."""
        place = torch.full((self.n_structures,), -1, device=structures.device)
        place[structures] = torch.arange(len(structures), device=structures.device)
        owner = place[self.structure]
        atoms = torch.nonzero(owner >= 0)[:, 0]
        return AtomsBatch(
            numbers=self.numbers[atoms],
            positions=self.positions[atoms],
            structure=owner[atoms],
            cell=self.cell[structures],
            pbc=self.pbc[structures],
            charge=self.charge[structures],
            multiplicity=self.multiplicity[structures],
        )

    def detached(self) -> AtomsBatch:
        """The same numbers, no gradient."""
        return replace(self, positions=self.positions.detach(), cell=self.cell.detach())

    def to(self, device: str | torch.device) -> AtomsBatch:
        """The batch on another device."""
        return AtomsBatch(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})
