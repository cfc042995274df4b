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
    """Ordered pairs within the cutoff, sorted by centre, then neighbour, then image.

    Attributes:
        centre, neighbour: (E,) int64 atom indices i and j.
        images: (E, 3) float64 whole numbers, lattice vectors from j to the image of it that is
            meant; None when nothing is periodic. Positions need not lie inside their cell.
        structure: (E,) int64, of the edge; None when nothing is periodic.
    """

    centre: Tensor
    neighbour: Tensor
    images: Tensor | None = None
    structure: Tensor | None = None

    def vectors(self, batch: AtomsBatch) -> Tensor:
        """``r_ij`` (E, 3), Å, differentiable in the positions and the cell of ``batch``."""
        place = batch.positions
        vectors = place.index_select(0, self.neighbour) - place.index_select(0, self.centre)
        if self.images is None or self.structure is None:
            return vectors
        cell = batch.cell.to(place.dtype).index_select(0, self.structure)
        return vectors + torch.bmm(self.images.to(place.dtype).unsqueeze(1), cell).squeeze(1)

    def chosen(self, which: Tensor) -> Edges:
        """The edges ``which`` (bool (E,) or indices), in their order."""
        return Edges(
            self.centre[which],
            self.neighbour[which],
            None if self.images is None else self.images[which],
            None if self.structure is None else self.structure[which],
        )


def neighbour_list(batch: AtomsBatch, cutoff_angstrom: float) -> Edges:
    """All ordered pairs closer than the cutoff, periodic images included, none with itself."""
    positions = batch.positions.detach()
    if not bool(batch.pbc.any()):
        centre, neighbour = _molecular_pairs(positions, batch.sizes, cutoff_angstrom)
        return Edges(centre, neighbour)
    return _periodic_pairs(batch, positions, cutoff_angstrom)


class NeighbourCache:
    """The neighbour list of structures that move a little between calls (Verlet, 1967).

    Pairs are searched up to the cutoff and a skin; a call only drops those beyond the cutoff, so
    its edges are those of :func:`neighbour_list`, in the same order. They are searched anew once
    an atom or the cell has moved so far that a pair from outside may have come in, or for another
    set of atoms.

        cache = NeighbourCache(committee.cutoff_angstrom)
        output = committee(batch, edges=cache(batch))
    """

    def __init__(self, cutoff_angstrom: float, skin_angstrom: float = 0.6):
        self.cutoff_angstrom, self.skin_angstrom = cutoff_angstrom, skin_angstrom
        self.searches = 0
        self._batch: AtomsBatch | None = None
        self._candidates: Edges | None = None

    def __call__(self, batch: AtomsBatch) -> Edges:
        """The edges of ``batch`` within the cutoff."""
        batch = batch.detached()
        if self._candidates is None or not self._still_holds(batch):
            self._batch = batch
            reach = self.cutoff_angstrom + self.skin_angstrom
            self._candidates = neighbour_list(batch, reach)
            self.searches += 1
        squared = self._candidates.vectors(batch).square().sum(1)
        return self._candidates.chosen(torch.nonzero(squared < self.cutoff_angstrom**2)[:, 0])

    def _still_holds(self, batch: AtomsBatch) -> bool:
        """No pair that was beyond cutoff and skin can be within the cutoff now.

        With the cell deformed by F (``cell = cell_0 F``) and atoms at ``x = x_0 F + u``, a pair
        once at ``r_0`` is now no nearer than ``s |r_0| - 2 max |u|``, s the smallest singular value
        of F.
        """
        before = self._batch
        assert before is not None
        if not _same_atoms(before, batch):
            return False
        deformation = torch.linalg.solve(_full_rank(before), _full_rank(batch))
        carried = torch.bmm(
            before.positions.unsqueeze(1), deformation.index_select(0, batch.structure)
        )
        moved = torch.linalg.vector_norm(batch.positions - carried.squeeze(1), dim=1)
        furthest = moved.new_zeros(batch.n_structures)
        furthest = furthest.scatter_reduce(0, batch.structure, moved, "amax")
        smallest = torch.linalg.svdvals(deformation)[:, -1]
        reach = smallest * (self.cutoff_angstrom + self.skin_angstrom) - 2 * furthest
        # Not (reach >= cutoff) instead of (reach < cutoff): NaN positions hold nothing.
        return bool((reach >= self.cutoff_angstrom).all())


def _same_atoms(one: AtomsBatch, other: AtomsBatch) -> bool:
    """The same structures, and the same cells where a strain is not looked for."""
    if one.positions.device != other.positions.device or not torch.equal(one.pbc, other.pbc):
        return False
    partly = ~one.pbc.all(1)
    return torch.equal(one.structure, other.structure) and torch.equal(
        one.cell[partly], other.cell[partly]
    )


def _full_rank(batch: AtomsBatch) -> Tensor:
    """(S, 3, 3) cells; the identity for those not periodic in all three directions."""
    whole = batch.pbc.all(1)[:, None, None]
    return torch.where(whole, batch.cell, torch.eye(3).to(batch.cell))


def _molecular_pairs(positions: Tensor, sizes: Tensor, cutoff: float) -> tuple[Tensor, Tensor]:
    """Pairs from dense blocks of distances, several molecules at once, padded to the largest."""
    largest = int(sizes.max())
    starts = torch.cumsum(sizes, 0) - sizes
    slots = torch.arange(largest, device=sizes.device)
    step = max(1, PAIR_BLOCK // max(1, largest) ** 2)
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

    found = []
    start = 0
    for s, size in enumerate(batch.sizes.tolist()):
        place = positions[start : start + size].cpu().numpy()
        cell, pbc = batch.cell[s].detach().cpu().numpy(), batch.pbc[s].cpu().numpy()
        i, j, images = matscipy_pairs(
            "ijS",
            positions=place,
            cell=_spanning_cell(cell, pbc, place, cutoff),
            pbc=pbc,
            cutoff=cutoff,
        )
        order = np.lexsort((*images.T[::-1], j, i))
        owner = np.full(len(i), s)
        found.append((i[order] + start, j[order] + start, images[order], owner))
        start += size
    centre, neighbour, images, owner = (np.concatenate(part) for part in zip(*found, strict=True))
    device = positions.device
    return Edges(
        torch.from_numpy(centre.astype("i8")).to(device),
        torch.from_numpy(neighbour.astype("i8")).to(device),
        torch.from_numpy(images.astype("f8")).to(device),
        torch.from_numpy(owner.astype("i8")).to(device),
    )


def _spanning_cell(
    cell: np.ndarray, pbc: np.ndarray, positions: np.ndarray, cutoff: float
) -> np.ndarray:
    """The cell with an orthogonal vector along each direction that is not periodic."""
    full = ase.geometry.complete_cell(np.where(pbc[:, None], cell, 0.0))
    extent = np.ptp(positions, axis=0).max() + 2 * cutoff
    return np.where(pbc[:, None], full, full * extent)
