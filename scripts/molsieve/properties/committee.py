"""The property members together: their values for molecules, member by member."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from molsieve.potential.graphs import AtomsBatch, GraphBatch, neighbour_list
from molsieve.potential.model import flushed_denormals, torch_device
from molsieve.properties.descriptors import orbital_descriptors
from molsieve.properties.member_files import load_property_member
from molsieve.properties.model import PropertyModel
from molsieve.section import CampaignError

CHUNK_ATOM_PAIRS = 400_000
"""Attention holds a number for each pair of atoms, head and layer: so many pairs at once."""


class PropertyCommittee:
    """Members of the same levels of theory and the same properties.

    Attributes:
        names: of the properties. level_ids: of the labels, the first that of most of them.
        level_id: the last of them, at which predictions are. descriptors: how many are read.
    """

    def __init__(
        self,
        models: Sequence[PropertyModel],
        descriptions: Sequence[dict[str, Any]],
        device: str = "cpu",
    ):
        if not models:
            raise ValueError("a committee needs at least one member")
        for key in ("level_ids", "architecture"):
            if any(d[key] != descriptions[0][key] for d in descriptions):
                raise ValueError(f"the members of a committee must share their {key}")
        self.models, self.descriptions, self.device = list(models), list(descriptions), device
        architecture = models[0].architecture
        self.names = architecture.properties
        self.cutoff_angstrom = architecture.representation.cutoff_angstrom
        self.descriptors = architecture.descriptors
        self.level_ids: list[str] = descriptions[0]["level_ids"]
        self.level_id = self.level_ids[-1]

    @classmethod
    def load(cls, folders: Sequence[Path | str], device: str = "cpu") -> PropertyCommittee:
        """From the folders of its members, onto ``cpu`` or ``gpu``.

        Raises:
            CampaignError: ``gpu`` on a machine without one.
            ValueError: a file of another format, or broken.
        """
        device = torch_device(device)
        members = [load_property_member(Path(folder), device) for folder in folders]
        return cls([m for m, _ in members], [d for _, d in members], device)

    @classmethod
    def of_files(
        cls, weights: str | Path | Sequence[str | Path], device: str = "cpu"
    ) -> PropertyCommittee | None:
        """From the members' ``model.pt``; None where there are none (a domain without heads)."""
        files = [weights] if isinstance(weights, str | Path) else list(weights)
        return cls.load([Path(file).parent for file in files], device) if files else None

    def __len__(self) -> int:
        return len(self.models)

    def __call__(self, batch: AtomsBatch, level_id: str | None = None) -> dict[str, Tensor]:
        """Name → (M, S) float64 on the CPU, in the properties' units; NaN where the descriptors
        of a molecule cannot be computed.

        Args:
            batch: molecules. level_id: one of ``level_ids``; None: the last.

        Raises:
            CampaignError: a periodic structure.
        """
        if bool(batch.pbc.any()):
            raise CampaignError("property heads are for molecules, not for periodic structures")
        level = self.level_ids.index(level_id or self.level_id)
        batch = batch.detached().to(self.device)
        told = batch.positions.new_zeros(batch.n_structures, 0)
        if self.descriptors:
            told = orbital_descriptors(batch).to(self.device)
        with torch.no_grad(), flushed_denormals():
            parts = [
                self._evaluate(batch.chosen(chunk), told[chunk], level) for chunk in _chunks(batch)
            ]
        values = torch.cat(parts, 1).double().cpu()
        return dict(zip(self.names, values.unbind(2), strict=True))

    def _evaluate(self, batch: AtomsBatch, told: Tensor, level: int) -> Tensor:
        """(M, S, P)."""
        graph = GraphBatch.from_batch(batch, neighbour_list(batch, self.cutoff_angstrom))
        return torch.stack([model(graph, batch.positions, told)[level] for model in self.models])


def _chunks(batch: AtomsBatch) -> list[Tensor]:
    """Structures that are evaluated at once, in their order."""
    widest, count = int(batch.sizes.max()), batch.n_structures
    each = max(1, CHUNK_ATOM_PAIRS // widest**2)
    return list(torch.arange(count, device=batch.numbers.device).split(each))
