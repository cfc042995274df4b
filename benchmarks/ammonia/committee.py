"""A committee of ammonia, all members trained in one pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import torch
from ase.build import molecule

from ammonia.oracle import NUMBERS, Frame, batch_of
from molsieve import campaign
from molsieve.potential import schedules, storage, training, training_data
from molsieve.potential.committee import Committee
from molsieve.potential.graphs import GraphBatch, GraphSet
from molsieve.potential.model import Architecture, EnergyModel, flushed_denormals
from molsieve.potential.optimiser import FlatAdam
from molsieve.potential.stacked import StackedMembers
from molsieve.relax import relax_batch

MEMBERS, GRADIENT_STEPS = 4, 800
POTENTIAL = campaign.Potential(
    members=MEMBERS,
    features=32,
    interactions=2,
    radial_functions=16,
    cutoff_angstrom=4.0,
    batch_size=10,
    early_energies=1.0,  # few steps: constant weights
    learning_rate=5e-3,
    bootstrap=False,
    difference_weight=0.0,
)


class MembersTogether(StackedMembers):
    """All members trained in one pass on the same batches, each from its own random weights.

    For four atoms a step is all overhead, so it costs hardly more than that of one member. Network,
    loss, optimiser and schedule are those of ``potential.training``.
    """

    def __init__(self, models: list[EnergyModel]):
        super().__init__(models)
        self.models = models
        self.network = SimpleNamespace(library=lambda: None)  # knows no gradient of the weights
        dense = [d for layer in self.layers for d in layer.dense] + self.head
        self.leaves = [self.embedding, *self.filters, *(d.weight for d in dense)]
        self.leaves += [d.bias for d in dense if d.bias is not None]
        for leaf in self.leaves:
            leaf.requires_grad_(True)

    def parameters(self) -> list[torch.Tensor]:
        """Stacked (M, ...)."""
        return self.leaves

    def loss(self, graph: GraphBatch, weights: schedules.LossWeights) -> torch.Tensor:
        """Sum of the members' losses."""
        vectors = graph.vectors.expand(MEMBERS, -1, -1).clone().requires_grad_(True)
        energies, _ = self(replace(graph, vectors=vectors))
        (slope,) = torch.autograd.grad(energies.sum(), vectors, create_graph=True)
        forces = slope.new_zeros(MEMBERS, len(graph.numbers), 3).index_add(1, graph.centre, slope)
        forces = forces.index_add(1, graph.neighbour, -slope)
        energy_error = (energies - graph.energy_ev).float() / len(NUMBERS)
        energy = (energy_error / training_data.ENERGY_UNIT_EV_PER_ATOM).square()
        force_error = forces - graph.forces_ev_per_angstrom
        force = (force_error / training_data.FORCE_UNIT_EV_PER_ANGSTROM).square()
        return MEMBERS * (weights.energy * energy.mean() + weights.force * force.mean())

    @torch.no_grad()
    def unstack(self) -> list[EnergyModel]:
        """The members with what was learned."""
        for m, model in enumerate(self.models):
            part = model.representation
            part.embedding.weight.copy_(self.embedding[m])
            filters = torch.cat([weight[m].t() for weight in self.filters])
            part.filter_net.weight.copy_(filters[:, :-1])
            part.filter_net.bias.copy_(filters[:, -1])
            linear = list(zip(model.head.outnet, self.head, strict=True))
            for layer, message, mix in zip(
                self.layers, part.interactions, part.mixing, strict=True
            ):
                linear += zip(message.interatomic_context_net, layer.context, strict=True)
                linear += zip(mix.intraatomic_context_net, layer.gates, strict=True)
                linear.append((mix.mu_channel_mix, layer.channels))
            for own, stacked in linear:
                own.weight.copy_(stacked.weight[m].t())
                if own.bias is not None:
                    own.bias.copy_(stacked.bias[m, 0])
            model.eval().requires_grad_(False)
        return self.models


def trained(frames: list[Frame], seed: int) -> Committee:
    """Members trained on all frames, as many steps however many these are."""
    graphs = GraphSet(
        batch_of(np.stack([f.positions for f in frames])),
        POTENTIAL.cutoff_angstrom,
        torch.tensor([f.energy for f in frames]),
        torch.from_numpy(np.concatenate([f.forces for f in frames])),
    )
    members = range(MEMBERS)
    models = [training.initial_model(graphs, {}, POTENTIAL, seed, m, "cpu", None) for m in members]
    together = MembersTogether(models)
    clip = 10.0 * MEMBERS**0.5
    optimiser = FlatAdam(together, POTENTIAL.ema_decay, clip_norm=clip)
    rng, size = np.random.default_rng([seed, 6]), POTENTIAL.batch_size
    order = np.concatenate([rng.permutation(len(frames)) for _ in range(GRADIENT_STEPS)])
    with flushed_denormals():
        for step in range(GRADIENT_STEPS):
            progress = step / GRADIENT_STEPS
            graph = graphs.batch(torch.from_numpy(order[step * size : (step + 1) * size]))
            loss = together.loss(graph, schedules.loss_weights(POTENTIAL, progress))
            optimiser.step(loss, schedules.cosine_rate(POTENTIAL.learning_rate, progress))
    optimiser.use(optimiser.average)
    architecture = Architecture.of(POTENTIAL)
    models = together.unstack()
    describe = (
        storage.describe(architecture, [1, 7], [[0, 1]], "gfn2", seed, m, models[m])
        for m in members
    )
    return Committee(models, list(describe))


def mean_energies(committee: Committee) -> Callable[[np.ndarray], np.ndarray]:
    """(S, 4, 3) Å → (S,) eV."""
    return lambda places: committee(batch_of(places), forces=False).energy_mean.numpy()


def own_minimum(committee: Committee) -> tuple[np.ndarray, float]:
    """The committee's minimum (4, 3) Å next to the G2 geometry, and its energy."""
    result = relax_batch(committee, batch_of(molecule("NH3").positions[None]), 1e-3, 100)
    return result.positions.numpy(), float(result.energies.mean())
