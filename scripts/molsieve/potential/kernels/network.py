"""A committee of frozen networks in one C call: energies, their gradient, their curvature.

Where parameters need no gradient, all of PaiNN can be one kernel (``network/painn.c``): a block of
structures goes through all layers of a member and back while it stays in a core's cache. As a
torch function of the edges' vectors it can be differentiated twice; the second time gives the
product of the Hessian with the incoming gradient, by the hand-written tangent of forward and
adjoint pass (forward over reverse).

Shapes: M members, N atoms, S structures, E edges, F features, K Gaussians.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from molsieve.potential.kernels.blocks import blocks, first_edges
from molsieve.potential.kernels.compilation import kernels_wanted
from molsieve.potential.kernels.last_derivative import last_derivative
from molsieve.potential.kernels.network_library import (
    EDGE_INTEGERS,
    MAX_LAYERS,
    Call,
    network_library,
)

BLOCK_ATOMS = 24
"""A block takes structures until it has this many atoms: enough rows for the dense layers, few
enough for the cache."""


class NetworkWeights:
    """Weights of M networks as the kernel wants them, from the parts of a ``StackedMembers``.

    Args:
        filters: per layer (M, K + 1, 3 F).
        dense: per layer, in the order of ``Weights`` in painn_layers.h: context, context, mix,
            gates, gates as (weight (M, in, out), bias (M, 1, out) or None).
        head: two of them.
    """

    def __init__(
        self,
        filters: list[Tensor],
        dense: list[list[tuple[Tensor, Tensor | None]]],
        head: list[tuple[Tensor, Tensor | None]],
        radial: Any,
    ):
        self.members, self.layers = len(filters[0]), len(filters)
        self.features, self.gaussians = filters[0].shape[2] // 3, filters[0].shape[1] - 1
        parts: list[Tensor] = []
        for table, layer in zip(filters, dense, strict=True):
            parts.append(table)
            for weight, bias in layer:
                parts += [weight] if bias is None else [weight, bias]
            parts += [weight.transpose(1, 2) for weight, _ in layer]
        (d1, d1_bias), (d2, d2_bias) = head
        assert d1_bias is not None and d2_bias is not None
        parts += [d1, d1_bias, d1.transpose(1, 2), d2, d2_bias]
        packed = torch.cat([part.reshape(self.members, -1) for part in parts], 1)
        # Each member's begin where a vector of the processor may: loads across two lines are slow.
        self.packed = torch.nn.functional.pad(packed, (0, -packed.shape[1] % 16)).contiguous()
        self.offsets = radial.offsets.to(self.packed).contiguous()
        self.widths = radial.widths.to(self.packed).contiguous()
        self.cutoff = float(radial.cutoff)
        self._spares: list[Tensor] = []

    def take(self, size: int) -> Tensor:
        """(M, size) numbers of no value; what was given back, if it is large enough."""
        count = self.members * size
        try:
            spare = self._spares.pop()  # one step: two threads never get the same
        except IndexError:
            spare = self.packed.new_empty(count)
        return spare if len(spare) >= count else self.packed.new_empty(count)

    def give_back(self, memory: Tensor) -> None:
        """For the next evaluation: fresh pages cost as much as what is written on them."""
        try:
            other = self._spares.pop()  # out of the list first, or a thread could take it meanwhile
        except IndexError:
            other = memory
        self._spares.append(max(memory, other, key=len))

    def library(self) -> ctypes.CDLL | None:
        """The kernel; None where it does not apply or cannot be compiled."""
        if self.packed.device.type != "cpu" or self.layers > MAX_LAYERS or not kernels_wanted():
            return None
        return network_library(self.features, self.packed.dtype)


class Evaluation:
    """One set of edges: what the kernel's calls share."""

    def __init__(
        self, weights: NetworkWeights, vectors: Tensor, graph: Any, q0: Tensor, x0: Tensor
    ):
        self.weights = weights
        self.library = weights.library()
        assert self.library is not None
        n_atoms, n_edges = len(graph.numbers), len(graph.centre)
        self.row = first_edges(graph.centre, graph.neighbour, graph.structure)
        self.neighbour = graph.neighbour.to(torch.int64).contiguous()
        self.blocks = blocks(graph.structure, graph.n_structures, BLOCK_ATOMS)
        self.block_edges = self.row[self.blocks]
        # Of the weights' precision, whatever autocast made of them.
        precision = weights.packed.dtype
        self.q0, self.x0 = (t.detach().to(precision).contiguous() for t in (q0, x0))
        self.vectors = vectors.detach()[0].to(precision).contiguous()
        self.shape = (weights.members, n_edges, 3)
        self.structure, self.n_structures = graph.structure, graph.n_structures
        self.edge_structure = graph.structure.index_select(0, graph.centre)
        self.saved: Tensor | None = None
        self.saved_size = 0
        count = 2 * len(self.blocks) + n_atoms + EDGE_INTEGERS * n_edges
        self.edge_integers = torch.empty(count, dtype=torch.int32)
        count = self.library.painn_edge_reals(weights.gaussians) * n_edges
        self.edge_reals = self.vectors.new_empty(count)
        self.library.painn_prepare(ctypes.byref(self._call()))

    def by_edge(self, values: Tensor) -> Tensor:
        """(M, S) of structures → (M, E, 1) of their edges, in the network's precision."""
        return values.index_select(1, self.edge_structure).unsqueeze(2).to(self.q0.dtype)

    def _call(self) -> Call:
        weights = self.weights
        return Call(
            *(weights.members, weights.layers, weights.gaussians, len(self.blocks) - 1),
            torch.get_num_threads(),
            *(t.data_ptr() for t in (self.blocks, self.block_edges, self.row, self.neighbour)),
            *(t.data_ptr() for t in (self.edge_integers, self.edge_reals)),
            *(t.data_ptr() for t in (self.vectors, weights.offsets, weights.widths)),
            *(weights.cutoff, weights.packed.data_ptr(), weights.packed.shape[1]),
            *(self.q0.data_ptr(), self.x0.data_ptr(), self.q0.shape[1], self.shape[1]),
            None if self.saved is None else self.saved.data_ptr(),
            self.saved_size,
        )

    def __del__(self) -> None:
        saved = getattr(self, "saved", None)
        if saved is not None:
            self.weights.give_back(saved)

    def evaluate(self, gradient: bool, keep: bool) -> tuple[Tensor, Tensor, Tensor | None]:
        """Atom energies (M, N), features (M, N, F) and dE/dr (M, E, 3); ``keep`` for curvature."""
        assert self.library is not None
        members, atoms = self.q0.shape[:2]
        if keep:
            size = self.library.painn_saved_size(self.weights.layers, atoms, self.shape[1])
            self.saved, self.saved_size = self.weights.take(size), size
        energies, features = self.q0.new_empty(members, atoms), torch.empty_like(self.q0)
        slopes = self.q0.new_empty(self.shape) if gradient or keep else None
        pointers = [None if t is None else t.data_ptr() for t in (energies, features, slopes)]
        if self.library.painn_evaluate(ctypes.byref(self._call()), *pointers):
            raise MemoryError("the network kernel found no memory")
        return energies, features, slopes

    def differentiate(self, moves: Tensor) -> Tensor:
        """How dE/dr (M, E, 3) changes along ``moves`` (M, E, 3) of the vectors."""
        assert self.library is not None
        if self.saved is None:
            self.evaluate(gradient=True, keep=True)
        moves = moves.to(self.q0.dtype).contiguous()
        change = torch.empty_like(moves)
        pointers = moves.data_ptr(), change.data_ptr()
        if self.library.painn_differentiate(ctypes.byref(self._call()), *pointers):
            raise MemoryError("the network kernel found no memory")
        return change


