"""Normal modes of many structures on the mean of a committee (Wilson, Decius, Cross, 1955).

Hessians are central differences of the mean forces, one coordinate of all structures a call.
Translations, and rotations of what is not periodic, are projected out (the modes are sought in the
space orthogonal to them), so they cannot mix with soft vibrations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from ase.data import atomic_masses
from torch import Tensor

from molsieve.potential.batches import AtomsBatch
from molsieve.units import (
    ANGSTROM_PER_FS2_PER_EV_PER_ANGSTROM_DALTON,
    BOLTZMANN_EV_PER_K,
    HBAR_EV_FS,
)

STEP_ANGSTROM = 0.01
SOFTEST_EV = 0.006
"""Modes softer than this quantum (50 /cm), imaginary ones among them, move as if they had it."""


RIGID_SHARE = 0.01
"""A rotation about an axis this much nearer to all atoms than the others is none: a linear
molecule that is bent by numerical noise."""


@dataclass(frozen=True)
class Modes:
    """The K vibrations of one structure of n atoms, softest first.

    Attributes:
        curvature: (K,) eV/(Å² dalton), eigenvalues of the mass-weighted Hessian; negative for
            imaginary modes.
        vectors: (K, n, 3) dalton^(-1/2): Cartesian displacement by a unit of the mass-weighted
            coordinate.
    """

    curvature: Tensor
    vectors: Tensor

    @property
    def quanta_ev(self) -> Tensor:
        """(K,) ħω, eV; negative for imaginary modes."""
        omega = (self.curvature.abs() * ANGSTROM_PER_FS2_PER_EV_PER_ANGSTROM_DALTON).sqrt()
        return HBAR_EV_FS * omega * self.curvature.sign()

    def amplitudes(self, temperature_k: float, quantum: bool) -> Tensor:
        """(K,) root mean squares of the mass-weighted coordinates at a temperature, Å dalton^½.

        ``<Q²> = kT/λ``; quantum: ``(ħω/2λ) coth(ħω/2kT)``.
        """
        quanta = self.quanta_ev.abs().clamp(min=SOFTEST_EV)
        unit = ANGSTROM_PER_FS2_PER_EV_PER_ANGSTROM_DALTON
        curvature = (quanta / HBAR_EV_FS) ** 2 / unit
        kt = BOLTZMANN_EV_PER_K * temperature_k
        energy = 0.5 * quanta / torch.tanh(0.5 * quanta / kt) if quantum else kt
        return (energy / curvature).sqrt()


def normal_modes(calculator: Any, batch: AtomsBatch) -> list[Modes]:
    """The modes of every structure of ``batch``, as it is (at a minimum, all are real)."""
    hessians = hessian(calculator, batch)
    places = batch.positions.double().split(batch.sizes.tolist())
    numbers = batch.numbers.split(batch.sizes.tolist())
    periodic = batch.pbc.any(1).tolist()
    return [_modes(*given) for given in zip(hessians, places, numbers, periodic, strict=True)]


def hessian(calculator: Any, batch: AtomsBatch) -> list[Tensor]:
    """S symmetric second derivatives (3 n, 3 n), eV/Å², of the committee's mean energy."""
    batch = batch.detached().with_positions(batch.positions.detach().double())
    found = [torch.zeros(3 * n, 3 * n).to(batch.positions) for n in batch.sizes.tolist()]
    for coordinate in range(3 * int(batch.sizes.max())):
        who = torch.nonzero(3 * batch.sizes > coordinate)[:, 0]
        some = batch.chosen(who)
        atom = torch.cumsum(some.sizes, 0) - some.sizes + coordinate // 3
        step = torch.zeros_like(some.positions)
        step[atom, coordinate % 3] = STEP_ANGSTROM
        ahead, behind = (
            calculator(some.with_positions(some.positions + way * step)).forces.double().mean(0)
            for way in (1, -1)
        )
        slopes = ((behind - ahead) / (2 * STEP_ANGSTROM)).split(some.sizes.tolist())
        for s, slope in zip(who.tolist(), slopes, strict=True):
            found[s][coordinate] = slope.flatten()
    return [0.5 * (square + square.t()) for square in found]


def _modes(hessian: Tensor, place: Tensor, numbers: Tensor, periodic: bool) -> Modes:
    """Eigenvectors of the mass-weighted Hessian within the space of vibrations."""
    mass = torch.as_tensor(atomic_masses, device=place.device)[numbers].sqrt()
    weight = mass.repeat_interleave(3)
    inside = _vibrations(place, mass, periodic)
    reduced = inside.t() @ (hessian / torch.outer(weight, weight)) @ inside
    curvature, vectors = torch.linalg.eigh(reduced)
    cartesian = (inside @ vectors).t() / weight
    return Modes(curvature, cartesian.view(len(curvature), len(place), 3))


def _vibrations(place: Tensor, root_mass: Tensor, periodic: bool) -> Tensor:
    """(3 n, K) orthonormal basis of the mass-weighted displacements that are no rigid motion."""
    centre = (root_mass.square()[:, None] * place).sum(0) / root_mass.square().sum()
    axes = torch.eye(3).to(place)
    rigid = [axis.expand_as(place) for axis in axes]
    if not periodic:
        rigid += [torch.linalg.cross(axis.expand_as(place), place - centre) for axis in axes]
    columns = torch.stack([(root_mass[:, None] * motion).flatten() for motion in rigid], 1)
    left, sizes, _ = torch.linalg.svd(columns)
    # A linear molecule has one rotation less, an atom none: their columns add no direction.
    rank = int((sizes > RIGID_SHARE * sizes[0]).sum())
    return left[:, rank:]
