"""A network in training in two C calls: energies and dE/dr, then the weights' gradient.

The loss is one on energies and on dE/dr (forces, stresses). Its gradient by the weights is the
adjoint of the tangent of the energy along dL/d(dE/dr): ``network/painn_weights.h``. Edges are data.
The embedding and the first context network, which no edge reaches, stay torch's.
Shapes: N atoms, S structures, E edges, F features, K Gaussians, P parameters.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import torch
from torch import Tensor, nn

from molsieve.potential.kernels.blocks import blocks, first_edges
from molsieve.potential.kernels.compilation import kernels_wanted
from molsieve.potential.kernels.last_derivative import last_derivative
from molsieve.potential.kernels.network_library import MAX_LAYERS, loaded_for

BLOCK_ATOMS = 48
"""A block takes structures until it has this many atoms: enough rows for the dense layers, few
enough for the cache."""


class _Training(ctypes.Structure):
    """``Training`` of painn_training.c."""

    _fields_ = [
        *((name, ctypes.c_int32) for name in ("layers", "gaussians", "blocks", "threads")),
        *((name, ctypes.c_int64) for name in ("atoms", "edges")),
        *((name, ctypes.c_void_p) for name in ("block_atoms", "block_edges", "row", "neighbour")),
        *((name, ctypes.c_void_p) for name in ("vectors", "offsets", "widths")),
        ("cutoff", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in ("parameters", "q0", "x0", "integers", "reals")),
    ]


@functools.cache
def training_library(features: int) -> ctypes.CDLL | None:
    """The kernel for F = ``features``; None, said once, where there can be none."""
    library = loaded_for(features, torch.float32, "painn_training")
    if library is None:
        return None
    call, pointer = ctypes.POINTER(_Training), ctypes.c_void_p
    for name in ("painn_training_integers", "painn_training_reals", "painn_gradient_size"):
        function = getattr(library, name)
        function.argtypes, function.restype = [call], ctypes.c_int64
    library.painn_training_evaluate.argtypes = [call, pointer, pointer]
    library.painn_training_gradient.argtypes = [call, *5 * [pointer]]
    return library


class TrainingNetwork:
    """The parts of a model that the kernel differentiates.

    Args:
        representation: a PaiNN; head: the dense layers of its energy head.
    """

    def __init__(self, representation: Any, head: Any):
        self.representation, self.head = representation, list(head)
        self.layers = [
            [
                *interaction.interatomic_context_net,
                mixing.mu_channel_mix,
                *mixing.intraatomic_context_net,
            ]
            for interaction, mixing in zip(
                representation.interactions, representation.mixing, strict=True
            )
        ]
        self.features: int = self.head[0].weight.shape[1]

    @property
    def library(self) -> ctypes.CDLL | None:
        """The kernel; None where torch must do."""
        weight = self.head[0].weight
        if weight.device.type != "cpu" or weight.dtype != torch.float32:
            return None
        if len(self.layers) > MAX_LAYERS or not kernels_wanted():
            return None
        return training_library(self.features)

    def parameters(self) -> list[Tensor]:
        """Filters, the layers' dense ones, the head's: the order the kernel knows."""
        filters = self.representation.filter_net
        dense = [linear for layer in self.layers for linear in layer] + self.head
        found = [p for linear in dense for p in (linear.weight, linear.bias) if p is not None]
        return [filters.weight, filters.bias, *found]

    def __call__(self, graph: Any, scalar: Tensor) -> tuple[Tensor, Tensor]:
        """Atom energies (N,) and the gradient (E, 3) of their sum by the vectors.

        Differentiable, once, in the parameters and in ``scalar``.

        Args:
            graph: a GraphBatch; scalar: (N, F), the embedded atoms.
        """
        phi = self.representation.interactions[0].interatomic_context_net(scalar)
        result: tuple[Tensor, Tensor] = _Energies.apply(
            self, graph, scalar, phi, *self.parameters()
        )
        return result

    def split(self, gradient: Tensor, gaussians: int) -> list[Tensor | None]:
        """The kernel's gradient (P,) by parameter; None of the first context network, phi's."""
        table = torch.Size([gaussians + 1, 3 * self.features])
        groups = [[table, *_shapes(layer)] for layer in self.layers] + [_shapes(self.head)]
        parts = iter(gradient.split([shape.numel() for group in groups for shape in group]))
        *layers, head = [[next(parts).view(shape) for shape in group] for group in groups]
        filters = torch.stack([layer[0] for layer in layers]).transpose(1, 2).flatten(0, 1)
        dense = [piece for layer in layers for piece in layer[1:]] + head
        return [filters[:, :-1], filters[:, -1], *4 * [None], *dense[4:]]


def _shapes(layers: list[nn.Linear]) -> list[torch.Size]:
    both = [(linear.weight, linear.bias) for linear in layers]
    return [parameter.shape for pair in both for parameter in pair if parameter is not None]


class _Run:
    """One batch: what the two calls share."""

    def __init__(
        self, network: TrainingNetwork, graph: Any, scalar: Tensor, phi: Tensor, weights: Any
    ):
        library = network.library
        assert library is not None
        self.library, self.gaussians = library, weights[0].shape[1]
        atoms, edges = len(graph.numbers), len(graph.centre)
        self.blocks = blocks(graph.structure, graph.n_structures, BLOCK_ATOMS)
        self.row = first_edges(graph.centre, graph.neighbour, graph.structure)
        self.block_edges = self.row[self.blocks]
        radial = network.representation.radial_basis
        neighbour = graph.neighbour.to(torch.int64).contiguous()
        self.tensors = [
            *(self.blocks, self.block_edges, self.row, neighbour),
            graph.vectors.detach().float().contiguous(),
            *(radial.offsets.contiguous(), radial.widths.contiguous()),
        ]
        # Whatever autocast made of them.
        self.inputs = [scalar.float().contiguous(), phi.float().contiguous()]
        self.weights = [w.detach().contiguous() for w in weights]
        pointers = [w.data_ptr() for w in self.weights]
        self.table = (ctypes.c_void_p * len(pointers))(*pointers)
        self.call = _Training(
            *(len(network.layers), self.gaussians, len(self.blocks) - 1, torch.get_num_threads()),
            *(atoms, edges, *(t.data_ptr() for t in self.tensors)),
            float(network.representation.cutoff),
            *(ctypes.addressof(self.table), *(t.data_ptr() for t in self.inputs)),
        )
        self.integers = torch.empty(
            library.painn_training_integers(ctypes.byref(self.call)), dtype=torch.int32
        )
        self.reals = self.inputs[0].new_empty(library.painn_training_reals(ctypes.byref(self.call)))
        self.call.integers, self.call.reals = self.integers.data_ptr(), self.reals.data_ptr()

    def evaluate(self) -> tuple[Tensor, Tensor]:
        energies, slopes = (
            self.reals.new_empty(self.call.atoms),
            self.reals.new_empty(self.call.edges, 3),
        )
        self._do(self.library.painn_training_evaluate, energies, slopes)
        return energies, slopes

    def gradient(self, force: Tensor, moves: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """By q0, by x0, and (P,)."""
        size = self.library.painn_gradient_size(ctypes.byref(self.call))
        own = self.reals.new_zeros(self.call.threads, size)
        scalar, phi = (torch.empty_like(t) for t in self.inputs)
        force, moves = force.contiguous(), moves.contiguous()
        self._do(self.library.painn_training_gradient, force, moves, own, scalar, phi)
        return scalar, phi, own[0] if len(own) == 1 else own.sum(0)

    def _do(self, function: Any, *tensors: Tensor) -> None:
        if function(ctypes.byref(self.call), *(t.data_ptr() for t in tensors)):
            raise MemoryError("the training kernel found no memory")


class _Energies(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        network: TrainingNetwork,
        graph: Any,
        scalar: Tensor,
        phi: Tensor,
        *weights: Tensor,
    ) -> tuple[Tensor, Tensor]:
        ctx.run, ctx.network = _Run(network, graph, scalar, phi, weights), network
        ctx.save_for_backward(scalar, phi, *weights)
        energies, slopes = ctx.run.evaluate()
        return energies, slopes

    @staticmethod
    def backward(ctx: Any, force: Tensor, moves: Tensor) -> tuple[Tensor | None, ...]:
        inputs = ctx.saved_tensors  # raises where weights were changed since the forward pass
        with torch.no_grad():
            scalar, phi, gradient = ctx.run.gradient(force, moves)
        found = [scalar, phi, *ctx.network.split(gradient, ctx.run.gaussians)]
        return None, None, *last_derivative(found, (*inputs, force, moves))
