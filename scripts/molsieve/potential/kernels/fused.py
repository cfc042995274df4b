"""The messages in C, as torch functions that can be differentiated twice.

For an edge ``e = (i, j)`` with cotangents ``g`` of dq_i and ``G`` of dmu_i, and
``p = (g, G.u, G.mu_j)``, the gradients are

    phi_jn += w_n p_n;  mu_j += w3 phi_j3 G;  W += g(d)^T (phi_j p);
    r_e = (sum w'_n phi_jn p_n) u + (1 - u u^T) (sum_f w2 phi_j2 G) / d .

Their own backward, given cotangents (alpha, beta, rho) of (phi, mu, r)'s gradients, is the gradient
of the forward's directional derivative along (alpha, beta, rho), contracted with (g, G).
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from molsieve.potential.kernels.last_derivative import last_derivative
from molsieve.potential.kernels.message_library import message_library

if TYPE_CHECKING:
    from molsieve.potential.kernels.messages import MessageEdges

PARTS = 16
"""Groups of structures that threads share out; fixed, so that sums do not depend on the threads."""


class _Graph(ctypes.Structure):
    """``graph`` of painn_messages.c."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("members", "atoms", "edges", "gaussians", "window")),
        *((name, ctypes.c_int64) for name in ("parts", "threads")),
        *((name, ctypes.c_void_p) for name in ("neighbour", "start", "part", "span", "record")),
    ]


class _Member(ctypes.Structure):
    """``member`` of painn_messages.c."""

    _fields_ = [
        (name, ctypes.c_void_p)
        for name in (
            *("phi", "mu", "weights", "gq", "gmu", "alpha", "beta", "rho"),
            *("phi_out", "mu_out", "vectors_out", "weights_out", "gq_out", "gmu_out"),
        )
    ]


class Layout:
    """What the kernels need to know of the edges; built once an evaluation.

    Raises:
        ValueError: edges that are not sorted by centre, or with atoms that do not exist.
    """

    def __init__(self, edges: MessageEdges, features: int):
        self.library = message_library(features)
        assert self.library is not None
        self.neighbour = edges.neighbour.to(torch.int64).contiguous()
        self.start, self.part, parts = self._parts(edges)
        radial = edges.radial
        window, reach = radial.window()
        offsets, widths = radial.offsets.float().contiguous(), radial.widths.float().contiguous()
        members, count, _ = edges.vectors.shape
        geometry = edges.vectors[0].detach().contiguous()
        self.record = torch.empty(count, 4 + 3 * (window + 1))
        self.span = torch.empty(count, 2, dtype=torch.int32)
        self.library.edge_records(
            *(count, geometry.data_ptr(), len(offsets), window, *_pointers(offsets, widths)),
            *(radial.cutoff, reach, *_pointers(self.record, self.span)),
        )
        self.struct = _Graph(
            *(members, edges.n_atoms, count, len(offsets), window, parts, torch.get_num_threads()),
            *_pointers(self.neighbour, self.start, self.part, self.span, self.record),
        )
        self.address = ctypes.addressof(self.struct)

    def _parts(self, edges: MessageEdges) -> tuple[Tensor, Tensor, int]:
        """First edge of each atom (N + 1), first atom of each part, number of parts."""
        assert self.library is not None
        atoms, centre = edges.n_atoms, edges.centre.to(torch.int64).contiguous()
        start, crossing = torch.zeros(2, atoms + 1, dtype=torch.int64)
        part = torch.zeros(PARTS + 1, dtype=torch.int64)
        parts = self.library.edge_layout(
            *(atoms, len(centre), *_pointers(centre, self.neighbour)),
            *(PARTS, *_pointers(start, part, crossing)),
        )
        if parts < 0:
            raise ValueError("edges must be sorted by centre and name atoms of the batch")
        return start, part, parts


def fused_messages(
    phi: Tensor, mu: Tensor | None, weights: Tensor, vectors: Tensor, layout: Layout
) -> tuple[Tensor, Tensor]:
    """See ``messages``; float32 on the CPU."""
    mu = None if mu is None else _inner(mu.contiguous())
    phi, weights = _inner(phi.contiguous()), _inner(weights.contiguous())
    result: tuple[Tensor, Tensor] = _Messages.apply(layout, _inner(vectors), phi, mu, weights)
    return result


def _inner(tensor: Tensor) -> Tensor:
    """Not a leaf: of a leaf the engine does not tell whether its gradient is wanted."""
    return tensor.view_as(tensor) if tensor.requires_grad and tensor.is_leaf else tensor


