"""Velocity Verlet and Langevin dynamics of many structures in one batch.

Langevin: the BAOAB splitting of Leimkuhler and Matthews, J. Chem. Phys. 138, 174102 (2013):

    B  v += (dt/2) F/m    A  x += (dt/2) v    O  v = c v + sqrt((1 - c²) kT/m) R, c = exp(-γ dt)

then A and B again; without friction it is velocity Verlet. It samples positions of a harmonic
oscillator exactly at any stable time step. The centre of mass stays: velocities and noise are
projected on zero momentum, which leaves the sampling of all other motion as it is.

Why own code: torch-sim's integrators draw noise for the whole batch from one stream, so a
trajectory depends on its company, and on who has left. Units: Å, fs, dalton, eV.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from ase.data import atomic_masses
from torch import Tensor

from molsieve.potential.batches import AtomsBatch
from molsieve.potential.neighbours import Edges, NeighbourCache, neighbour_list
from molsieve.units import ANGSTROM_PER_FS2_PER_EV_PER_ANGSTROM_DALTON, BOLTZMANN_EV_PER_K

ALL_PAIRS_EDGES = 1.2
"""Small molecules keep all their pairs as edges while these are no more than so many times the
pairs within the cutoff: what is beyond it does not act, and nothing is ever searched again."""


class Integrator:
    """Positions and velocities of the structures that still move.

    Attributes:
        batch: an AtomsBatch of A structures; positions are those of the moment.
        velocities: (N, 3) Å/fs.
        output: the committee's word at these positions.
        mass: (N, 1) dalton.
    """

    def __init__(
        self,
        calculator: Any,
        batch: AtomsBatch,
        generators: Sequence[np.random.Generator],
        temperature_k: float,
        timestep_fs: float,
        friction_per_ps: float,
    ):
        self.calculator, self.generators = calculator, list(generators)
        self.kt_ev, self.dt = BOLTZMANN_EV_PER_K * temperature_k, timestep_fs
        self.decay = math.exp(-friction_per_ps * 1e-3 * timestep_fs)
        self.batch = batch.with_positions(batch.positions.double())
        self.forces = torch.zeros_like(self.batch.positions)
        self._settle()
        self.velocities = self._thermal(1)[0]
        self._evaluate()

    def advance(self, steps: int) -> None:
        """Move everyone so many time steps."""
        place, velocity, half = self.batch.positions, self.velocities, 0.5 * self.dt
        thermostat = self.decay < 1
        noise = self._thermal(steps) * math.sqrt(1 - self.decay**2) if thermostat else None
        kick = half * ANGSTROM_PER_FS2_PER_EV_PER_ANGSTROM_DALTON / self.mass
        for step in range(steps):
            velocity = velocity + kick * self.forces
            if noise is None:
                place = place + self.dt * velocity
            else:
                place = place + half * velocity
                velocity = self.decay * velocity + noise[step]
                place = place + half * velocity
            self.batch = self.batch.with_positions(place)
            self._evaluate()
            velocity = velocity + kick * self.forces
        self.velocities = velocity

    def keep(self, which: Tensor) -> None:
        """Only the structures ``which`` (bool (A,)) go on."""
        stays = which[self.batch.structure]
        velocities, forces = self.velocities[stays], self.forces[stays]
        indices = torch.nonzero(which)[:, 0]
        self.generators = [self.generators[i] for i in indices.tolist()]
        self.batch = self.batch.chosen(indices)
        self._settle()
        self.velocities, self.forces = velocities, forces

    def kinetic_ev(self) -> Tensor:
        """(A,) kinetic energies."""
        energy = 0.5 * self.mass * self.velocities.square()
        total = energy.new_zeros(self.batch.n_structures)
        total = total.index_add(0, self.batch.structure, energy.sum(1))
        return total / ANGSTROM_PER_FS2_PER_EV_PER_ANGSTROM_DALTON

    def temperatures_k(self) -> Tensor:
        """(A,) kinetic temperatures over 3 n - 3 degrees of freedom (0 for a single atom)."""
        freedom = (3 * self.batch.sizes - 3).clamp(min=1)
        return 2 * self.kinetic_ev() / (freedom * BOLTZMANN_EV_PER_K)

    def _settle(self) -> None:
        """Masses and neighbour list of the batch."""
        batch = self.batch
        mass = torch.as_tensor(atomic_masses, device=batch.numbers.device)[batch.numbers]
        self.mass = mass[:, None]
        self.total_mass = mass.new_zeros(batch.n_structures).index_add(0, batch.structure, mass)
        self.pairs = _pairs_of(self.calculator, batch)

    def _evaluate(self) -> None:
        edges = {} if self.pairs is None else {"edges": self.pairs(self.batch)}
        self.output = self.calculator(self.batch, **edges)
        self.forces = self.output.forces.mean(0).to(self.batch.positions)

    def _thermal(self, count: int) -> Tensor:
        """(count, N, 3) Maxwell-Boltzmann velocities without momentum, each structure's from its
        own stream, whoever else is there."""
        sizes = self.batch.sizes.tolist()
        drawn = [
            generator.standard_normal((count, size, 3))
            for generator, size in zip(self.generators, sizes, strict=True)
        ]
        normal = torch.from_numpy(np.concatenate(drawn, 1)).to(self.batch.positions)
        unit = self.kt_ev * ANGSTROM_PER_FS2_PER_EV_PER_ANGSTROM_DALTON
        velocity = normal * torch.sqrt(unit / self.mass)
        owner = self.batch.structure
        momentum = velocity.new_zeros(count, self.batch.n_structures, 3)
        momentum = momentum.index_add(1, owner, self.mass * velocity)
        return velocity - (momentum / self.total_mass[:, None]).index_select(1, owner)


class _AllPairs:
    """Every pair of every molecule, whatever its distance."""

    def __init__(self, edges: Edges):
        self.edges = edges

    def __call__(self, batch: AtomsBatch) -> Edges:
        return self.edges


def _pairs_of(calculator: Any, batch: AtomsBatch) -> Any:
    """A function of the batch that gives its edges; None for a calculator without a cutoff."""
    cutoff = getattr(calculator, "cutoff_angstrom", None)
    if cutoff is None or not batch.n_structures:
        return None
    sizes = batch.sizes
    if not bool(batch.pbc.any()):
        within = len(neighbour_list(batch, cutoff).centre)
        if int((sizes * (sizes - 1)).sum()) <= ALL_PAIRS_EDGES * within:
            return _AllPairs(neighbour_list(batch, math.inf))
    return NeighbourCache(cutoff)
