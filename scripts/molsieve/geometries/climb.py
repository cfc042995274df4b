"""Steps uphill that do not depend on how a structure is turned, and their bounds.

Atoms sit at ``(home + shift)(1 + strain)``, lattice vectors at ``cell (1 + strain)``: shift (N, 3)
Å, strain (S, 3, 3) symmetric, zero for what is not periodic in all three directions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from molsieve.potential.batches import AtomsBatch

ADAM_DECAYS = (0.9, 0.999)


@dataclass(frozen=True)
class Deformation:
    """Where a climb is: ``shift`` (N, 3) Å and ``strain`` (S, 3, 3)."""

    shift: Tensor
    strain: Tensor

    def of(self, home: AtomsBatch) -> AtomsBatch:
        """``home`` deformed, differentiable in shift and strain."""
        deform = torch.eye(3).to(self.strain) + self.strain
        place = (home.positions.double() + self.shift).unsqueeze(1)
        place = torch.bmm(place, deform.index_select(0, home.structure)).squeeze(1)
        cell = torch.bmm(home.cell.double(), deform)
        return replace(
            home, positions=place.to(home.positions.dtype), cell=cell.to(home.cell.dtype)
        )

    def bounded(self, furthest: float, max_strain: float) -> Deformation:
        """No atom shifted further than ``furthest``, no principal strain beyond ``max_strain``."""
        length = torch.linalg.vector_norm(self.shift, dim=1, keepdim=True)
        shift = self.shift * torch.clamp(furthest / length.clamp(min=1e-12), max=1.0)
        principal = torch.linalg.eigvalsh(self.strain).abs().amax(1)[:, None, None]
        strain = self.strain * torch.clamp(max_strain / principal.clamp(min=1e-12), max=1.0)
        return Deformation(shift, strain)


def first_nudge(home: AtomsBatch, shift_std: float, strain_std: float, seed: int) -> Deformation:
    """Normal displacements and strains, each structure's drawn from its own stream.

    At a minimum itself nothing tells where to go.
    """
    shifts, strains = [], []
    for s, size in enumerate(home.sizes.tolist()):
        stream = np.random.default_rng([seed, s])
        shifts.append(stream.normal(0, shift_std, (size, 3)))
        drawn = stream.normal(0, 1, (3, 3)) * strain_std
        strains.append((drawn + drawn.T) / 2)
    device = home.positions.device
    strain = torch.as_tensor(np.stack(strains), device=device)
    return Deformation(
        torch.as_tensor(np.concatenate(shifts), device=device),
        strain * home.pbc.all(1)[:, None, None],
    )


class VectorAdam:
    """Adam upwards with one second moment a vector (or tensor) instead of one a component.

    Ling, Sharp, Jacobson, NeurIPS 2022, arXiv:2205.13599: turned input gives turned steps, which
    Adam's own rule (Kingma, Ba 2015) does not. Over the second half of ``steps`` the rate falls to
    nothing: a constant one would circle around the top.
    """

    def __init__(self, rate: float, steps: int):
        self.rate, self.steps, self.count = rate, steps, 0
        self.mean: Tensor | float = 0.0
        self.square: Tensor | float = 0.0

    def move(self, slope: Tensor) -> Tensor:
        """The step for gradients (n, ...): rows are what shares a second moment."""
        first, second = ADAM_DECAYS
        self.count += 1
        size = slope.flatten(1).square().sum(1).view(-1, *[1] * (slope.dim() - 1))
        self.mean = first * self.mean + (1 - first) * slope
        self.square = second * self.square + (1 - second) * size
        mean = self.mean / (1 - first**self.count)
        square = torch.as_tensor(self.square / (1 - second**self.count))
        rate = self.rate * min(1.0, 2 * (1 - (self.count - 1) / self.steps))
        return rate * mean / (torch.sqrt(square) + 1e-12)