def _wanted(ctx: Any) -> tuple[bool, ...]:
    """Will the engine use the gradients of vectors, phi, mu, weights?

    ``needs_input_grad`` only says that it might: the weights' gradient, a third of the work, is not
    used where forces are taken.
    """
    used = torch._C._will_engine_execute_node
    wanted = [node is not None and used(node) for node, _ in ctx.next_functions[: 3 + ctx.has_mu]]
    if not ctx.has_mu:
        wanted.insert(2, False)
    return tuple(wanted)


def _pointers(*tensors: Tensor | None) -> list[int | None]:
    return [None if t is None else t.data_ptr() for t in tensors]


def _run(layout: Layout, twice: int, *tensors: Tensor | None) -> None:
    """Fill in the outputs, the last six of ``tensors``, which are in the order of ``_Member``."""
    assert layout.library is not None
    arguments = _Member(*_pointers(*tensors))
    if layout.library.messages_backward(layout.address, ctypes.addressof(arguments), twice):
        raise MemoryError("no memory for the gradient of the filter weights")


class _Messages(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, layout: Layout, vectors: Tensor, phi: Tensor, mu: Tensor | None, weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        assert layout.library is not None
        members, atoms, wide = phi.shape
        dq = phi.new_empty(members, atoms, wide // 3)
        dmu = phi.new_empty(members, atoms, 3, wide // 3)
        layout.library.messages_forward(layout.address, *_pointers(phi, mu, weights, dq, dmu))
        ctx.save_for_backward(vectors, phi, mu, weights)
        ctx.layout, ctx.has_mu = layout, mu is not None
        return dq, dmu

    @staticmethod
    def backward(ctx: Any, gq: Tensor, gmu: Tensor) -> tuple[Tensor | None, ...]:
        inputs = *ctx.saved_tensors, gq.contiguous(), gmu.contiguous()
        return None, *_Gradient.apply(ctx.layout, _wanted(ctx), *inputs)


class _Gradient(torch.autograd.Function):
    """Gradients of vectors, phi, mu and weights, as far as ``wanted``."""

    @staticmethod
    def forward(
        ctx: Any, layout: Layout, wanted: tuple[bool, ...], *inputs: Tensor
    ) -> tuple[Tensor | None, ...]:
        vectors, phi, mu, weights, gq, gmu = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs)
        ctx.layout, ctx.has_mu = layout, mu is not None
        to_vectors = vectors.new_empty(vectors.shape) if wanted[0] else None
        to_phi, to_mu = torch.zeros_like(phi), None if mu is None else torch.zeros_like(mu)
        to_weights = torch.zeros_like(weights) if wanted[3] else None
        _run(
            *(layout, 0, phi, mu, weights, gq, gmu, None, None, None),
            *(to_phi, to_mu, to_vectors, to_weights, None, None),
        )
        found = (to_vectors, to_phi, to_mu, to_weights)
        return tuple(t if use else None for t, use in zip(found, wanted, strict=True))

    @staticmethod
    def backward(ctx: Any, rho: Any, alpha: Any, beta: Any, omega: Any) -> tuple[Any, ...]:
        if omega is not None:
            raise NotImplementedError("second derivatives by the weights alone: MOLSIEVE_FUSED=0")
        vectors, phi, mu, weights, gq, gmu = ctx.saved_tensors
        wanted = _wanted(ctx)
        rho = vectors.new_zeros(vectors.shape) if rho is None else rho.contiguous()
        alpha = torch.zeros_like(phi) if alpha is None else alpha.contiguous()
        if mu is not None:
            beta = torch.zeros_like(mu) if beta is None else beta.contiguous()
        to_vectors = vectors.new_empty(vectors.shape) if wanted[0] else None
        to_phi, to_mu = torch.zeros_like(phi), None if mu is None else torch.zeros_like(mu)
        to_weights = torch.zeros_like(weights) if wanted[3] else None
        to_gq, to_gmu = torch.zeros_like(gq), torch.zeros_like(gmu)
        _run(
            *(ctx.layout, 1, phi, mu, weights, gq, gmu, alpha, beta, rho),
            *(to_phi, to_mu, to_vectors, to_weights, to_gq, to_gmu),
        )
        found = (to_vectors, to_phi, to_mu, to_weights, to_gq, to_gmu)
        return None, None, *last_derivative(found, (*ctx.saved_tensors, rho, alpha, beta))
