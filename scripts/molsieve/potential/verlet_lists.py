"""Neighbour lists kept structure by structure, for a batch whose structures come and go.

In a relaxation structures leave when they converge and others take their seats, and one that has
moved far needs its pairs searched anew while its neighbours in the batch do not. Cells stay as
they are. E edges; lengths in Å.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from molsieve.potential.batches import AtomsBatch
from molsieve.potential.neighbours import Edges, neighbour_list

SKIN_ANGSTROM = 0.6


class VerletLists:
    """Pairs within the cutoff and a skin of each structure (Verlet, Phys. Rev. 159, 98 (1967)).

    The edges given are those of :func:`neighbour_list`, in the same order: pairs beyond the cutoff
    are dropped at every call. A structure is searched anew once one of its atoms has moved half the
    skin since its last search.

    Attributes:
        searched: structures searched so far.
    """

    def __init__(self, cutoff_angstrom: float, skin_angstrom: float = SKIN_ANGSTROM):
        self.cutoff_angstrom, self.skin_angstrom = cutoff_angstrom, skin_angstrom
        self.searched = 0
        self._keys: list[int] = []
        self._sizes: list[int] = []
        self._pairs: dict[int, Edges] = {}
        self._start = torch.zeros(0, 3)
        self._joined: Edges | None = None

    def __call__(self, batch: AtomsBatch, keys: Sequence[int]) -> Edges:
        """The edges of ``batch`` within the cutoff; ``keys`` (S,) name its structures, and a key
        is always of the same atoms in the same cell."""
        batch, keys = batch.detached(), list(keys)
        stale = self._stale(batch, keys)
        if len(stale):
            self._search(batch, keys, stale)
        assert self._joined is not None
        squared = self._joined.vectors(batch).square().sum(1)
        return self._joined.chosen(torch.nonzero(squared < self.cutoff_angstrom**2)[:, 0])

    def _stale(self, batch: AtomsBatch, keys: list[int]) -> Tensor:
        """(T,) structures whose pairs are unknown or may miss one, ascending."""
        if keys != self._keys:
            self._reseat(batch, keys)
        moved = (batch.positions - self._start).square().sum(1)
        furthest = moved.new_zeros(batch.n_structures)
        furthest.scatter_reduce_(0, batch.structure, moved, "amax")
        # A new structure's start is infinitely far away; so is an atom that is lost.
        return torch.nonzero(~(furthest <= (self.skin_angstrom / 2) ** 2))[:, 0]

    def _reseat(self, batch: AtomsBatch, keys: list[int]) -> None:
        known = dict(zip(self._keys, self._start.split(self._sizes), strict=True))
        sizes = batch.sizes.tolist()
        self._start = torch.cat(
            [
                known.get(key, batch.positions.new_full((size, 3), torch.inf))
                for key, size in zip(keys, sizes, strict=True)
            ]
        )
        self._pairs = {key: self._pairs[key] for key in keys if key in known}
        self._keys, self._sizes = keys, sizes
        if all(key in known for key in keys):
            self._join(batch)

    def _search(self, batch: AtomsBatch, keys: list[int], stale: Tensor) -> None:
        part = batch.chosen(stale)
        found = neighbour_list(part, self.cutoff_angstrom + self.skin_angstrom)
        counts = torch.bincount(part.structure[found.centre], minlength=len(stale)).tolist()
        images = found.images
        if images is None:  # nothing periodic among these
            images = torch.zeros(len(found.centre), 3, dtype=torch.float64).to(part.positions)
        first = (torch.cumsum(part.sizes, 0) - part.sizes).tolist()
        columns = [t.split(counts) for t in (found.centre, found.neighbour, images)]
        for s, start, centre, neighbour, image in zip(stale.tolist(), first, *columns, strict=True):
            self._pairs[keys[s]] = Edges(centre - start, neighbour - start, image)
        again = torch.isin(batch.structure, stale)
        self._start = torch.where(again[:, None], batch.positions, self._start)
        self.searched += len(stale)
        self._join(batch)

    def _join(self, batch: AtomsBatch) -> None:
        """The pairs of all structures as edges of the whole batch."""
        pairs = [self._pairs[key] for key in self._keys]
        device = batch.positions.device
        counts = torch.tensor([len(p.centre) for p in pairs], device=device)
        owner = torch.repeat_interleave(counts)
        shift = (torch.cumsum(batch.sizes, 0) - batch.sizes).index_select(0, owner)
        self._joined = Edges(
            torch.cat([p.centre for p in pairs]) + shift,
            torch.cat([p.neighbour for p in pairs]) + shift,
            torch.cat([p.images for p in pairs if p.images is not None]),
            owner,
        )
