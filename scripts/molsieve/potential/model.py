"""One member: SchNetPack's PaiNN and an energy head over a composition baseline.

PaiNN: Schütt, Unke, Gastegger, ICML 2021, arXiv:2102.03150. Charge and spin enter by SchNetPack's
electronic embeddings (after SpookyNet: Unke et al., Nat. Commun. 12, 7273 (2021)).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor, nn

from molsieve import campaign
from molsieve.potential.graphs import GraphBatch
from molsieve.potential.schnetpack_import import blocks
from molsieve.section import CampaignError

properties = blocks.properties
MAX_ATOMIC_NUMBER = 100
UNPAIRED_ELECTRONS = "unpaired_electrons"


class PaiNN(blocks.PaiNN):  # type: ignore[name-defined,misc]
    """SchNetPack's PaiNN, parameters and function unchanged, evaluated with less memory traffic.

    A training step is bound by tensors of (edges x 9 features x interactions). Three of them fall
    away: the cutoff is folded into the radial functions before the filter layer instead of scaling
    its output, the vector message of the first interaction (whose vectors are zero) is left out,
    and rows are picked by ``index_select``, whose double backward is an ``index_add``. A test
    compares energies and gradients with SchNetPack's own ``forward``.
    """

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Fill in ``scalar_representation`` (N, F) and ``vector_representation`` (N, 3, F)."""
        centre, neighbour = inputs[properties.idx_i], inputs[properties.idx_j]
        numbers, vectors = inputs[properties.Z], inputs[properties.Rij]
        distance = vectors.square().sum(1, keepdim=True).sqrt()
        direction = (vectors / distance).unsqueeze(-1)
        filters = self._filters(distance)
        scalar = self.embedding(numbers)
        for embedding in self.electronic_embeddings:
            scalar = scalar + embedding(scalar, inputs)
        scalar = scalar.unsqueeze(1)
        vector = scalar.new_zeros(len(numbers), 3, self.n_atom_basis)
        for layer, (interaction, mixing) in enumerate(
            zip(self.interactions, self.mixing, strict=True)
        ):
            message = interaction.interatomic_context_net(scalar).squeeze(1)
            message = filters[layer] * message.index_select(0, neighbour)
            radial, along, across = message.split(self.n_atom_basis, dim=-1)
            change = along.unsqueeze(1) * direction
            if layer > 0:
                change = change + across.unsqueeze(1) * vector.index_select(0, neighbour)
            scalar = scalar + torch.zeros_like(scalar[:, 0]).index_add(0, centre, radial).unsqueeze(
                1
            )
            vector = vector + torch.zeros_like(vector).index_add(0, centre, change)
            scalar, vector = mixing(scalar, vector)
        inputs["scalar_representation"] = scalar.squeeze(1)
        inputs["vector_representation"] = vector
        return inputs

    def _filters(self, distance: Tensor) -> tuple[Tensor, ...]:
        """Per interaction (E, 3 F): ``(W phi(d) + b) f_cut(d)`` as one product."""
        cutoff = self.cutoff_fn(distance)
        radial = torch.cat([self.radial_basis(distance).squeeze(1) * cutoff, cutoff], dim=-1)
        weight = torch.cat([self.filter_net.weight, self.filter_net.bias[:, None]], dim=-1)
        return torch.mm(radial, weight.t()).split(3 * self.n_atom_basis, dim=-1)


@dataclass(frozen=True)
class Architecture:
    """Everything that fixes the shape of a member's parameters."""

    features: int
    interactions: int
    radial_functions: int
    cutoff_angstrom: float
    electronic_embedding: bool

    @classmethod
    def of(cls, settings: campaign.Potential) -> Architecture:
        """The architecture part of a campaign's ``potential:`` section."""
        return cls(**{key: getattr(settings, key) for key in cls.__dataclass_fields__})

    def as_dict(self) -> dict:
        """Plain JSON values."""
        return asdict(self)


