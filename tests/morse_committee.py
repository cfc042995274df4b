"""A small real committee: Morse pair potentials whose members differ in depth and distance.

Same interface as ``molsieve.potential.committee.Committee``; energies in eV, float64.
"""

from __future__ import annotations

import ase
import numpy as np
import torch
from ase.data import covalent_radii

from molsieve.potential.committee import CommitteeOutput
from molsieve.potential.graphs import AtomsBatch
from molsieve.relax import relax_batch

BASELINE_EV = -50.0
FORMULAS = ["COH", "C2H2O", "H3C", "CO2", "C3O2H2"]


class MorseCommittee:
    """E = sum over pairs of D ((1 - exp(-a (r - r0)))² - 1) + baseline, r0 from covalent radii."""

    level_id = "morse"
    device = "cpu"
    elements = frozenset({1, 6, 8})
    states = frozenset({(0, 1)})

    def __init__(self, members: int = 3, difference: float = 0.03, size: float = 1.0):
        spread = difference * np.linspace(-1, 1, members)
        self.depth = [1.5 * (1 + 2 * s) for s in spread]
        self.stretch = [size + s * (-1) ** k for k, s in enumerate(spread)]
        self.calls, self.structures = 0, 0

    def __len__(self) -> int:
        return len(self.depth)

    def __call__(self, batch, forces: bool = True, create_graph: bool = False):
        self.calls += 1
        n_structures = len(batch.charge)
        self.structures += n_structures
        positions = batch.positions
        if not positions.requires_grad:
            positions = positions.detach().requires_grad_(True)
        i, j = torch.triu_indices(len(positions), len(positions), offset=1)
        same = batch.structure[i] == batch.structure[j]
        i, j = i[same], j[same]
        distance = torch.linalg.vector_norm(positions[i] - positions[j], dim=1)
        radii = torch.tensor(covalent_radii)[batch.numbers]
        energies, all_forces = [], []
        for depth, stretch in zip(self.depth, self.stretch, strict=True):
            decay = torch.exp(-1.5 * (distance - stretch * (radii[i] + radii[j])))
            pair = depth * ((1 - decay) ** 2 - 1)
            energy = positions.new_zeros(n_structures).index_add(0, batch.structure[i], pair)
            energy = energy + BASELINE_EV * torch.bincount(batch.structure)
            (gradient,) = torch.autograd.grad(
                energy.sum(), positions, retain_graph=True, create_graph=create_graph
            )
            energies.append(energy)
            all_forces.append(-gradient)
        found = torch.stack(energies), torch.stack(all_forces)
        if not batch.positions.requires_grad:
            found = found[0].detach(), found[1].detach()
        return CommitteeOutput(*found, features=torch.zeros(n_structures, 1))


def cluster(symbols: str, seed: int, noise: float = 0.15) -> ase.Atoms:
    """A loose chain-like cluster, every atom near a place of its own."""
    generator = np.random.default_rng(seed)
    atoms = ase.Atoms(symbols)
    steps = np.array([[1.3, 0.2, 0.0], [0.1, 1.3, 0.3], [0.3, -0.2, 1.2], [-1.2, 0.4, 0.6]])
    places = np.cumsum(steps[np.arange(len(atoms)) % 4], axis=0)
    atoms.positions = places + noise * generator.normal(size=places.shape)
    return atoms


def relaxed_clusters() -> tuple[MorseCommittee, AtomsBatch, torch.Tensor]:
    """A committee, one cluster a formula at its minima, and its mean energies there (S,)."""
    committee = MorseCommittee()
    batch = AtomsBatch.from_atoms([cluster(f, seed) for seed, f in enumerate(FORMULAS)])
    result = relax_batch(committee, batch, 1e-3, 200)
    assert result.converged.all()
    return committee, batch.with_positions(result.positions), result.energies.mean(0)
