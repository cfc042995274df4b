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
from molsieve.potential.kernels import MessageEdges, RadialBasis, messages
from molsieve.potential.kernels.training_network import TrainingNetwork
from molsieve.potential.schnetpack_import import blocks
from molsieve.section import CampaignError

properties = blocks.properties
MAX_ATOMIC_NUMBER = 99
"""SchNetPack's embedding has rows for the atomic numbers 0 to 99."""
UNPAIRED_ELECTRONS = "unpaired_electrons"


class PaiNN(blocks.PaiNN):  # type: ignore[name-defined,misc]
    """SchNetPack's PaiNN, parameters and function unchanged, evaluated with less memory traffic.

    The messages over edges are one call, in C where that is possible (``kernels``): the filters
    are never written to memory. The cutoff is folded into the radial functions. The vector message
    of the first interaction (whose vectors are zero) is left out. A test compares energies and
    gradients with SchNetPack's own ``forward``.
    """

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Fill in ``scalar_representation`` (N, F) and ``vector_representation`` (N, 3, F)."""
        edges = self._edges(inputs)
        scalar = self.embedded(inputs).unsqueeze(1)
        vector: Tensor | None = None
        for interaction, mixing, weights in zip(
            self.interactions, self.mixing, self._filter_weights(), strict=True
        ):
            phi = interaction.interatomic_context_net(scalar).transpose(0, 1)
            mu = None if vector is None else vector.unsqueeze(0)
            dq, dmu = messages(phi, mu, weights.unsqueeze(0), edges)
            scalar = scalar + dq.transpose(0, 1)
            vector = dmu[0] if vector is None else vector + dmu[0]
            scalar, vector = mixing(scalar, vector)
        assert vector is not None
        inputs["scalar_representation"] = scalar.squeeze(1)
        inputs["vector_representation"] = vector
        return inputs

    def embedded(self, inputs: dict[str, Tensor]) -> Tensor:
        """(N, F) before the first interaction: elements, charge and spin."""
        scalar: Tensor = self.embedding(inputs[properties.Z])
        for embedding in self.electronic_embeddings:
            scalar = scalar + embedding(scalar, inputs)
        return scalar

    def _edges(self, inputs: dict[str, Tensor]) -> MessageEdges:
        radial = self.radial_basis
        return MessageEdges(
            vectors=inputs[properties.Rij].unsqueeze(0),
            centre=inputs[properties.idx_i],
            neighbour=inputs[properties.idx_j],
            n_atoms=len(inputs[properties.Z]),
            radial=RadialBasis(radial.offsets, radial.widths, float(self.cutoff)),
        )

    def _filter_weights(self) -> tuple[Tensor, ...]:
        """Per interaction (K + 1, 3 F): weight and bias of the filter layer, transposed."""
        layer = self.filter_net
        weight = torch.cat([layer.weight, layer.bias[:, None]], dim=-1)
        split: tuple[Tensor, ...] = weight.t().split(3 * self.n_atom_basis, dim=-1)
        return split


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
        # One row more than there are elements, as in every member on disk.
        self.register_buffer("baseline_ev", torch.zeros(MAX_ATOMIC_NUMBER + 2, dtype=torch.float64))
        self.register_buffer("scale_ev", torch.ones((), dtype=torch.float64))

    def forward(self, graph: GraphBatch) -> tuple[Tensor, Tensor]:
        """Energies (S,) float64, eV, baseline included, and atom features (N, F)."""
        inputs = schnetpack_inputs(graph)
        inputs = self.head(self.representation(inputs))
        energies = self._totals(graph, inputs["atom_energy"].squeeze(-1))
        return energies, inputs["scalar_representation"]

    def _totals(self, graph: GraphBatch, atoms: Tensor) -> Tensor:
        """(S,) float64, eV, from the network's atom energies (N,)."""
        atoms = self.scale_ev * atoms.double()
        atoms = atoms + self.baseline_ev.index_select(0, graph.numbers)
        return atoms.new_zeros(graph.n_structures).index_add(0, graph.structure, atoms)

    def energies_and_slopes(self, graph: GraphBatch, create_graph: bool) -> tuple[Tensor, Tensor]:
        """Energies (S,) as :meth:`forward`, and their gradient (E, 3) by the vectors, eV/Å.

        Args:
            graph: its vectors are data.
            create_graph: differentiable in the parameters.
        """
        network = TrainingNetwork(self.representation, self.head.outnet)
        if network.library is None:
            vectors = graph.vectors.detach().requires_grad_(True)
            energies, _ = self(replace(graph, vectors=vectors))
            (slopes,) = torch.autograd.grad(energies.sum(), vectors, create_graph=create_graph)
            return energies, slopes
        with torch.set_grad_enabled(create_graph):
            embedded = self.representation.embedded(schnetpack_inputs(graph))
            atoms, slopes = network(graph, embedded)
            return self._totals(graph, atoms), self.scale_ev.to(slopes.dtype) * slopes


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
    return energies_forces_stresses(model, graph, create_graph)[:2]


def energies_forces_stresses(
    model: EnergyModel, graph: GraphBatch, create_graph: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """As :func:`energies_and_forces`, and stresses (S, 3, 3) eV/Å³.

    Stresses come from the same gradient (:func:`stresses_of`); NaN where a structure is not
    periodic in all three directions, None where that is so of every structure.
    """
    energies, gradient = model.energies_and_slopes(graph, create_graph)
    forces = gradient.new_zeros(len(graph.numbers), 3)
    forces = forces.index_add(0, graph.centre, gradient)
    forces = forces.index_add(0, graph.neighbour, -gradient)
    return energies, forces, stresses_of(graph, graph.vectors.detach(), gradient)


def stresses_of(graph: GraphBatch, vectors: Tensor, gradient: Tensor) -> Tensor | None:
    """(..., S, 3, 3) eV/Å³ of a batch: ``sigma = (1/V) sum_ij r_ij (x) dE/dr_ij``, symmetrised.

    A strain takes ``r_ij`` to ``r_ij (1 + epsilon)``, so this is ``(1/V) dE/d epsilon``: Knuth,
    Carbogno, Atalla, Blum, Scheffler, Comput. Phys. Commun. 190, 33 (2015), eq. 8; ASE's sign.

    Args:
        vectors, gradient: (E, 3) ``r_ij``, Å, and (..., E, 3) ``dE/dr_ij``, eV/Å.
    """
    if graph.volume_angstrom3 is None:
        return None
    owner = graph.structure.index_select(0, graph.centre)
    # Edges first and r by component: index_add is three times faster than on (..., E, 3, 3).
    by_edge = gradient.movedim(-2, 0)
    weights = vectors.view(len(vectors), *(1 for _ in by_edge.shape[1:]), 3).to(gradient.dtype)
    none = gradient.new_zeros(graph.n_structures, *by_edge.shape[1:])
    rows = [none.index_add(0, owner, by_edge * weight) for weight in weights.unbind(-1)]
    virial = torch.stack(rows, -2).movedim(0, -3)
    volume = graph.volume_angstrom3[:, None, None]
    # Divided by a number everywhere: a NaN would come back as the gradient of a molecule.
    stress = 0.5 * (virial + virial.mT) / volume.nan_to_num(nan=1.0)
    return stress.where(volume.isfinite(), torch.nan)


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
