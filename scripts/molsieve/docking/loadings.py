"""Several guests in one cell, put in one after another. Å, eV."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from molsieve.docking.cells import image_distances_angstrom
from molsieve.docking.crowding import settle_together
from molsieve.docking.duplicates import different_images, packing_rms_angstrom
from molsieve.docking.guests import Guest
from molsieve.docking.hosts import Host, Symmetry
from molsieve.docking.settings import DockingSettings
from molsieve.docking.singles import Singles
from molsieve.docking.surroundings import Surroundings
from molsieve.docking.threading import threaded

GUEST_REACH_ANGSTROM = 12.0
TESTED_AT_ONCE = 512
FEWEST_REPRESENTATIVES, MOST_PLACES = 12, 6000
SETTLED_PACKINGS = 48
MOST_BEAMS = 3
OVERLAP_ANGSTROM = 0.5
"""Heavy atoms of a guest put in may overlap others by this much before all settle."""
SAME_PLACE_ANGSTROM = 0.1
SAME_ENERGY_EV = 0.1
"""Packings farther apart in energy a guest than this are not compared."""


@dataclass(frozen=True, eq=False)
class Packing:
    """N guests in a cell.

    Attributes:
        positions: (N, n, 3).
        conformers: (N,) int.
        energy_ev: of all of them: with the host, with each other, and their own.
    """

    positions: np.ndarray
    conformers: np.ndarray
    energy_ev: float

    def __len__(self) -> int:
        return len(self.positions)


@dataclass(frozen=True, eq=False)
class Places:
    """M single poses, symmetry images included, lowest energy first."""

    positions: np.ndarray
    conformers: np.ndarray
    energies_ev: np.ndarray


def all_places(guest: Guest, singles: Singles, symmetry: Symmetry) -> Places:
    """The single poses and their images by every operation (by proper ones if chiral)."""
    operations = symmetry.proper() if guest.chiral else symmetry
    count = max(FEWEST_REPRESENTATIVES, MOST_PLACES // len(operations.rotations))
    count = min(count, len(singles.energies_ev))
    images = operations.images(singles.positions[:count])
    new = np.array(
        [
            different_images(pose, guest.automorphisms, operations, SAME_PLACE_ANGSTROM)
            for pose in singles.positions[:count]
        ]
    )
    single, operation = np.nonzero(new)
    return Places(
        images[operation, single], singles.conformers[single], singles.energies_ev[single]
    )


def packings(
    host: Host,
    guest: Guest,
    singles: Singles,
    repeats: tuple[int, int, int],
    loading: int,
    settings: DockingSettings,
) -> dict[int, list[Packing]]:
    """Packings of 1 … ``loading`` guests, lowest energy first; fewer keys where no more fit.

    A beam search: the first guest takes each distinct single pose, each next one the places that
    overlap those before least; then all of them settle together, and clashes are refused.
    """
    columns = zip(singles.positions, singles.conformers, singles.energies_ev, strict=True)
    found = {1: [Packing(x[None], np.array([c]), float(energy)) for x, c, energy in columns]}
    if loading == 1:
        return found
    symmetry = host.symmetry_of(repeats)
    places = all_places(guest, singles, symmetry)
    for count in range(2, loading + 1):
        rng = np.random.default_rng([settings.seed, count])
        grown = _grown(host, guest, found[count - 1], places, symmetry.cell, settings, rng)
        if not grown:
            break
        found[count] = _distinct(grown, guest, symmetry, settings)
    return found


def _grown(
    host: Host,
    guest: Guest,
    packings_before: list[Packing],
    places: Places,
    cell: np.ndarray,
    settings: DockingSettings,
    rng: np.random.Generator,
) -> list[Packing]:
    """Packings of one guest more: of the lowest ones, or of the next where those have no room."""
    for turn in range(MOST_BEAMS):
        beam = packings_before[turn * settings.beam : (turn + 1) * settings.beam]
        crowded = [
            new for old in beam for new in _inserted(old, guest, places, cell, settings.clash_scale)
        ]
        grown = _settled(host, guest, crowded, cell, settings, rng)
        if grown:
            return grown
    return []


def _inserted(
    packing: Packing, guest: Guest, places: Places, cell: np.ndarray, scale: float
) -> list[Packing]:
    """The packing with one guest more, at the lowest places that overlap it a little at most."""
    heavy = guest.automorphisms[0]
    numbers = np.tile(guest.numbers[heavy], len(packing))
    skeletons = Surroundings(cell, numbers, packing.positions[:, heavy].reshape(-1, 3), 5.0)
    free: list[int] = []
    for start in range(0, len(places.energies_ev), TESTED_AT_ONCE):
        part = places.positions[start : start + TESTED_AT_ONCE, heavy]
        margins = skeletons.margins_angstrom(guest.numbers[heavy], part, scale)
        free += (start + np.flatnonzero(margins >= -OVERLAP_ANGSTROM)).tolist()
        if len(free) >= 2 * SETTLED_PACKINGS:
            break
    chosen = np.array(free[: 2 * SETTLED_PACKINGS], dtype=int)
    others = _around(guest, packing.positions, cell)
    between = others.energies_ev(guest.numbers, places.positions[chosen])
    return [
        Packing(
            np.concatenate([packing.positions, places.positions[k][None]]),
            np.append(packing.conformers, places.conformers[k]),
            packing.energy_ev + float(places.energies_ev[k]) + float(energy),
        )
        for k, energy in zip(chosen, between, strict=True)
    ]


def _settled(
    host: Host,
    guest: Guest,
    crowded: list[Packing],
    cell: np.ndarray,
    settings: DockingSettings,
    rng: np.random.Generator,
) -> list[Packing]:
    """The lowest of them, settled, without those that clash still."""
    lowest = sorted(crowded, key=lambda packing: packing.energy_ev)[:SETTLED_PACKINGS]
    if not lowest:
        return []
    start = np.array([packing.positions for packing in lowest])
    end = settle_together(host, guest, start, cell, settings.settling_steps, rng)
    return [
        Packing(positions, old.conformers, _energy_ev(host, guest, positions, old, cell))
        for old, positions in zip(lowest, end, strict=True)
        if clash_free(host, guest, positions, cell, settings)
    ]


def clash_free(
    host: Host, guest: Guest, positions: np.ndarray, cell: np.ndarray, settings: DockingSettings
) -> bool:
    """Whether N guests (N, n, 3) clash with nothing, each other and their images included."""
    scale = settings.clash_scale
    if host.near.margins_angstrom(guest.numbers, positions, scale).min() < 0:
        return False
    reach = settings.min_image_distance_angstrom
    if np.isfinite(image_distances_angstrom(positions, cell, reach)).any():
        return False
    if threaded(host, guest, positions).any():
        return False
    for k in range(1, len(positions)):
        others = _around(guest, positions[:k], cell)
        if others.margins_angstrom(guest.numbers, positions[k : k + 1], scale)[0] < 0:
            return False
    return True


def _energy_ev(
    host: Host, guest: Guest, positions: np.ndarray, packing: Packing, cell: np.ndarray
) -> float:
    strain = float(np.array(guest.energies_ev)[packing.conformers].sum())
    total = strain + float(host.score.energies_ev(guest.numbers, positions).sum())
    for k in range(1, len(positions)):
        others = _around(guest, positions[:k], cell)
        total += float(others.energies_ev(guest.numbers, positions[k : k + 1])[0])
    return total


def _around(guest: Guest, positions: np.ndarray, cell: np.ndarray) -> Surroundings:
    """What a further guest meets of guests (N, n, 3) and their images."""
    numbers = np.tile(guest.numbers, len(positions))
    return Surroundings(cell, numbers, positions.reshape(-1, 3), GUEST_REACH_ANGSTROM)


def _distinct(
    grown: list[Packing], guest: Guest, symmetry: Symmetry, settings: DockingSettings
) -> list[Packing]:
    kept: list[Packing] = []
    tolerance = settings.rmsd_tolerance_angstrom
    for packing in sorted(grown, key=lambda found: found.energy_ev):
        near = SAME_ENERGY_EV * len(packing)
        apart = [
            packing_rms_angstrom(
                packing.positions, other.positions, guest.automorphisms, symmetry, tolerance
            )
            for other in kept
            if packing.energy_ev - other.energy_ev <= near
        ]
        if min(apart, default=np.inf) > tolerance:
            kept.append(packing)
    return kept
