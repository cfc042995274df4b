"""What makes a frame unphysical: its temperature, its energy, its bonds, the members' spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from scipy.stats import chi2
from torch import Tensor

from molsieve.dynamics.integrator import Integrator
from molsieve.geometries.soundness import Soundness
from molsieve.potential.batches import AtomsBatch
from molsieve.units import BOLTZMANN_EV_PER_K

FALSE_ALARM = 1e-9
"""Probability that a frame of a harmonic system crosses the limits before their allowance."""


@dataclass(frozen=True)
class Limits:
    """Beyond these a frame is unphysical and its trajectory ends.

    Attributes:
        bond_stretch: a bond is broken beyond this multiple of the summed covalent radii.
        allowance: temperature and potential energy may reach this multiple of what a harmonic
            system at the thermostat's temperature crosses with probability 1e-9 a frame.
        drift_kt: without a thermostat, the total energy may drift by so many kT a degree of
            freedom.
        force_spread: eV/Å, largest deviation of an atom's force among the members.
        uncertain_force_spread: eV/Å; the first frame beyond is a candidate, the trajectory goes on.
    """

    bond_stretch: float = 1.5
    allowance: float = 2.0
    drift_kt: float = 0.5
    force_spread: float = float("inf")
    uncertain_force_spread: float = float("inf")


@dataclass(frozen=True)
class Reading:
    """One look at A trajectories: temperature K, potential and total energy eV, spread eV/Å."""

    temperature_k: Tensor
    potential_ev: Tensor
    total_ev: Tensor
    force_spread: Tensor


def read(integrator: Integrator) -> Reading:
    """The monitored quantities of this moment, each (A,)."""
    potential = integrator.output.energies.double().mean(0)
    kinetic = integrator.kinetic_ev()
    return Reading(
        integrator.temperatures_k(),
        potential,
        potential + kinetic,
        force_deviation(integrator.output, integrator.batch),
    )


def force_deviation(output: Any, batch: AtomsBatch) -> Tensor:
    """(S,) eV/Å: the largest deviation of an atom's force among the members.

    ``max_i sqrt(<|F_i - <F_i>|²>)``, Zhang, Lin, Wang, Car, E, Phys. Rev. Mater. 3, 023804 (2019),
    eq. 3; the variance is that of a sample.
    """
    atom = output.forces.double().var(0, unbiased=True).sum(1).sqrt()
    largest = atom.new_zeros(batch.n_structures)
    return largest.scatter_reduce(0, batch.structure, atom, "amax")


class Monitor:
    """Judges frames of A trajectories against where each of them started."""

    def __init__(
        self,
        home: AtomsBatch,
        first: Reading,
        temperature_k: float,
        thermostat: bool,
        limits: Limits,
    ):
        self.home, self.first, self.limits, self.thermostat = home, first, limits, thermostat
        self.temperature_k = temperature_k
        self.soundness = Soundness(home, limits.bond_stretch)
        freedom = (3 * home.sizes - 3).clamp(min=1).double()
        crossed = torch.as_tensor(chi2.isf(FALSE_ALARM, freedom.cpu().numpy())).to(freedom)
        self.hottest = limits.allowance * temperature_k * crossed / freedom
        self.steepest = limits.allowance * 0.5 * BOLTZMANN_EV_PER_K * temperature_k * crossed
        self.drift = limits.drift_kt * BOLTZMANN_EV_PER_K * temperature_k * freedom

    def faults(self, batch: AtomsBatch, reading: Reading) -> list[str]:
        """A texts, empty where the frame is sane."""
        change = (reading.potential_ev - self.first.potential_ev).abs()
        drift = (reading.total_ev - self.first.total_ev).abs()
        # Not (value <= limit) instead of (value > limit): what is not finite is beyond it.
        beyond = {
            "temperature": ~(reading.temperature_k <= self.hottest),
            "potential energy": ~(change <= self.steepest),
            "committee spread": ~(reading.force_spread <= self.limits.force_spread),
        }
        if not self.thermostat:
            beyond["energy drift"] = ~(drift <= self.drift)
        reasons = self.soundness.faults(batch)
        for name, where in beyond.items():
            for s in torch.nonzero(where)[:, 0].tolist():
                reasons[s] = reasons[s] or name
        return reasons

    def keep(self, which: Tensor) -> Monitor:
        """The monitor of the trajectories ``which`` (bool (A,))."""
        first = Reading(*(getattr(self.first, name)[which] for name in Reading.__annotations__))
        home = self.home.chosen(torch.nonzero(which)[:, 0])
        return Monitor(home, first, self.temperature_k, self.thermostat, self.limits)
