"""Trial placements, and their descent as rigid bodies on the energy grid. Å, eV."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from molsieve.docking.guests import Guest
from molsieve.docking.hosts import Host
from molsieve.docking.orientations import small_rotations, sobol_points, uniform_rotations

FIRST_MOVE_ANGSTROM, LAST_MOVE_ANGSTROM = 0.5, 0.05
FIRST_TURN_RADIAN, LAST_TURN_RADIAN = 0.5, 0.05


@dataclass(eq=False)
class Placements:
    """P rigid placements of a guest.

    Attributes:
        conformers: (P,) int.
        rotations: (P, 3, 3).
        centres: (P, 3), where the conformer's mean position is.
        energies_ev: (P,) on the grid, the conformer's own energy included.
    """

    conformers: np.ndarray
    rotations: np.ndarray
    centres: np.ndarray
    energies_ev: np.ndarray

    def positions(self, guest: Guest) -> np.ndarray:
        """(P, n, 3) atoms."""
        local = guest.coordinates[self.conformers]
        return np.einsum("pab,pnb->pna", self.rotations, local) + self.centres[:, None]

    def take(self, index: np.ndarray | slice) -> Placements:
        """Those of ``index`` (mask, integers or slice)."""
        return Placements(
            self.conformers[index],
            self.rotations[index],
            self.centres[index],
            self.energies_ev[index],
        )


def trial_placements(
    guest: Guest, sites: np.ndarray, spacing: float, trials: int, rng: np.random.Generator
) -> Placements:
    """About ``trials`` placements: every conformer at every site (S, 3), evenly turned.

    Each is a scrambled Sobol point of orientation (3) and of place within half a spacing of the
    site (3); at least one a conformer and site.
    """
    count = len(guest.conformers)
    each = max(1, trials // (len(sites) * count))
    points = sobol_points(each * len(sites) * count, 6, rng)
    which = np.arange(len(points)) // each
    centres = sites[which % len(sites)] + spacing * (points[:, 3:] - 0.5)
    return Placements(
        which // len(sites), uniform_rotations(points[:, :3]), centres, np.full(len(points), np.inf)
    )


def settle(
    host: Host, guest: Guest, placements: Placements, steps: int, rng: np.random.Generator
) -> Placements:
    """All placements moved downhill on the energy grid by shrinking random rigid moves.

    Each step proposes one move and one turn of every placement and keeps what lowers the energy
    (Metropolis Monte Carlo at zero temperature); clashes are only steep hills, so that a placement
    that overlaps the framework a little finds its way out.
    """
    strain = np.array(guest.energies_ev)[placements.conformers]
    found = placements.take(slice(None))
    found.energies_ev = host.grid_energies_ev(guest.numbers, found.positions(guest)) + strain
    for step in range(steps):
        fraction = step / max(steps - 1, 1)
        move = FIRST_MOVE_ANGSTROM * (LAST_MOVE_ANGSTROM / FIRST_MOVE_ANGSTROM) ** fraction
        turn = FIRST_TURN_RADIAN * (LAST_TURN_RADIAN / FIRST_TURN_RADIAN) ** fraction
        noise = rng.standard_normal((2, len(strain), 3))
        rotations = small_rotations(turn * noise[1]) @ found.rotations
        trial = Placements(found.conformers, rotations, found.centres + move * noise[0], strain)
        energies = host.grid_energies_ev(guest.numbers, trial.positions(guest)) + strain
        lower = energies < found.energies_ev
        found.rotations = np.where(lower[:, None, None], trial.rotations, found.rotations)
        found.centres = np.where(lower[:, None], trial.centres, found.centres)
        found.energies_ev = np.where(lower, energies, found.energies_ev)
    return found
