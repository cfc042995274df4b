"""GFN2-xTB of ammonia: labels, the inversion barrier, frames of its dynamics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import ase
import numpy as np
from ase.build import molecule

from molsieve import levels
from molsieve.engines.base import CalculationError
from molsieve.engines.tblite import TbliteEngine
from molsieve.potential.graphs import AtomsBatch
from molsieve.units import BOLTZMANN_EV_PER_K

START_FRAMES, START_K = 50, 300.0
NUMBERS = molecule("NH3").numbers


@dataclass(frozen=True)
class Frame:
    """A labelled geometry: positions (4, 3) Å, energy eV, forces (4, 3) eV/Å."""

    positions: np.ndarray
    energy: float
    forces: np.ndarray


class Oracle:
    """GFN2-xTB of ammonia."""

    def __init__(self) -> None:
        self.engine = TbliteEngine(levels.TbliteLevel(engine="tblite"))

    def label(self, positions: np.ndarray) -> Frame:
        """Raises CalculationError where the SCF fails."""
        label = self.engine.compute(ase.Atoms(NUMBERS, positions))
        return Frame(positions.copy(), label.energy_ev, label.forces_ev_per_angstrom)

    def energies(self, positions: np.ndarray) -> np.ndarray:
        """(S,) eV of (S, 4, 3) Å."""
        return np.array([self.label(place).energy for place in positions])


def labelled(oracle: Oracle, places: np.ndarray) -> list[Frame]:
    """Labels of the geometries; a failed calculation costs its label and teaches nothing."""
    found = []
    for place in places:
        try:
            found.append(oracle.label(place))
        except CalculationError:
            continue
    return found


def ammonia(length: np.ndarray, height: np.ndarray) -> np.ndarray:
    """(S, 4, 3) Å: three N-H of ``length``, N ``height`` above the plane of the H."""
    turn = 2 * np.pi / 3 * np.arange(3)
    radius = np.sqrt(length**2 - height**2)
    places = np.zeros((len(length), 4, 3))
    places[:, 1:, 0] = radius[:, None] * np.cos(turn)
    places[:, 1:, 1] = radius[:, None] * np.sin(turn)
    places[:, 1:, 2] = -height[:, None]
    return places


def barrier(energies: Callable[[np.ndarray], np.ndarray]) -> float:
    """Energy (eV) of planar ammonia, its N-H relaxed, above the pyramidal minimum.

    Both by a grid over what the symmetry leaves free, refined three times.
    """
    planar = _lowest(energies, (0.93, 1.05), (0.0, 0.0))
    return planar - _lowest(energies, (0.94, 1.10), (0.22, 0.50))


def _lowest(energies: Callable, length: tuple, height: tuple) -> float:
    count = 9
    for _ in range(4):
        axes = [np.linspace(*length, count), np.linspace(*height, count if height[1] else 1)]
        grid = [axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")]
        found = energies(ammonia(*grid))
        best = int(np.nanargmin(found))
        lowest = float(found[best])
        spacing = [(b - a) / (count - 1) for a, b in (length, height)]
        length, height = (
            (grid[k][best] - 1.5 * spacing[k], grid[k][best] + 1.5 * spacing[k]) for k in range(2)
        )
    return lowest


def start_frames(oracle: Oracle, seed: int) -> list[Frame]:
    """Frames 25 fs apart of GFN2 Langevin dynamics at 300 K (BAOAB, 0.5 fs, 20/ps)."""
    from ase import units

    rng = np.random.default_rng([seed, 1])
    mass = ase.Atoms(NUMBERS).get_masses()[:, None]
    step, kick = 0.5 * units.fs, np.sqrt(BOLTZMANN_EV_PER_K * START_K / mass)
    kept = np.exp(-0.02 / units.fs * step)
    now = oracle.label(molecule("NH3").positions)
    velocity = kick * rng.normal(size=(4, 3))
    frames = []
    for count in range(1, 401 + 50 * START_FRAMES):
        velocity += 0.5 * step * now.forces / mass
        half = now.positions + 0.5 * step * velocity
        velocity = kept * velocity + np.sqrt(1 - kept**2) * kick * rng.normal(size=(4, 3))
        now = oracle.label(half + 0.5 * step * velocity)
        velocity += 0.5 * step * now.forces / mass
        if count > 400 and count % 50 == 0:
            centred = now.positions - now.positions.mean(0)
            frames.append(Frame(centred, now.energy, now.forces))
    return frames


def batch_of(positions: np.ndarray) -> AtomsBatch:
    """(S, 4, 3) Å."""
    return AtomsBatch.from_atoms([ase.Atoms(NUMBERS, place) for place in positions])
