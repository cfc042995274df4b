"""The members of a committee as one network: weights stacked (M, ...), one pass for all.

Members share atoms and edges; each keeps its own features and forces. What is done once instead of
M times: the dispatch of every operation, the neighbour list, the geometry of the edges. Shapes: M
members, N atoms, S structures, E edges, F features, K Gaussians.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from molsieve.potential.graphs import GraphBatch
from molsieve.potential.kernels import MessageEdges, RadialBasis, messages
from molsieve.potential.kernels.network import Evaluation, NetworkEnergies, NetworkWeights
from molsieve.potential.model import EnergyModel


class StackedMembers:
    """The networks of M models of one architecture.

    The weights are copied: a model that is trained on later does not change what was stacked.
    """

    def __init__(self, models: Sequence[EnergyModel]):
        representations = [model.representation for model in models]
        first = representations[0]
        self.features = int(first.n_atom_basis)
        self.embedding = _stacked(r.embedding.weight for r in representations)
        self.electronic = [
            _ElectronicEmbedding(members)
            for members in zip(*(r.electronic_embeddings for r in representations), strict=True)
        ]
        self.layers = [
            _Layer(interactions, mixings)
            for interactions, mixings in zip(
                zip(*(r.interactions for r in representations), strict=True),
                zip(*(r.mixing for r in representations), strict=True),
                strict=True,
            )
        ]
        filters = _stacked(
            torch.cat([r.filter_net.weight, r.filter_net.bias[:, None]], 1) for r in representations
        )
        self.filters = [
            part.transpose(1, 2).contiguous() for part in filters.split(3 * self.features, dim=1)
        ]
        # What the first interaction sends depends on the element alone, but for charge and spin.
        self.element_phi = self.layers[0].phi(self.embedding)
        heads = zip(*(model.head.outnet for model in models), strict=True)
        self.head = [_Dense(layers) for layers in heads]
        self.baseline_ev = _stacked(model.baseline_ev for model in models)
        self.scale_ev = _stacked(model.scale_ev for model in models)[:, None]
        basis = first.radial_basis
        self.radial = RadialBasis(basis.offsets, basis.widths, float(first.cutoff_fn.cutoff))
        self.network = NetworkWeights(
            self.filters,
            [[(dense.weight, dense.bias) for dense in layer.dense] for layer in self.layers],
            [(dense.weight, dense.bias) for dense in self.head],
            self.radial,
        )

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return self.embedding.dtype

    def __call__(self, graph: GraphBatch, twice: bool = False) -> tuple[Tensor, Tensor]:
        """Energies (M, S) float64, eV, baseline included, and atom features (M, N, F).

        Args:
            graph: its ``vectors`` are (M, E, 3), the same for each member (an expanded view will
                do), so that a gradient with respect to them is each member's own.
            twice: will be differentiated twice.
        """
        if self.network.library() is not None and graph.vectors.device.type == "cpu":
            return self._in_one_call(graph, twice)
        scalar = self._embedded(graph)
        n_atoms = len(graph.numbers)
        edges = MessageEdges(graph.vectors, graph.centre, graph.neighbour, n_atoms, self.radial)
        vector = None
        for layer, filters in zip(self.layers, self.filters, strict=True):
            scalar, vector = layer(scalar, vector, filters, edges)
        atoms = functional.silu(self.head[0](scalar))
        atoms = self.scale_ev * self.head[1](atoms).squeeze(-1).double()
        atoms = atoms + self.baseline_ev.index_select(1, graph.numbers)
        energies = atoms.new_zeros(len(atoms), graph.n_structures)
        return energies.index_add(1, graph.structure, atoms), scalar

    def _embedded(self, graph: GraphBatch) -> Tensor:
        """(M, N, F) before the first interaction: elements, charge, spin."""
        scalar = self.embedding.index_select(1, graph.numbers)
        for embedding in self.electronic:
            scalar = scalar + embedding(scalar, graph)
        return scalar

    def _in_one_call(self, graph: GraphBatch, twice: bool) -> tuple[Tensor, Tensor]:
        """The same by the kernel of the whole network."""
        scalar = self._embedded(graph)
        if self.electronic:
            phi = self.layers[0].phi(scalar)
        else:
            phi = self.element_phi.index_select(1, graph.numbers)
        run = Evaluation(self.network, graph.vectors, graph, scalar, phi)
        sums, features = NetworkEnergies.apply(graph.vectors, run, twice)
        baseline = self.baseline_ev.index_select(1, graph.numbers)
        energies = baseline.new_zeros(sums.shape).index_add(1, graph.structure, baseline)
        return energies + self.scale_ev * sums, features


def _stacked(tensors: Iterable[Tensor]) -> Tensor:
    return torch.stack([tensor.detach() for tensor in tensors])


class _Dense:
    """``x W + b`` of each member: (M, N, in) to (M, N, out)."""

    def __init__(self, layers: Sequence[nn.Linear]):
        self.weight = _stacked(layer.weight.t() for layer in layers).contiguous()
        biases = [layer.bias for layer in layers if layer.bias is not None]
        self.bias = _stacked(biases).unsqueeze(1) if biases else None

    def __call__(self, values: Tensor) -> Tensor:
        if self.bias is None:
            return torch.bmm(values, self.weight)
        return torch.baddbmm(self.bias, values, self.weight)


class _Layer:
    """An interaction and its mixing: SchNetPack's ``PaiNNInteraction`` and ``PaiNNMixing``."""

    def __init__(self, interactions: Sequence[Any], mixings: Sequence[Any]):
        self.context = [
            _Dense(layers)
            for layers in zip(*(i.interatomic_context_net for i in interactions), strict=True)
        ]
        self.gates = [
            _Dense(layers)
            for layers in zip(*(m.intraatomic_context_net for m in mixings), strict=True)
        ]
        self.channels = _Dense([m.mu_channel_mix for m in mixings])
        self.epsilon = float(mixings[0].epsilon)

    @property
    def dense(self) -> list[_Dense]:
        """In the order they are used."""
        return [*self.context, self.channels, *self.gates]

    def phi(self, scalar: Tensor) -> Tensor:
        """(M, N, 3 F) from (M, N, F): what neighbours will hear, before the filters."""
        return self.context[1](functional.silu(self.context[0](scalar)))

    def __call__(
        self, scalar: Tensor, vector: Tensor | None, filters: Tensor, edges: MessageEdges
    ) -> tuple[Tensor, Tensor]:
        d_scalar, d_vector = messages(self.phi(scalar), vector, filters, edges)
        scalar = scalar + d_scalar
        vector = d_vector if vector is None else vector + d_vector
        return self._mixed(scalar, vector)

    def _mixed(self, scalar: Tensor, vector: Tensor) -> tuple[Tensor, Tensor]:
        members, atoms, _, features = vector.shape
        mixed = self.channels(vector.reshape(members, 3 * atoms, features))
        left, right = mixed.view(members, atoms, 3, 2 * features).chunk(2, dim=-1)
        length = (left.square().sum(2) + self.epsilon).sqrt()
        gates = torch.cat([scalar, length], dim=-1)
        gates = self.gates[1](functional.silu(self.gates[0](gates)))
        own, turned, crossed = gates.chunk(3, dim=-1)
        scalar = scalar + own + crossed * (left * right).sum(2)
        return scalar, vector + turned.unsqueeze(2) * right


