"""What a worker builds: a relaxed framework, a relaxed guest, the poses of a complex."""

from __future__ import annotations

from dataclasses import dataclass

import ase
import numpy as np

from molsieve.docking.cells import CellError, repeats_for_guest
from molsieve.docking.guests import Guest, GuestError, guest_from_atoms, make_guest
from molsieve.docking.hosts import Host
from molsieve.docking.poses import DockingSettings, dock_in_host
from molsieve.domains.zeolite import config
from molsieve.domains.zeolite.frameworks import load_host
from molsieve.domains.zeolite.relaxing import LEVEL, relaxed
from molsieve.engines import open_engine
from molsieve.engines.base import CalculationError
from molsieve.section import digest

GUEST_STEPS = 60
"""GFN1-xTB steps of a guest from its MMFF94 minimum: a few tens do."""
HOSTS_KEPT = 2


@dataclass(frozen=True)
class BuildFailure:
    """Why something could not be built."""

    kind: str
    message: str


@dataclass(frozen=True)
class FrameworkTask:
    """A framework with its heteroatoms: code, CIF file (None: typed in), cell, arrangement."""

    code: str
    path: str | None
    min_cell_angstrom: float
    arrangement: str
    fmax_ev_per_angstrom: float
    max_steps: int


@dataclass(frozen=True)
class GuestTask:
    """A guest and how many of its conformers are wanted."""

    smiles: str
    conformers: int
    fmax_ev_per_angstrom: float
    seed: int


@dataclass(frozen=True)
class ComplexTask:
    """Guests to dock in a relaxed framework; ``name`` seeds the search."""

    name: str
    framework: ase.Atoms
    conformers: list[ase.Atoms]
    energies_ev: list[float]
    smiles: str
    loading: int
    settings: dict
    seed: int


@dataclass(frozen=True)
class BuiltGuest:
    """Conformers, lowest first, and their energies above it."""

    conformers: list[ase.Atoms]
    energies_ev: list[float]


@dataclass(frozen=True)
class BuiltComplex:
    """Poses, best docking score first, in the framework repeated."""

    poses: list[ase.Atoms]
    repeats: tuple[int, int, int]


def build_framework(task: FrameworkTask) -> ase.Atoms | BuildFailure:
    """The framework's cell, neutral, its atoms relaxed for a few steps."""
    host = load_host(task.code, task.path, task.min_cell_angstrom, task.arrangement)
    try:
        return relaxed(host.atoms, task.fmax_ev_per_angstrom, task.max_steps)
    except CalculationError as error:
        return BuildFailure(error.kind, str(error))


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
    order = np.argsort(energies.round(4), kind="stable")
    return BuiltGuest(
        [minima[k] for k in order], [float(energies[k] - energies[order[0]]) for k in order]
    )


def build_complex(task: ComplexTask) -> BuiltComplex | BuildFailure:
    """The best poses in the framework's cell, or in it repeated where a guest meets its images."""
    settings = config.Structures.model_validate(task.settings)
    guest = guest_from_atoms(task.smiles, task.conformers, task.energies_ev)
    docking = DockingSettings(
        seed=int(digest(["docking", task.seed, task.name]), 16) % 2**31,
        trials=settings.docking_trials,
        most_poses=settings.poses,
        min_image_distance_angstrom=settings.min_image_distance_angstrom,
    )
    reason = ""
    host = _host(task.framework)
    try:
        for repeats in _repeats(task.framework, guest, settings):
            atoms = len(task.framework) * int(np.prod(repeats))
            atoms += task.loading * len(guest.numbers)
            if atoms > settings.max_atoms:
                text = f"{atoms} atoms, structures.max_atoms is {settings.max_atoms}"
                tried = f"; in one cell of the framework: {reason}" if reason else ""
                return BuildFailure("too_large", text + tried)
            found = dock_in_host(host, task.name, guest, (task.loading,), repeats, docking)
            if task.loading in found.poses:
                return BuiltComplex(found.poses[task.loading], repeats)
            reason = found.reasons[task.loading]
    except CellError as error:
        return BuildFailure("no_pose", str(error))
    return BuildFailure("no_pose", reason)


def _repeats(
    framework: ase.Atoms, guest: Guest, settings: config.Structures
) -> list[tuple[int, int, int]]:
    """The cell itself (docking refuses poses that meet their images), then one that is enough."""
    enough = repeats_for_guest(
        framework.cell.array, guest.diameter_angstrom, settings.min_image_distance_angstrom
    )
    return list(dict.fromkeys([(1, 1, 1), enough]))


_hosts: dict[str, Host] = {}


def _host(framework: ase.Atoms) -> Host:
    """A framework made ready for docking, kept for the next guests of this process."""
    key = digest([framework.numbers.tolist(), framework.positions.round(6).tolist()])
    if key not in _hosts:
        while len(_hosts) >= HOSTS_KEPT:
            _hosts.pop(next(iter(_hosts)))
        _hosts[key] = Host(framework)
    return _hosts[key]
