"""The members together: energies and forces of each on a batch, over one neighbour list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from molsieve.potential.graphs import AtomsBatch, Edges, GraphBatch, neighbour_list
from molsieve.potential.model import EnergyModel, flushed_denormals, stresses_of, torch_device
from molsieve.potential.stacked import StackedMembers, chunks
from molsieve.potential.storage import load_member
from molsieve.section import CampaignError

CHUNK_EDGES = 64_000
"""Edges evaluated at once by the C kernel, which makes blocks for the cache of its own. Less costs
time (64 anthraquinones, 24,000 edges, five members, one core: 102 ms, in chunks of 4,000 edges
112 ms), more costs memory."""
CHUNK_EDGES_TORCH = 4000
"""The same by torch's operations: 226 ms, all at once 235 ms."""
CHUNK_EDGES_GPU = 400_000


@dataclass(frozen=True)
class CommitteeOutput:
    """The members' word on S structures of N atoms.

    Attributes:
        energies: (M, S) float64, eV, baseline included.
        forces: (M, N, 3) eV/Å in the precision of the positions; None when not asked for.
        features: (S, M F) float32, mean over a structure's atoms of each member's representation,
            the members side by side.
        stress: (M, S, 3, 3) eV/Å³, ``(1/V) dE/d epsilon``, symmetric; NaN for a structure that is
            not periodic in all three directions; None where none is, or without forces.
    """

    energies: Tensor
    forces: Tensor | None
    features: Tensor
    stress: Tensor | None = None

    @property
    def energy_mean(self) -> Tensor:
        """(S,) eV."""
        return self.energies.mean(0)

    @property
    def energy_std(self) -> Tensor:
        """(S,) eV, sample standard deviation over the members."""
        return self.energies.std(0)

    @property
    def forces_mean(self) -> Tensor:
        """(N, 3) eV/Å."""
        assert self.forces is not None
        return self.forces.mean(0)

    @property
    def forces_std(self) -> Tensor:
        """(N, 3) eV/Å, by component, sample standard deviation over the members."""
        assert self.forces is not None
        return self.forces.std(0)

    @property
    def stress_mean(self) -> Tensor | None:
        """(S, 3, 3) eV/Å³, or None."""
        return None if self.stress is None else self.stress.mean(0)

    @property
    def stress_std(self) -> Tensor | None:
        """(S, 3, 3) eV/Å³, by component, sample standard deviation over the members, or None."""
        return None if self.stress is None else self.stress.std(0)


