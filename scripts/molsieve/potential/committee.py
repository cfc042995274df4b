"""The members together: energies and forces of each on a batch, over one neighbour list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from molsieve.potential.graphs import AtomsBatch, GraphBatch, neighbour_list
from molsieve.potential.model import EnergyModel, flushed_denormals, torch_device
from molsieve.potential.storage import load_member
from molsieve.section import CampaignError


@dataclass(frozen=True)
class CommitteeOutput:
    """The members' word on S structures of N atoms.

    Attributes:
        energies: (M, S) float64, eV, baseline included.
        forces: (M, N, 3) eV/Å in the precision of the positions; None when not asked for.
        features: (S, M F) float32, mean over a structure's atoms of each member's representation,
            the members side by side.
    """

    energies: Tensor
    forces: Tensor | None
    features: Tensor

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
        self, batch: AtomsBatch, forces: bool = True, create_graph: bool = False
    ) -> CommitteeOutput:
        """Evaluate every member.

        Energies are differentiable in ``batch.positions`` where those require a gradient; forces
        are too with ``create_graph``.

        Raises:
            CampaignError: a charge or multiplicity the members were not trained on and, without
                the electronic embedding, cannot tell from their own.
        """
        self._check_states(batch)
        batch = batch.to(self.device)
        edges = neighbour_list(batch, self.cutoff_angstrom)
        results = []
        with flushed_denormals():
            for model in self.models:
                graph = GraphBatch.from_batch(batch, edges)
                if batch.positions.requires_grad:
                    results.append(_differentiable(model, graph, batch, forces, create_graph))
                else:
                    results.append(_numbers(model, graph, forces))
        size = batch.sizes[:, None]
        pooled = [
            feature.new_zeros(batch.n_structures, feature.shape[1]).index_add(
                0, batch.structure, feature.detach()
            )
            / size
            for _, _, feature in results
        ]
        return CommitteeOutput(
            energies=torch.stack([energy for energy, _, _ in results]),
            forces=torch.stack([f for _, f, _ in results if f is not None]) if forces else None,
            features=torch.cat(pooled, dim=1),
        )

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


def _numbers(
    model: EnergyModel, graph: GraphBatch, forces: bool
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Energies, forces and features as plain numbers; the gradient stops at ``r_ij``."""
    if not forces:
        with torch.no_grad():
            energies, features = model(graph)
        return energies, None, features
    vectors = graph.vectors.detach().requires_grad_(True)
    energies, features = model(replace(graph, vectors=vectors))
    (gradient,) = torch.autograd.grad(energies.sum(), vectors)
    gradient = gradient.double()
    result = gradient.new_zeros(len(graph.numbers), 3).index_add(0, graph.centre, gradient)
    result = result.index_add(0, graph.neighbour, -gradient)
    return energies.detach(), result, features


def _differentiable(
    model: EnergyModel, graph: GraphBatch, batch: AtomsBatch, forces: bool, create_graph: bool
) -> tuple[Tensor, Tensor | None, Tensor]:
    energies, features = model(graph)
    if not forces:
        return energies, None, features
    (gradient,) = torch.autograd.grad(
        energies.sum(), batch.positions, create_graph=create_graph, retain_graph=True
    )
    return energies, -gradient, features
