"""What a worker docks: the poses of guests in a relaxed framework, neutral together."""

from __future__ import annotations

from dataclasses import dataclass

import ase
import numpy as np
from ase.data import atomic_numbers

from molsieve.docking.cells import CellError, repeats_for_guest
from molsieve.docking.guests import Guest, guest_from_atoms
from molsieve.docking.hosts import Host
from molsieve.docking.poses import DockingSettings, dock_in_host
from molsieve.domains.zeolite import config
from molsieve.domains.zeolite.building import BuildFailure
from molsieve.section import digest

HOSTS_KEPT = 2
TRIVALENT = [atomic_numbers[symbol] for symbol in ("Al", "B", "Ga", "In")]
POSES_A_POSE = 4
"""Poses of charged guests that are docked for each that is kept: those nearest to aluminium."""
NOT_REPEATED = (
    " (not done where aluminium balances the guests: raise candidates.source.min_cell_angstrom)"
)


@dataclass(frozen=True)
class ComplexTask:
    """Guests to dock in a relaxed framework; ``name`` seeds the search.

    Of charged guests the framework holds the protons that they take the place of.
    """

    name: str
    framework: ase.Atoms
    conformers: list[ase.Atoms]
    energies_ev: list[float]
    smiles: str
    loading: int
    settings: dict
    seed: int


@dataclass(frozen=True)
class BuiltComplex:
    """Poses, best docking score first, in the framework repeated."""

    poses: list[ase.Atoms]
    repeats: tuple[int, int, int]


def build_complex(task: ComplexTask) -> BuiltComplex | BuildFailure:
    """The best poses in the framework's cell, or in it repeated where a guest meets its images.

    Charged guests take the place of the framework's protons; of their best poses those nearest to
    aluminium are kept, as docking knows no charges. Their cell is never repeated: it would hold
    more aluminium than guests.
    """
    settings = config.Structures.model_validate(task.settings)
    guest = guest_from_atoms(task.smiles, task.conformers, task.energies_ev)
    charge = guest.charge_e * task.loading
    docking = DockingSettings(
        seed=int(digest(["docking", task.seed, task.name]), 16) % 2**31,
        trials=settings.docking_trials,
        most_poses=settings.poses * (POSES_A_POSE if charge else 1),
        min_image_distance_angstrom=settings.min_image_distance_angstrom,
    )
    found = _docked(task, without_protons(task.framework, charge), guest, settings, docking)
    if isinstance(found, BuildFailure) or not charge:
        return found
    for pose in found.poses:
        pose.info["charge_e"] -= charge
    return BuiltComplex(_nearest_to_aluminium(found.poses)[: settings.poses], found.repeats)


def without_protons(framework: ase.Atoms, protons: int) -> ase.Atoms:
    """The framework less the protons that stand for charged guests, all that it has.

    Raises:
        ValueError: it has more or fewer.
    """
    if protons == 0:
        return framework
    kept = framework[framework.numbers != 1]
    if len(framework) - len(kept) != protons:
        raise ValueError(f"{len(framework) - len(kept)} protons for guests of {protons:+d} e")
    return kept


def _docked(
    task: ComplexTask,
    framework: ase.Atoms,
    guest: Guest,
    settings: config.Structures,
    docking: DockingSettings,
) -> BuiltComplex | BuildFailure:
    reason = ""
    host = _host(framework)
    try:
        for repeats in _repeats(framework, guest, settings):
            atoms = len(framework) * int(np.prod(repeats))
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
    return BuildFailure("no_pose", reason + (NOT_REPEATED if guest.charge_e else ""))


def _nearest_to_aluminium(poses: list[ase.Atoms]) -> list[ase.Atoms]:
    """Poses by the mean distance of guests' onium atoms to their next aluminium, in steps of 0.5 Å.

    Within a step, and where nothing is there to measure, in the order of docking.
    """

    def steps(pose: ase.Atoms) -> float:
        guests = [index for members in pose.info["guest_indices"] for index in members]
        centres = [i for i in guests if pose.numbers[i] not in (1, 6, 8)]
        defects = np.setdiff1d(np.flatnonzero(np.isin(pose.numbers, TRIVALENT)), guests).tolist()
        if not centres or not defects:
            return 0.0
        nearest = [pose.get_distances(i, defects, mic=True).min() for i in centres]
        return float(np.round(np.mean(nearest) / 0.5))

    return sorted(poses, key=steps)


def _repeats(
    framework: ase.Atoms, guest: Guest, settings: config.Structures
) -> list[tuple[int, int, int]]:
    """The cell itself (docking refuses poses that meet their images), then one that is enough.

    Of charged guests the cell itself only.
    """
    if guest.charge_e:
        return [(1, 1, 1)]
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