class Committee:
    """Members of one level of theory and one cutoff.

    Attributes:
        elements: atomic numbers every member was trained on, sorted; others give numbers without
            meaning: see :meth:`knows`.
        level_id: of the labels.
        cutoff_angstrom: of the neighbour list.
    """

    def __init__(
        self,
        models: Sequence[EnergyModel],
        descriptions: Sequence[dict[str, Any]],
        device: str = "cpu",
    ):
        if not models:
            raise ValueError("a committee needs at least one member")
        for key in ("level_id", "architecture"):
            if any(d[key] != descriptions[0][key] for d in descriptions):
                raise ValueError(f"the members of a committee must share their {key}")
        self.models, self.descriptions, self.device = list(models), list(descriptions), device
        self.level_id: str = descriptions[0]["level_id"]
        architecture = descriptions[0]["architecture"]
        self.cutoff_angstrom: float = architecture["cutoff_angstrom"]
        self.electronic_embedding: bool = architecture["electronic_embedding"]
        self.elements = sorted(set.intersection(*(set(d["elements"]) for d in descriptions)))
        self.states = {tuple(s) for d in descriptions for s in d["charges_and_multiplicities"]}
        self.stacked = StackedMembers(self.models)

    @classmethod
    def load(cls, folders: Sequence[Path | str], device: str = "cpu") -> Committee:
        """From the folders of its members, onto ``cpu`` or ``gpu``.

        Raises:
            CampaignError: ``gpu`` on a machine without one.
        """
        device = torch_device(device)
        members = [load_member(Path(folder), device) for folder in folders]
        return cls([m for m, _ in members], [d for _, d in members], device)

    def __len__(self) -> int:
        return len(self.models)

    def knows(self, batch: AtomsBatch) -> Tensor:
        """(S,) bool: every element of the structure was in the training data."""
        elements = torch.tensor(self.elements, device=batch.numbers.device)
        strange = (~torch.isin(batch.numbers, elements)).to(torch.int64)
        count = torch.zeros(batch.n_structures, dtype=torch.int64, device=strange.device)
        return count.index_add(0, batch.structure, strange) == 0

    def __call__(
        self,
        batch: AtomsBatch,
        forces: bool = True,
        create_graph: bool = False,
        edges: Edges | None = None,
        stress: bool = True,
    ) -> CommitteeOutput:
        """Evaluate every member, all in one pass, some structures at a time.

        Energies are differentiable in ``batch.positions`` and ``batch.cell`` where those require a
        gradient; forces and stress are too with ``create_graph``. Then the intermediate results of
        all structures stay in memory until the outputs are let go.

        Args:
            forces: and stress.
            edges: of this batch within the cutoff (a ``NeighbourCache`` has them); None: searched.
            stress: False where cells stay as they are: a tenth of the time of a periodic batch.

        Raises:
            CampaignError: a charge or multiplicity the members were not trained on and, without
                the electronic embedding, cannot tell from their own.
        """
        self._check_states(batch)
        batch = batch.to(self.device)
        if edges is None:
            edges = neighbour_list(batch, self.cutoff_angstrom)
        if not (batch.positions.requires_grad or batch.cell.requires_grad):
            create_graph = False
            batch = batch.detached()
        graph = GraphBatch.from_batch(batch, edges)
        if not stress:
            graph = replace(graph, volume_angstrom3=None)
        limit = self._chunk_edges(batch.positions.device.type)
        with flushed_denormals():
            parts = [
                self._evaluate(chunk.of(graph), forces, create_graph)
                for chunk in chunks(graph, limit)
            ]
        return _joined(parts, batch.positions.dtype)

    def _chunk_edges(self, device: str) -> int:
        if device != "cpu":
            return CHUNK_EDGES_GPU
        return CHUNK_EDGES_TORCH if self.stacked.network.library() is None else CHUNK_EDGES

    def _evaluate(self, graph: GraphBatch, forces: bool, create_graph: bool) -> CommitteeOutput:
        """Of structures that are evaluated at once."""
        shared = graph.vectors.to(self.stacked.dtype)
        vectors = shared.expand(len(self), -1, -1)
        if forces and not shared.requires_grad:
            vectors = vectors.detach().requires_grad_(True)
        with torch.set_grad_enabled(vectors.requires_grad):
            energies, features = self.stacked(replace(graph, vectors=vectors), create_graph)
        size = torch.bincount(graph.structure, minlength=graph.n_structures)
        pooled = features.new_zeros(len(self), graph.n_structures, features.shape[2])
        pooled = pooled.index_add(1, graph.structure, features.detach()) / size[:, None]
        pooled = pooled.transpose(0, 1).flatten(1)
        if not forces:
            return CommitteeOutput(energies, None, pooled)
        (gradient,) = torch.autograd.grad(
            energies.sum(), vectors, create_graph=create_graph, retain_graph=shared.requires_grad
        )
        gradient = gradient.double()
        if not shared.requires_grad:
            energies = energies.detach()
        stress = stresses_of(graph, shared, gradient)
        return CommitteeOutput(energies, _forces(graph, gradient), pooled, stress)

    def _check_states(self, batch: AtomsBatch) -> None:
        if self.electronic_embedding:
            return
        pairs = torch.stack([batch.charge, batch.multiplicity], 1).unique(dim=0).tolist()
        strange = sorted({tuple(p) for p in pairs} - self.states)
        if strange:
            raise CampaignError(
                f"structures with (charge, multiplicity) {strange}, but the committee learned from "
                f"{sorted(self.states)} without potential.electronic_embedding; set it to true"
            )


def _forces(graph: GraphBatch, gradient: Tensor) -> Tensor:
    """(M, N, 3) eV/Å from ``dE/dr_ij`` (M, E, 3): ``F_i = sum_j (dE/dr_ij - dE/dr_ji)``."""
    # Edges first: adding long rows takes half the time of adding many short ones.
    by_edge = gradient.transpose(0, 1).contiguous()
    forces = gradient.new_zeros(len(graph.numbers), len(gradient), 3)
    forces = forces.index_add(0, graph.centre, by_edge)
    return forces.index_add(0, graph.neighbour, by_edge, alpha=-1).transpose(0, 1)


def _joined(parts: Sequence[CommitteeOutput], precision: torch.dtype) -> CommitteeOutput:
    """The structures of all parts, forces and stress in ``precision``."""
    forces = [p.forces for p in parts if p.forces is not None]
    stress = [p.stress for p in parts if p.stress is not None]
    return CommitteeOutput(
        energies=torch.cat([p.energies for p in parts], 1),
        forces=torch.cat(forces, 1).to(precision) if forces else None,
        features=torch.cat([p.features for p in parts]),
        stress=torch.cat(stress, 1).to(precision) if stress else None,
    )
