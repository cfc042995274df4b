"""Distinct poses of one guest in a host. Å, eV."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase.data import chemical_symbols

from molsieve.docking.cells import image_distances_angstrom
from molsieve.docking.duplicates import distinct
from molsieve.docking.guests import Guest
from molsieve.docking.hosts import Host
from molsieve.docking.settings import DockingSettings
from molsieve.docking.settling import Placements, settle, trial_placements
from molsieve.docking.sites import CLEARANCE_ANGSTROM, largest_free_sphere_angstrom, pore_sites
from molsieve.docking.threading import threaded
from molsieve.docking.van_der_waals import radius_angstrom

NEIGHBOURS_COMPARED = 8
SETTLED_AT_ONCE = 4096
"""Placements settled together: bounds the memory (some 10 MB for a guest of 30 atoms)."""


@dataclass(frozen=True, eq=False)
class Singles:
    """S distinct poses of one guest, lowest energy first; without any, the reason.

    Attributes:
        positions: (S, n, 3).
        conformers: (S,) int.
        energies_ev: (S,) van der Waals with the host, exact, and the conformer's own.
        reason: None where there are poses.
    """

    positions: np.ndarray
    conformers: np.ndarray
    energies_ev: np.ndarray
    reason: str | None


def single_poses(
    host: Host,
    guest: Guest,
    repeats: tuple[int, int, int],
    settings: DockingSettings,
    most: int,
) -> Singles:
    """Up to ``most`` distinct poses of the guest alone in the host, repeated."""
    rng = np.random.default_rng(settings.seed)
    symmetry = host.symmetry_of(repeats)
    sites, _, spacing = pore_sites(host, host.site_symmetry(repeats), settings.most_sites)
    if not len(sites):
        return _none(
            guest, f"no pores: no point is {CLEARANCE_ANGSTROM} Å away from every framework atom"
        )
    trials = trial_placements(guest, sites, spacing, settings.trials, rng)
    settled = _settled(host, guest, trials, settings, rng)
    positions = settled.positions(guest)
    kept, reason = _acceptable(host, guest, positions, symmetry.cell, settings)
    if reason is not None:
        return _none(guest, reason)
    kept = kept[np.argsort(settled.energies_ev[kept], kind="stable")]
    numbers = distinct(
        positions[kept],
        guest.automorphisms,
        symmetry,
        host.near.nearest_angstrom(positions[kept], NEIGHBOURS_COMPARED),
        settings.rmsd_tolerance_angstrom,
        most,
    )
    return _scored(host, guest, settled.take(kept[numbers]))


def _acceptable(
    host: Host, guest: Guest, positions: np.ndarray, cell: np.ndarray, settings: DockingSettings
) -> tuple[np.ndarray, str | None]:
    """Numbers of the poses (P, n, 3) that nothing speaks against; without any, what does."""
    margins = host.near.margins_angstrom(guest.numbers, positions, settings.clash_scale)
    free = np.flatnonzero(margins >= 0)
    if not len(free):
        return free, _too_large(host, guest, positions, margins, settings)
    free = free[~threaded(host, guest, positions[free])]
    if not len(free):
        return (
            free,
            "guest threaded: every pose without a clash has its ring around a framework bond",
        )
    apart = image_distances_angstrom(positions[free], cell, settings.min_image_distance_angstrom)
    kept = free[np.isinf(apart)]
    return kept, None if len(kept) else _meets_itself(apart, cell, settings)


def _settled(
    host: Host,
    guest: Guest,
    trials: Placements,
    settings: DockingSettings,
    rng: np.random.Generator,
) -> Placements:
    count = len(trials.conformers)
    parts = [
        settle(
            host,
            guest,
            trials.take(slice(start, start + SETTLED_AT_ONCE)),
            settings.settling_steps,
            rng,
        )
        for start in range(0, count, SETTLED_AT_ONCE)
    ]
    return Placements(
        np.concatenate([part.conformers for part in parts]),
        np.concatenate([part.rotations for part in parts]),
        np.concatenate([part.centres for part in parts]),
        np.concatenate([part.energies_ev for part in parts]),
    )


def _scored(host: Host, guest: Guest, placements: Placements) -> Singles:
    positions = placements.positions(guest)
    strain = np.array(guest.energies_ev)[placements.conformers]
    energies = host.score.energies_ev(guest.numbers, positions) + strain
    order = np.argsort(energies, kind="stable")
    return Singles(positions[order], placements.conformers[order], energies[order], None)


def _none(guest: Guest, reason: str) -> Singles:
    return Singles(np.empty((0, len(guest.numbers), 3)), np.empty(0, int), np.empty(0), reason)


def _too_large(
    host: Host,
    guest: Guest,
    positions: np.ndarray,
    margins: np.ndarray,
    settings: DockingSettings,
) -> str:
    best = positions[int(np.argmax(margins))]
    first, second, distance = host.near.tightest_contact(guest.numbers, best)
    allowed = settings.clash_scale * (radius_angstrom(first) + radius_angstrom(second))
    return (
        f"guest too large: in the roomiest of {len(margins)} placements its"
        f" {chemical_symbols[first]} is {distance:.2f} Å from a framework"
        f" {chemical_symbols[second]} (allowed: {allowed:.2f}); the largest sphere in the pores is"
        f" {largest_free_sphere_angstrom(host):.1f} Å across, the guest's atoms span"
        f" {guest.diameter_angstrom:.1f} Å"
    )


def _meets_itself(apart: np.ndarray, cell: np.ndarray, settings: DockingSettings) -> str:
    lengths = " × ".join(f"{length:.1f}" for length in np.linalg.norm(cell, axis=1))
    return (
        f"cell too small: every pose comes within {apart.max():.2f} Å of its own image in a cell of"
        f" {lengths} Å (allowed: {settings.min_image_distance_angstrom} Å); repeat the cell"
    )
