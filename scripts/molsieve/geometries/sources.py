"""What each source of distorted geometries offers, from common starts, by its own score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from molsieve.dynamics import DynamicsSettings, Frame, Limits, run_dynamics, stability
from molsieve.dynamics.monitors import force_deviation
from molsieve.geometries.attack import attack_batch
from molsieve.geometries.displacement import (
    Displaced,
    normal_mode_displacement,
    random_displacement,
)
from molsieve.geometries.normal_modes import normal_modes
from molsieve.geometries.soundness import Soundness
from molsieve.geometry_settings import Geometries
from molsieve.potential.batches import AtomsBatch
from molsieve.potential.committee import Committee

CHECK_EVERY = 5
"""Steps between two looks at a trajectory: those of a young committee end within femtoseconds, and
the last sane frame should be near the end."""


@dataclass(frozen=True)
class Starts:
    """S species at the committee's minima.

    Attributes:
        rows: S ``structures`` rows, the labelled geometries they came from.
        batch: at the minima; e_min: (S,) eV, the committee's mean energies there.
        seed: of this round.
    """

    rows: pd.DataFrame
    batch: AtomsBatch
    e_min: Tensor
    seed: int

    def seed_of(self, source: str) -> int:
        """Of a source's own chance: lists of numbers alone would not do, as numpy takes [7, 1] and
        [7, 1, 0] for the same seed."""
        stream = np.random.SeedSequence([self.seed, list(SOURCES).index(source)])
        return int(stream.generate_state(1)[0])


@dataclass(frozen=True)
class Proposal:
    """A geometry of one start: positions (n_atoms, 3) and cell (3, 3) in Å, and its score.

    ``rebonded``: it has other bonds than its start.
    """

    start: int
    positions: np.ndarray
    cell: np.ndarray
    score: float
    rebonded: bool = False


@dataclass(frozen=True)
class Offer:
    """Proposals of one source, most wanted first, and ``metrics`` (name, value, n, interval)."""

    proposals: list[Proposal]
    metrics: list[tuple[str, float, int, list[float]]] = field(default_factory=list)


def attack(committee: Committee, starts: Starts, settings: Geometries) -> Offer:
    """One adversarial geometry a start, by the attack's objective."""
    seed = starts.seed_of("attack")
    found = attack_batch(committee, starts.batch, starts.e_min, settings.attack, seed)
    places = found.positions.split(starts.batch.sizes.tolist())
    return _ranked(
        [
            Proposal(
                s,
                _array(places[s]),
                _array(found.cell[s]),
                float(found.objective[s]),
                bool(found.rebonded[s]),
            )
            for s in torch.nonzero(found.accepted)[:, 0].tolist()
        ]
    )


def dynamics(committee: Committee, starts: Starts, settings: Geometries) -> Offer:
    """Frames where trajectories got uncertain or were about to go astray, by the force spread."""
    mine = settings.dynamics
    wanted = DynamicsSettings(
        temperature_k=mine.temperature_k,
        steps=mine.steps,
        timestep_fs=mine.timestep_fs,
        friction_per_ps=mine.friction_per_ps,
        check_every=CHECK_EVERY,
        limits=Limits(uncertain_force_spread=mine.uncertain_spread_ev_per_angstrom),
    )
    result = run_dynamics(committee, starts.batch, wanted, starts.seed_of("dynamics"))
    share, low, high = stability(result.stable)
    cells = starts.batch.cell
    offered = [
        Proposal(
            f.trajectory,
            f.positions,
            _array(cells[f.trajectory]),
            f.force_spread,
            _rebonded(starts.batch, f),
        )
        for f in result.candidates
        if f.step > 0
    ]
    metrics = [("dynamics_stability", share, len(result.stable), [low, high])]
    return Offer(_ranked(offered).proposals, metrics)


def modes(committee: Committee, starts: Starts, settings: Geometries) -> Offer:
    """Thermal displacements along normal modes, by the force spread."""
    mine = settings.normal_modes
    found = normal_modes(committee, starts.batch)
    copies = [
        normal_mode_displacement(
            starts.batch,
            found,
            mine.temperature_k,
            mine.quantum,
            mine.max_displacement_angstrom,
            [starts.seed_of("normal_modes"), copy],
        )
        for copy in range(mine.copies)
    ]
    return _by_spread(committee, starts, copies)


def random(committee: Committee, starts: Starts, settings: Geometries) -> Offer:
    """Random displacements of every atom, by the force spread."""
    mine = settings.random
    copies = [
        random_displacement(
            starts.batch,
            mine.displacement_angstrom,
            mine.max_displacement_angstrom,
            [starts.seed_of("random"), copy],
        )
        for copy in range(mine.copies)
    ]
    return _by_spread(committee, starts, copies)


SOURCES: dict[str, Callable[[Committee, Starts, Geometries], Offer]] = {
    "attack": attack,
    "dynamics": dynamics,
    "normal_modes": modes,
    "random": random,
}
"""By their names in ``acquisition.geometries.mix``."""


def _rebonded(batch: AtomsBatch, frame: Frame) -> bool:
    """Bonds of a trajectory may stretch further than those of a geometry that keeps its bonds."""
    home = batch.chosen(torch.tensor([frame.trajectory], device=batch.structure.device))
    moved = home.with_positions(torch.as_tensor(frame.positions).to(home.positions))
    return bool(Soundness(home).faults(moved)[0])


def _by_spread(committee: Committee, starts: Starts, copies: list[Displaced]) -> Offer:
    """The sound copies, the members' largest disagreement first."""
    offered = []
    for copy in copies:
        moved = starts.batch.with_positions(copy.positions)
        spread = force_deviation(committee(moved), moved)
        places = copy.positions.split(moved.sizes.tolist())
        offered += [
            Proposal(s, _array(places[s]), _array(moved.cell[s]), float(spread[s]))
            for s in torch.nonzero(copy.sound & torch.isfinite(spread))[:, 0].tolist()
        ]
    return _ranked(offered)


def _ranked(proposals: list[Proposal]) -> Offer:
    return Offer(sorted(proposals, key=lambda proposal: -proposal.score))


def _array(values: Tensor) -> np.ndarray:
    return values.detach().cpu().numpy().astype(float)
