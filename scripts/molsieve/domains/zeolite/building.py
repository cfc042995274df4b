"""What a worker relaxes: a framework, a guest (complexes: :mod:`.complexes`)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import ase
import numpy as np

from molsieve.crystals.compensation import (
    compensate,
    compensation_from_id,
    iterate_compensations,
)
from molsieve.crystals.framework import Framework
from molsieve.crystals.rearrangements import rearrangement
from molsieve.docking.guests import GuestError, make_guest
from molsieve.domains.zeolite.frameworks import load_framework, load_host
from molsieve.domains.zeolite.relaxing import LEVEL, relaxed
from molsieve.engines import open_engine
from molsieve.engines.base import CalculationError
from molsieve.section import digest

GUEST_STEPS = 60
"""GFN1-xTB steps of a guest from its MMFF94 minimum: a few tens do."""
PROTON_PLACEMENTS, PROTONS_RELAXED = 4, 2
"""Ways of placing protons for charged guests (an aluminium atom has four oxygens), and how many of
them, the lowest as they are, are relaxed; the lowest of these stands for the framework."""


@dataclass(frozen=True)
class BuildFailure:
    """Why something could not be built."""

    kind: str
    message: str


@dataclass(frozen=True)
class FrameworkTask:
    """A framework with its heteroatoms: code, CIF file (None: typed in), cell, arrangement.

    ``protons`` stand for charged guests: as many as their charges.
    """

    code: str
    path: str | None
    min_cell_angstrom: float
    arrangement: str
    fmax_ev_per_angstrom: float
    max_steps: int
    protons: int = 0


@dataclass(frozen=True)
class GuestTask:
    """A guest and how many of its conformers are wanted."""

    smiles: str
    conformers: int
    fmax_ev_per_angstrom: float
    seed: int


@dataclass(frozen=True)
class BuiltGuest:
    """Conformers, lowest first, and their energies above it."""

    conformers: list[ase.Atoms]
    energies_ev: list[float]


def build_framework(task: FrameworkTask) -> ase.Atoms | BuildFailure:
    """The framework's cell, neutral, its atoms relaxed for a few steps."""
    if not task.protons:
        host = load_host(task.code, task.path, task.min_cell_angstrom, task.arrangement)
        return _relaxed_framework(host.atoms, task)
    try:
        forms = _by_energy([host.atoms for host in _proton_forms(task)])[:PROTONS_RELAXED]
    except CalculationError as error:
        return BuildFailure(error.kind, str(error))
    built = [_relaxed_framework(atoms, task) for atoms in forms]
    sound = [found for found in built if isinstance(found, ase.Atoms)]
    try:
        return _by_energy(sound)[0] if len(sound) > 1 and task.max_steps else [*sound, *built][0]
    except CalculationError as error:
        return BuildFailure(error.kind, str(error))


def _proton_forms(task: FrameworkTask) -> Iterator[Framework]:
    """The framework with protons in place of charged guests, a few distinct ways of them."""
    bare = load_framework(task.code, task.path, task.min_cell_angstrom)
    arrangement = compensation_from_id(bare, task.arrangement).arrangement
    forms = iterate_compensations(bare, arrangement, "H")
    for form in itertools.islice(forms, PROTON_PLACEMENTS):
        if len(form.places) != task.protons:
            raise ValueError(f"{form.id} has not as many protons as its guests have charges")
        yield compensate(bare, form)


def _relaxed_framework(atoms: ase.Atoms, task: FrameworkTask) -> ase.Atoms | BuildFailure:
    try:
        found = relaxed(atoms, task.fmax_ev_per_angstrom, task.max_steps)
    except CalculationError as error:
        return BuildFailure(error.kind, str(error))
    return _rearranged(atoms, found) or found


def _by_energy(forms: list[ase.Atoms]) -> list[ase.Atoms]:
    """Forms of one framework, the lowest GFN1-xTB energy first; of equal ones the first."""
    engine = open_engine(LEVEL)
    energies = [round(engine.compute(atoms).energy_ev, 4) for atoms in forms]
    return [forms[k] for k in np.argsort(energies, kind="stable")]


def _rearranged(before: ase.Atoms, after: ase.Atoms) -> BuildFailure | None:
    """A failure where bonds broke or formed, protons' too: it is another structure now."""
    change = rearrangement(before, after)
    return None if change is None else BuildFailure("rearranged", f"on relaxation: {change.text}")


def build_guest(task: GuestTask) -> BuiltGuest | BuildFailure:
    """Conformers of a guest relaxed with GFN1-xTB, by energy."""
    seed = int(digest(["guest", task.seed, task.smiles]), 16) % 2**31
    try:
        guest = make_guest(task.smiles, task.conformers, seed)
    except GuestError as error:
        return BuildFailure("embedding", str(error))
    engine = open_engine(LEVEL)
    try:
        minima = [
            relaxed(atoms, task.fmax_ev_per_angstrom, GUEST_STEPS) for atoms in guest.conformers
        ]
        energies = np.array([engine.compute(atoms).energy_ev for atoms in minima])
    except CalculationError as error:
        return BuildFailure(error.kind, str(error))
    for before, after in zip(guest.conformers, minima, strict=True):
        if failure := _rearranged(before, after):
            return failure
    order = np.argsort(energies.round(4), kind="stable")
    return BuiltGuest(
        [minima[k] for k in order], [float(energies[k] - energies[order[0]]) for k in order]
    )
