"""Neighbour lists of a batch: dense blocks for molecules, matscipy's cell list where periodic.

An edge goes from its centre i to its neighbour j; ``r_ij = position_j + cell shift - position_i``.
Edges are sorted by centre. E edges (ordered pairs within the cutoff); lengths in Å.
"""

from __future__ import annotations

from dataclasses import dataclass

import ase.geometry
import numpy as np
import torch
from torch import Tensor

from molsieve.potential.batches import AtomsBatch

PAIR_BLOCK = 4_000_000
"""Largest number of distances computed at once for molecules (32 MB in float64)."""


@dataclass(frozen=True)
class Edges:
    """Ordered pairs within the cutoff, sorted by centre.

    Attributes:
        centre, neighbour: (E,) int64 atom indices i and j.
        shift: (E, 3) float64, Å, lattice translation of j; None when nothing is periodic.
    """

    centre: Tensor
    neighbour: Tensor
    shift: Tensor | None

    def vectors(self, positions: Tensor) -> Tensor:
        """``r_ij`` (E, 3), Å, in the precision of ``positions``."""
        vectors = positions.index_select(0, self.neighbour) - positions.index_select(0, self.centre)
        return vectors if self.shift is None else vectors + self.shift


def neighbour_list(batch: AtomsBatch, cutoff_angstrom: float) -> Edges:
    """All ordered pairs closer than the cutoff, periodic images included, none with itself."""
    positions = batch.positions.detach()
    if not bool(batch.pbc.any()):
        centre, neighbour = _molecular_pairs(positions, batch.sizes, cutoff_angstrom)
        return Edges(centre, neighbour, None)
    return _periodic_pairs(batch, positions, cutoff_angstrom)


def _molecular_pairs(positions: Tensor, sizes: Tensor, cutoff: float) -> tuple[Tensor, Tensor]:
    """Pairs from dense blocks of distances, several molecules at once, padded to the largest."""
    largest = int(sizes.max())
    starts = torch.cumsum(sizes, 0) - sizes
    slots = torch.arange(largest, device=sizes.device)
    step = max(1, PAIR_BLOCK // largest**2)
    centres, neighbours = [], []
    for first in range(0, len(sizes), step):
        size, start = sizes[first : first + step], starts[first : first + step]
        real = slots < size[:, None]
        atom = torch.where(real, start[:, None] + slots, 0)
        block = positions[atom]
        squared = (block[:, :, None] - block[:, None, :]).square().sum(-1)
        near = (squared < cutoff**2) & real[:, :, None] & real[:, None, :]
        near &= slots[:, None] != slots
        molecule, i, j = near.nonzero(as_tuple=True)
        centres.append(start[molecule] + i)
        neighbours.append(start[molecule] + j)
    return torch.cat(centres), torch.cat(neighbours)


def _periodic_pairs(batch: AtomsBatch, positions: Tensor, cutoff: float) -> Edges:
    """Pairs structure by structure with matscipy's linear-scaling cell list."""
    from matscipy.neighbours import neighbour_list as matscipy_pairs

    centres, neighbours, shifts = [], [], []
    start = 0
    for s, size in enumerate(batch.sizes.tolist()):
        cell, pbc = batch.cell[s].cpu().numpy(), batch.pbc[s].cpu().numpy()
        place = positions[start : start + size].cpu().numpy()
        i, j, images = matscipy_pairs(
            "ijS",
            positions=place,
            cell=_spanning_cell(cell, pbc, place, cutoff),
            pbc=pbc,
            cutoff=cutoff,
        )
        order = np.lexsort((j, i))
        centres.append(i[order].astype("i8") + start)
        neighbours.append(j[order].astype("i8") + start)
        shifts.append(images[order] @ cell)
        start += size
    device = positions.device
    return Edges(
        torch.from_numpy(np.concatenate(centres)).to(device),
        torch.from_numpy(np.concatenate(neighbours)).to(device),
        torch.from_numpy(np.concatenate(shifts)).to(positions),
    )


def _spanning_cell(
    cell: np.ndarray, pbc: np.ndarray, positions: np.ndarray, cutoff: float
) -> np.ndarray:
    """The cell with an orthogonal vector along each direction that is not periodic."""
    full = ase.geometry.complete_cell(np.where(pbc[:, None], cell, 0.0))
    extent = np.ptp(positions, axis=0).max() + 2 * cutoff
    return np.where(pbc[:, None], full, full * extent)
