"""Batches as the kernels of whole networks go through them: structures in blocks, edges in rows."""

from __future__ import annotations

import torch
from torch import Tensor


def first_edges(centre: Tensor, neighbour: Tensor, structure: Tensor) -> Tensor:
    """(N + 1) first edge of each centre, and E.

    Args:
        centre, neighbour: (E,) atoms; structure: (N,) whose atom it is.

    Raises:
        ValueError: edges that are not sorted by centre, or lead from one structure to another.
    """
    if bool((centre[1:] < centre[:-1]).any()):
        raise ValueError("edges must be sorted by centre")
    if not torch.equal(structure.index_select(0, neighbour), structure.index_select(0, centre)):
        raise ValueError("an edge must not lead from one structure to another")
    counts = torch.bincount(centre, minlength=len(structure))
    return torch.cat([counts.new_zeros(1), torch.cumsum(counts, 0)])


def blocks(structure: Tensor, count: int, atoms: int) -> Tensor:
    """First atom of each block, and N: consecutive structures until they have so many ``atoms``.

    Args:
        structure: (N,) of ``count`` structures, ascending.
    """
    ends = torch.cumsum(torch.bincount(structure, minlength=count), 0).tolist()
    starts = [0]
    for end in ends[:-1]:
        if end - starts[-1] >= atoms:
            starts.append(end)
    return torch.tensor([*starts, ends[-1]])
