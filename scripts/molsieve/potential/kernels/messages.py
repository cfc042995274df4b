"""Messages of PaiNN from neighbours to centres, summed.

Schütt, Unke, Gastegger, ICML 2021, arXiv:2102.03150, equations 7 and 8. For an edge from centre i
to its neighbour j with ``r_ij = d u`` and the filters ``w = g(d) W``,

    dq_i  = sum_j w1 phi_j1
    dmu_i = sum_j w2 phi_j2 u + w3 phi_j3 mu_j .

``g`` are K Gaussians times the cosine cutoff, and the cutoff itself (for the filters' bias).
Shapes: M members, N atoms, E edges, F features, K Gaussians. The members share atoms and edges and
their geometry; each has features, weights and gradients of its own. M = 1 for a single network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from torch import Tensor

from molsieve.potential.kernels.compilation import kernels_wanted
from molsieve.potential.kernels.fused import Layout, fused_messages
from molsieve.potential.kernels.message_library import message_library

REACH_IN_WIDTHS = 6.0
"""Gaussians further away are left out by the C kernels; they are below exp(-18) = 1.5e-8."""


@dataclass(frozen=True)
class RadialBasis:
    """Gaussians ``exp(-(d - offset)^2 / 2 width^2)`` under the cosine cutoff.

    Attributes:
        offsets, widths: (K,) Å.
        cutoff: Å.
    """

    offsets: Tensor
    widths: Tensor
    cutoff: float

    def __call__(self, distance: Tensor) -> Tensor:
        """(..., 1) Å to (..., K + 1): the Gaussians times the cutoff, and the cutoff."""
        damping = 0.5 * (torch.cos(distance * (math.pi / self.cutoff)) + 1.0)
        damping = damping * (distance < self.cutoff)
        gaussians = torch.exp(-0.5 * ((distance - self.offsets) / self.widths).square())
        return torch.cat([gaussians * damping, damping], dim=-1)

    def window(self) -> tuple[int, float]:
        """How many Gaussians at most are not negligible at a distance, and the reach of one, Å."""
        return _window(tuple(self.offsets.tolist()), tuple(self.widths.tolist()))


@lru_cache(maxsize=64)
def _window(offsets: tuple[float, ...], widths: tuple[float, ...]) -> tuple[int, float]:
    """All K where the offsets are not a ladder of equal steps."""
    reach, steps = REACH_IN_WIDTHS * max(widths), np.diff(offsets)
    if len(offsets) < 2 or steps.min() <= 0 or np.ptp(steps) > 1e-4 * steps[0]:
        return len(offsets), reach
    return min(len(offsets), int(2 * reach / steps.mean()) + 2), reach


@dataclass(frozen=True)
class MessageEdges:
    """Edges of a batch: what all layers and members share. Build one per evaluation.

    Attributes:
        vectors: (M, E, 3) ``r_ij``, Å, the same values for every member (an expanded view is
            fine); gradients flow into it, each member's into its own part.
        centre, neighbour: (E,) atoms i and j; sorted by centre.
        n_atoms: N.
        radial: the radial functions.
    """

    vectors: Tensor
    centre: Tensor
    neighbour: Tensor
    n_atoms: int
    radial: RadialBasis

    def layout(self, features: int) -> Layout:
        """What the C kernels for ``features`` need to know; made once."""
        if "_layout" not in self.__dict__:
            self.__dict__["_layout"] = Layout(self, features)
        layout: Layout = self.__dict__["_layout"]
        return layout

    @cached_property
    def functions(self) -> Tensor:
        """(M, E, K + 1) radial functions, differentiable."""
        return self.radial(self.distance)

    @cached_property
    def distance(self) -> Tensor:
        """(M, E, 1) Å."""
        return self.vectors.square().sum(-1, keepdim=True).sqrt()

    @cached_property
    def direction(self) -> Tensor:
        """(M, E, 3, 1) unit vectors."""
        return (self.vectors / self.distance).unsqueeze(-1)


def messages(
    phi: Tensor, mu: Tensor | None, weights: Tensor, edges: MessageEdges
) -> tuple[Tensor, Tensor]:
    """The summed messages of one interaction, twice differentiable in all tensors.

    Args:
        phi: (M, N, 3 F) from the scalar features.
        mu: (M, N, 3, F) vector features; None where they are zero (the first interaction).
        weights: (M, K + 1, 3 F) of the filters, the bias last.
        edges: vectors and radial functions.

    Returns:
        dq (M, N, F) and dmu (M, N, 3, F).
    """
    if not _fusable(phi, edges):
        return torch_messages(phi, mu, weights, edges)
    return fused_messages(phi, mu, weights, edges.vectors, edges.layout(phi.shape[2] // 3))


def _fusable(phi: Tensor, edges: MessageEdges) -> bool:
    """Single precision on the CPU, and a compiler; ``MOLSIEVE_FUSED=0`` says no."""
    if phi.dtype != torch.float32 or phi.device.type != "cpu" or edges.vectors.dtype != phi.dtype:
        return False
    if not kernels_wanted():
        return False
    return message_library(phi.shape[2] // 3) is not None


def torch_messages(
    phi: Tensor, mu: Tensor | None, weights: Tensor, edges: MessageEdges
) -> tuple[Tensor, Tensor]:
    """:func:`messages` in torch's own operations, on any device and in any precision."""
    product = torch.matmul(edges.functions, weights) * phi.index_select(1, edges.neighbour)
    radial, along, across = product.chunk(3, dim=-1)
    change = along.unsqueeze(2) * edges.direction
    if mu is not None:
        change = change + across.unsqueeze(2) * mu.index_select(1, edges.neighbour)
    members, features = phi.shape[0], phi.shape[2] // 3
    dq = phi.new_zeros(members, edges.n_atoms, features).index_add(1, edges.centre, radial)
    dmu = phi.new_zeros(members, edges.n_atoms, 3, features)
    return dq, dmu.index_add(1, edges.centre, change)