class NetworkEnergies(torch.autograd.Function):
    """(M, E, 3) vectors, the same for each member → sums (M, S) float64, features (M, N, F).

    The sums are the network's atom energies by structure. Twice differentiable in the vectors;
    features are plain numbers.
    """

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, run: Evaluation, keep: bool) -> tuple[Tensor, Tensor]:
        energies, features, slopes = run.evaluate(ctx.needs_input_grad[0], keep)
        ctx.run, ctx.slopes = run, slopes
        ctx.save_for_backward(vectors)
        ctx.mark_non_differentiable(features)
        sums = energies.new_zeros(len(energies), run.n_structures, dtype=torch.float64)
        return sums.index_add_(1, run.structure, energies.double()), features

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor, _: Tensor) -> tuple[Tensor, None, None]:
        (vectors,) = ctx.saved_tensors
        return NetworkGradient.apply(vectors, cotangent, ctx.run, ctx.slopes), None, None


class NetworkGradient(torch.autograd.Function):
    """dE/dr (M, E, 3), each edge's times the cotangent of its structure's energy (M, S)."""

    @staticmethod
    def forward(
        ctx: Any, vectors: Tensor, cotangent: Tensor, run: Evaluation, slopes: Tensor
    ) -> Tensor:
        ctx.run, ctx.slopes = run, slopes
        ctx.save_for_backward(vectors, cotangent)
        return slopes * run.by_edge(cotangent)

    @staticmethod
    def backward(ctx: Any, moves: Tensor) -> tuple[Tensor | None, ...]:
        vectors, cotangent = ctx.saved_tensors
        change, weight = None, None
        with torch.no_grad():
            if ctx.needs_input_grad[0]:
                change = ctx.run.differentiate(moves) * ctx.run.by_edge(cotangent)
            if ctx.needs_input_grad[1]:
                weight = torch.zeros_like(cotangent)
                along = (moves * ctx.slopes).sum(2).double()
                weight.index_add_(1, ctx.run.edge_structure, along)
        return *last_derivative((change, weight), (vectors, cotangent, moves)), None, None
