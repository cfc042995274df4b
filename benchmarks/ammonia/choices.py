"""The ways to choose what is labelled next, and how long the dynamics stays sane."""

from __future__ import annotations

import numpy as np
import torch

from ammonia.committee import own_minimum
from ammonia.oracle import Frame, batch_of
from molsieve.dynamics import (
    DynamicsResult,
    DynamicsSettings,
    Limits,
    run_dynamics,
    trajectories,
)
from molsieve.geometries.attack import attack_batch
from molsieve.geometries.displacement import normal_mode_displacement, random_displacement
from molsieve.geometries.normal_modes import normal_modes
from molsieve.geometry_settings import Attack
from molsieve.potential.committee import Committee

BUDGET, DYNAMICS_K, STEPS, TRAJECTORIES, SANE = 10, 500.0, 10_000, 100, 97
SETTINGS: dict = {
    "attack": Attack(
        temperature_k=1000.0, steps=60, step_size_angstrom=0.02, max_displacement_angstrom=0.5
    ),
    "attack_starts": 64,
    "apart_angstrom": 0.03,
    "normal_modes_k": 2000.0,
    "random_std_angstrom": 0.1,
    "dynamics_trajectories": 20,
    "dynamics_steps": 2000,
}


def dynamics_settings(steps: int, keep_every: int = 0) -> DynamicsSettings:
    """Langevin at 500 K."""
    return DynamicsSettings(
        temperature_k=DYNAMICS_K,
        steps=steps,
        timestep_fs=0.5,
        friction_per_ps=10.0,
        check_every=20,
        keep_every=keep_every,
        limits=Limits(),
    )


def dynamics(committee: Committee, seed: int, keep_every: int = 0) -> DynamicsResult:
    """Trajectories to choose frames from, at 500 K from the committee's minimum."""
    place = np.repeat(own_minimum(committee)[0][None], SETTINGS["dynamics_trajectories"], 0)
    settings = dynamics_settings(SETTINGS["dynamics_steps"], keep_every)
    return run_dynamics(committee, batch_of(place), settings, seed)


def sane_share(committee: Committee, seed: int) -> float:
    """Share of 100 trajectories of 5 ps at 500 K that end sane.

    Once more than three have failed no more steps are taken, and the share is that of those still
    sane then: an upper bound below 97 %.
    """
    batch = batch_of(np.repeat(own_minimum(committee)[0][None], TRAJECTORIES, 0))
    generators = [np.random.default_rng([seed, stream]) for stream in range(TRAJECTORIES)]
    run = trajectories._Run(committee, batch.detached(), dynamics_settings(STEPS), generators)
    run.look()
    while run.step < STEPS and len(run.who) >= SANE:
        run.advance(20)
        run.look()
    return len(run.who) / TRAJECTORIES


def by_attack(committee: Committee, frames: list[Frame], seed: int) -> np.ndarray:
    """The geometries of the largest objective, no two alike."""
    rng = np.random.default_rng([seed, 2])
    starts = rng.integers(len(frames), size=SETTINGS["attack_starts"])
    batch = batch_of(np.stack([frames[i].positions for i in starts]))
    _, lowest = own_minimum(committee)
    e_min = torch.full((len(starts),), lowest, dtype=torch.float64)
    result = attack_batch(committee, batch, e_min, SETTINGS["attack"], seed)
    places = result.positions.view(-1, 4, 3).numpy()
    order = torch.argsort(result.objective, descending=True, stable=True).tolist()
    ranked = [places[s] for s in order if result.accepted[s]]
    return _unlike(ranked, frames)


def _unlike(ranked: list[np.ndarray], frames: list[Frame]) -> np.ndarray:
    """The first ``BUDGET`` unlike all before them and all labelled ones; at least the first."""
    known = [_shape(f.positions) for f in frames]
    kept: list[np.ndarray] = []
    for place in ranked:
        apart = np.sqrt(np.square(np.stack(known) - _shape(place)).mean(1)).min()
        if apart > SETTINGS["apart_angstrom"] and len(kept) < BUDGET:
            kept.append(place)
            known.append(_shape(place))
    return np.stack(kept or ranked[:1])


def _shape(place: np.ndarray) -> np.ndarray:
    """(6,) N-H and H-H distances, each sorted: blind to the numbering of the H."""
    distance = np.linalg.norm(place[:, None] - place[None], axis=2)
    return np.concatenate(
        [np.sort(distance[0, 1:]), np.sort(distance[1:, 1:][*np.triu_indices(3, 1)])]
    )


def by_dynamics(committee: Committee, frames: list[Frame], seed: int) -> np.ndarray:
    """Random frames, at most every 50 fs, of trajectories that went astray, else of any."""
    result = dynamics(committee, seed, keep_every=100)
    rng = np.random.default_rng([seed, 3])
    parts = [np.asarray(kept)[1:] for kept in result.frames]
    astray = [p for p, stable in zip(parts, result.stable, strict=True) if not stable]
    sane = [p for p, stable in zip(parts, result.stable, strict=True) if stable]
    pools = [rng.permutation(np.concatenate(part)) for part in (astray, sane) if part]
    return np.concatenate(pools)[:BUDGET]


def by_dynamics_spread(committee: Committee, frames: list[Frame], seed: int) -> np.ndarray:
    """Frames the dynamics hands over as candidates, of those the ones of largest spread."""
    result = dynamics(committee, seed)
    ranked = sorted(result.candidates, key=lambda frame: -frame.force_spread)
    return _unlike([frame.positions for frame in ranked], frames)


def by_random(committee: Committee, frames: list[Frame], seed: int) -> np.ndarray:
    """Normal displacements from the committee's minimum."""
    batch = batch_of(np.repeat(own_minimum(committee)[0][None], BUDGET, 0))
    displaced = random_displacement(batch, SETTINGS["random_std_angstrom"], 1.0, [seed, 4])
    return displaced.positions.view(-1, 4, 3).numpy()


def by_normal_modes(committee: Committee, frames: list[Frame], seed: int) -> np.ndarray:
    """Classical harmonic amplitudes along the committee's modes, all at one temperature."""
    place, _ = own_minimum(committee)
    modes = normal_modes(committee, batch_of(place[None])) * BUDGET
    batch = batch_of(np.repeat(place[None], BUDGET, 0))
    temperature = SETTINGS["normal_modes_k"]
    displaced = normal_mode_displacement(batch, modes, temperature, False, 1.0, [seed, 5])
    return displaced.positions.view(-1, 4, 3).numpy()


METHODS = {
    "attack": by_attack,
    "dynamics": by_dynamics,
    "dynamics_spread": by_dynamics_spread,
    "normal_modes": by_normal_modes,
    "random": by_random,
}