class _ElectronicEmbedding:
    """SchNetPack's ``ElectronicEmbedding``: charge or spin, spread over a structure's atoms.

    Attention weights are a softmax over the atoms of a structure. SchNetPack takes it over the
    batch and normalises by structure, which is the same up to its epsilon of 1e-8.
    """

    def __init__(self, members: Sequence[Any]):
        self.is_charged = bool(members[0].is_charged)
        self.query = _Dense([m.linear_q for m in members])
        self.key = _Dense([m.linear_k for m in members])
        self.value = _Dense([m.linear_v for m in members])
        stacks = zip(*(m.resblock.residual.stack for m in members), strict=True)
        self.residuals = [
            (_Dense([r.linear1 for r in blocks]), _Dense([r.linear2 for r in blocks]))
            for blocks in stacks
        ]
        self.last = _Dense([m.resblock.linear for m in members])

    def __call__(self, scalar: Tensor, graph: GraphBatch) -> Tensor:
        """(M, N, F) from the embedding so far (M, N, F)."""
        if self.is_charged:
            electrons = torch.stack([graph.charge, -graph.charge], 1).clamp(min=0)
        else:
            electrons = (graph.multiplicity - 1).abs().unsqueeze(1)
        electrons = electrons.to(scalar.dtype).expand(len(scalar), -1, -1)
        key = self.key(electrons / electrons.clamp(min=1)).index_select(1, graph.structure)
        value = self.value(electrons).index_select(1, graph.structure)
        logits = (key * self.query(scalar)).sum(-1) / math.sqrt(scalar.shape[-1])
        result = _softmax(logits, graph).unsqueeze(-1) * value
        for first, second in self.residuals:
            result = result + second(_shifted_softplus(first(_shifted_softplus(result))))
        return self.last(_shifted_softplus(result))


def _softmax(logits: Tensor, graph: GraphBatch) -> Tensor:
    """(M, N): over the atoms of each structure."""
    owner = graph.structure.expand_as(logits)
    shape = (len(logits), graph.n_structures)
    # The largest is subtracted for the range of exp only: no gradient.
    largest = logits.new_zeros(shape).scatter_reduce(
        1, owner, logits.detach(), "amax", include_self=False
    )
    weights = torch.exp(logits - largest.gather(1, owner))
    total = weights.new_zeros(shape).index_add(1, graph.structure, weights)
    return weights / total.gather(1, owner)


def _shifted_softplus(values: Tensor) -> Tensor:
    return functional.softplus(values) - math.log(2.0)


@dataclass(frozen=True)
class Chunk:
    """Neighbouring structures of a batch: ranges of structures, atoms and edges."""

    structures: slice
    atoms: slice
    edges: slice

    def of(self, graph: GraphBatch) -> GraphBatch:
        """The part of a graph whose vectors are (..., E, 3)."""
        first_atom = self.atoms.start
        volume = graph.volume_angstrom3
        return GraphBatch(
            numbers=graph.numbers[self.atoms],
            structure=graph.structure[self.atoms] - self.structures.start,
            charge=graph.charge[self.structures],
            multiplicity=graph.multiplicity[self.structures],
            centre=graph.centre[self.edges] - first_atom,
            neighbour=graph.neighbour[self.edges] - first_atom,
            vectors=graph.vectors[..., self.edges, :],
            volume_angstrom3=None if volume is None else volume[self.structures],
        )


def chunks(graph: GraphBatch, edges_at_most: int) -> list[Chunk]:
    """Consecutive structures with at most so many edges together; a larger structure is alone."""
    count = graph.n_structures
    atoms = _starts(torch.bincount(graph.structure, minlength=count))
    owner = graph.structure.index_select(0, graph.centre)
    edges = _starts(torch.bincount(owner, minlength=count))
    found, first = [], 0
    for last in range(1, count + 1):
        if last == count or edges[last + 1] - edges[first] > edges_at_most:
            ends = (slice(start[first], start[last]) for start in (atoms, edges))
            found.append(Chunk(slice(first, last), *ends))
            first = last
    return found


def _starts(counts: Tensor) -> list[int]:
    return [0, *torch.cumsum(counts, 0).tolist()]
