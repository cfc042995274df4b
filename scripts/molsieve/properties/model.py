"""One member: PaiNN features, attention over the whole molecule, intensive heads by level.

Heads add to a linear fit of descriptors of the whole molecule (:mod:`molsieve.properties.linear`),
which the atoms' features hear of as well.
The first level's values come from its heads; a better level's are those plus a correction: a linear
one, and its own heads on the same features, which start silent. What the many cheap labels teach
carries over, and the few better ones teach the difference alone (Delta-learning: Ramakrishnan,
Dral, Rupp, von Lilienfeld, J. Chem. Theory Comput. 11, 2087 (2015)).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from molsieve import campaign
from molsieve.potential.graphs import GraphBatch
from molsieve.potential.model import Architecture, EnergyModel, schnetpack_inputs
from molsieve.properties.attention import GlobalAttention
from molsieve.properties.definitions import chosen
from molsieve.properties.dense import DenseMolecules
from molsieve.properties.descriptors import DESCRIPTORS
from molsieve.properties.linear import FARTHEST, LinearStart
from molsieve.properties.pooling import (
    AttentionPooling,
    ExcitonPooling,
    MeanPooling,
)
from molsieve.property_settings import Properties
from molsieve.section import CampaignError

SHARPNESS = 5.0
"""Of the soft floor of values that are never negative, in units of the value's scale: it bends
within a fifth of it."""


@dataclass(frozen=True)
class PropertyArchitecture:
    """Everything that fixes the shape of a member's parameters.

    Attributes:
        representation: of the atoms, as an energy member's.
        properties: names, in the order of the outputs. levels: how many levels of theory.
        descriptors: how many of the whole molecule.
    """

    representation: Architecture
    properties: tuple[str, ...]
    pooling: str
    global_layers: int
    attention_heads: int
    levels: int = 1
    descriptors: int = 0

    @classmethod
    def of(
        cls, potential: campaign.Potential, settings: Properties, names: tuple[str, ...]
    ) -> PropertyArchitecture:
        """From a campaign's sections.

        Raises:
            CampaignError: heads that do not divide the features.
        """
        if potential.features % settings.attention_heads:
            raise CampaignError(
                f"properties.attention_heads: {settings.attention_heads} do not divide "
                f"potential.features ({potential.features}) evenly"
            )
        return cls(
            Architecture.of(potential),
            tuple(names),
            settings.pooling,
            settings.global_layers,
            settings.attention_heads,
            1 if settings.fidelity is None else 2,
            len(DESCRIPTORS) if settings.descriptors == "orbitals" else 0,
        )

    def as_dict(self) -> dict:
        """Plain JSON values."""
        return asdict(self) | {"properties": list(self.properties)}

    @classmethod
    def from_dict(cls, stored: dict) -> PropertyArchitecture:
        """From :meth:`as_dict`."""
        parts = {
            "representation": Architecture(**stored["representation"]),
            "properties": tuple(stored["properties"]),
        }
        return cls(**stored | parts)


class PropertyModel(nn.Module):
    """P properties of each molecule at L levels of theory.

    Attributes:
        centre: (L, P) and weights: (L, P, D) of the linear start; scale: (P,) of what the network
            adds; mean, width: (D,) of the descriptors.
    """

    centre: Tensor
    weights: Tensor
    scale: Tensor
    mean: Tensor
    width: Tensor
    bounded: Tensor

    def __init__(self, architecture: PropertyArchitecture):
        super().__init__()
        self.architecture = architecture
        features, count = architecture.representation.features, len(architecture.properties)
        # An energy member's own representation, kernels included: a finetuned one starts as such.
        self.representation = EnergyModel(architecture.representation).representation
        self.channel = nn.Sequential(*(
            GlobalAttention(features, architecture.attention_heads)
            for _ in range(architecture.global_layers)
        ))  # fmt: skip
        self.heads = self._pooling(architecture.pooling)
        corrections = [AttentionPooling(features, count) for _ in range(architecture.levels - 1)]
        for correction in corrections:
            correction.silence()
        self.corrections = nn.ModuleList(corrections)
        smallest = [told.smallest for told in chosen(architecture.properties)]
        levels, told = architecture.levels, architecture.descriptors
        self.hint = nn.Linear(told, features, bias=False) if told else None
        if self.hint is not None:
            nn.init.zeros_(self.hint.weight)
        self.register_buffer("centre", torch.zeros(levels, count))
        self.register_buffer("weights", torch.zeros(levels, count, told))
        self.register_buffer("scale", torch.ones(count))
        self.register_buffer("mean", torch.zeros(told))
        self.register_buffer("width", torch.ones(told))
        self.register_buffer(
            "bounded", torch.tensor([low is not None for low in smallest]), persistent=False
        )

    def _pooling(self, name: str) -> nn.Module:
        told = chosen(self.architecture.properties)
        features = self.architecture.representation.features
        if name == "exciton":
            energies = [place for place, one in enumerate(told) if one.unit == "eV"]
            return ExcitonPooling(features, len(told), energies)
        kinds = {"attention": AttentionPooling, "mean": MeanPooling}
        return kinds[name](features, len(told))

    def start_from(self, linear: LinearStart) -> None:
        """Take over a linear fit."""
        for name, values in vars(linear).items():
            getattr(self, name).copy_(torch.from_numpy(values))

    def forward(self, graph: GraphBatch, positions: Tensor, descriptors: Tensor) -> Tensor:
        """(L, S, P) in the properties' units, in the network's precision.

        Args:
            graph: of molecules; positions: (N, 3) Å of its atoms; descriptors: (S, D).
        """
        inputs = self.representation(schnetpack_inputs(graph))
        features = inputs["scalar_representation"]
        told = (descriptors.to(features.dtype) - self.mean) / self.width
        told = told.clamp(-FARTHEST, FARTHEST)
        if self.hint is not None:
            features = features + self.hint(told).index_select(0, graph.structure)
        molecules = DenseMolecules.of(features, positions, graph.structure, graph.n_structures)
        molecules = self.channel(molecules)
        found = [self.heads(molecules)]
        for correction in self.corrections:
            found.append(found[0] + correction(molecules))
        linear = torch.einsum("sd,lpd->lsp", told, self.weights) + self.centre[:, None]
        return self._not_negative(linear + self.scale * torch.stack(found))

    def _not_negative(self, values: Tensor) -> Tensor:
        """What cannot be negative is not."""
        floor = self.scale / SHARPNESS
        positive = floor * nn.functional.softplus(values / floor)
        return torch.where(self.bounded, positive, values)