class EnergyModel(nn.Module):
    """Energy of a batch: ``sum_atoms (baseline_Z + scale * network)``.

    The network is float32; atoms are summed in float64, where the baseline lives, so that energies
    of -1e5 eV keep their last meV.
    """

    baseline_ev: Tensor
    scale_ev: Tensor

    def __init__(self, architecture: Architecture):
        super().__init__()
        features = architecture.features
        radial = blocks.nn.GaussianRBF(architecture.radial_functions, architecture.cutoff_angstrom)
        self.representation = PaiNN(
            n_atom_basis=features,
            n_interactions=architecture.interactions,
            radial_basis=radial,
            cutoff_fn=blocks.nn.CosineCutoff(architecture.cutoff_angstrom),
            electronic_embeddings=_electronic_embeddings(architecture),
        )
        self.head = blocks.Atomwise(
            n_in=features, aggregation_mode=None, per_atom_output_key="atom_energy"
        )
        self.register_buffer("baseline_ev", torch.zeros(MAX_ATOMIC_NUMBER + 1, dtype=torch.float64))
        self.register_buffer("scale_ev", torch.ones((), dtype=torch.float64))

    def forward(self, graph: GraphBatch) -> tuple[Tensor, Tensor]:
        """Energies (S,) float64, eV, baseline included, and atom features (N, F)."""
        inputs = schnetpack_inputs(graph)
        inputs = self.head(self.representation(inputs))
        atoms = self.scale_ev * inputs["atom_energy"].squeeze(-1).double()
        atoms = atoms + self.baseline_ev.index_select(0, graph.numbers)
        energies = atoms.new_zeros(graph.n_structures).index_add(0, graph.structure, atoms)
        return energies, inputs["scalar_representation"]


def _electronic_embeddings(architecture: Architecture) -> list[nn.Module]:
    if not architecture.electronic_embedding:
        return []
    embedding = blocks.nn.ElectronicEmbedding
    return [
        embedding(properties.total_charge, architecture.features, is_charged=True),
        embedding(UNPAIRED_ELECTRONS, architecture.features, is_charged=False),
    ]


def schnetpack_inputs(graph: GraphBatch) -> dict[str, Tensor]:
    """The batch under SchNetPack's keys; spin as unpaired electrons, 0 for a singlet."""
    dtype = graph.vectors.dtype
    return {
        properties.Z: graph.numbers,
        properties.Rij: graph.vectors,
        properties.idx_i: graph.centre,
        properties.idx_j: graph.neighbour,
        properties.idx_m: graph.structure,
        properties.idx: torch.arange(graph.n_structures, device=graph.numbers.device),
        properties.total_charge: graph.charge.to(dtype),
        UNPAIRED_ELECTRONS: (graph.multiplicity - 1).to(dtype),
    }


def energies_and_forces(
    model: EnergyModel, graph: GraphBatch, create_graph: bool
) -> tuple[Tensor, Tensor]:
    """Energies (S,) eV and forces (N, 3) eV/Å of a batch whose vectors are data.

    The gradient is taken with respect to ``r_ij`` and gathered on the atoms:
    ``F_i = sum_j (dE/dr_ij - dE/dr_ji)``. ``create_graph`` for a loss on the forces.
    """
    vectors = graph.vectors.detach().requires_grad_(True)
    energies, _ = model(replace(graph, vectors=vectors))
    (gradient,) = torch.autograd.grad(energies.sum(), vectors, create_graph=create_graph)
    forces = gradient.new_zeros(len(graph.numbers), 3)
    forces = forces.index_add(0, graph.centre, gradient)
    return energies, forces.index_add(0, graph.neighbour, -gradient)


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Denormal numbers count as zero inside.

    Gaussians far from their centre are denormal, at which a core works half as fast (tried: 204 ms
    a step with them, 107 without) and which mean nothing.
    """
    tiny = torch.tensor(1e-40)
    # torch does not tell the setting; whether a denormal survives an addition does.
    before = bool((tiny + tiny) == 0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def torch_device(device: str) -> str:
    """torch's name of ``potential.device``: ``cpu``, ``gpu`` or ``auto`` (or one of torch's own).

    ``auto`` is the GPU where torch sees one, else the CPU, and says so where it is the CPU (in a
    rule that is its log).

    Raises:
        CampaignError: ``gpu`` on a machine without one.
    """
    if device not in ("gpu", "auto"):
        return device
    if torch.cuda.is_available():
        return "cuda"
    if device == "gpu":
        raise CampaignError(
            "potential.device: gpu, but torch sees no GPU on this machine; allowed here: cpu, auto"
        )
    print("potential.device: auto, and torch sees no GPU on this machine: the CPU it is")
    return "cpu"
