"""Trajectories of many structures at once, each until its end or its first unphysical frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from molsieve.dynamics.integrator import Integrator
from molsieve.dynamics.monitors import Limits, Monitor, Reading, read
from molsieve.potential.batches import AtomsBatch
from molsieve.potential.calibration import binomial_interval


@dataclass(frozen=True)
class DynamicsSettings:
    """How long, how hot, and what is looked at.

    Attributes:
        temperature_k: of the first velocities and of the thermostat.
        steps: time steps of a trajectory that ends sane.
        friction_per_ps: of the Langevin thermostat; 0: constant energy (velocity Verlet).
        check_every: steps between two looks at a trajectory.
        keep_every: steps between two kept frames, a multiple of ``check_every``; 0: none is kept.
    """

    temperature_k: float = 300.0
    steps: int = 10_000
    timestep_fs: float = 0.5
    friction_per_ps: float = 10.0
    check_every: int = 20
    keep_every: int = 0
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.keep_every % self.check_every:
            raise ValueError(
                f"keep_every: {self.keep_every} is no multiple of check_every ({self.check_every})"
            )


@dataclass(frozen=True)
class Frame:
    """A sane frame worth a label.

    Attributes:
        trajectory: index in the batch; step: of that trajectory.
        positions: (n_atoms, 3) Å.
        force_spread: eV/Å, see ``force_deviation``.
        potential_ev: committee's mean energy.
        why: "uncertain" (the spread first exceeded its threshold), "last sane" (the next look found
            the trajectory unphysical) or "most uncertain" (the largest spread on its way).
    """

    trajectory: int
    step: int
    positions: np.ndarray
    force_spread: float
    potential_ev: float
    why: str


@dataclass(frozen=True)
class DynamicsResult:
    """What became of S trajectories, in the order of the batch; K looks.

    Attributes:
        stable: (S,) bool, sane at every look to the end.
        reasons: S texts, empty where stable.
        ended_step: (S,) steps done; at an unphysical end the step of the look that found it.
        positions: (N, 3) Å, the last sane ones (the given ones if those were not sane).
        steps: (K,) of the looks.
        temperature_k, potential_ev, total_ev, force_spread: (K, S); NaN after the end.
        frames: S tensors (kept, n_atoms, 3), Å, every ``keep_every`` steps from step 0, sane ones.
        candidates: frames worth a label, by trajectory.
        calls: of the committee.
    """

    stable: Tensor
    reasons: list[str]
    ended_step: Tensor
    positions: Tensor
    steps: Tensor
    temperature_k: Tensor
    potential_ev: Tensor
    total_ev: Tensor
    force_spread: Tensor
    frames: list[Tensor]
    candidates: list[Frame]
    calls: int


def run_dynamics(
    calculator: Any,
    batch: AtomsBatch,
    settings: DynamicsSettings,
    seed: int,
    streams: Sequence[int] | None = None,
) -> DynamicsResult:
    """Run all structures of ``batch`` with the mean forces of the members of ``calculator``.

    Args:
        calculator: a committee, called with the batch and, if it has a ``cutoff_angstrom``, with
            ``edges=``.
        seed: of velocities and noise.
        streams: S numbers, each trajectory's own stream of chance under ``seed``; None: 0, 1, ….
            A trajectory depends on its stream and not on its company, beyond rounding.
    """
    numbers = range(batch.n_structures) if streams is None else streams
    generators = [np.random.default_rng([seed, stream]) for stream in numbers]
    run = _Run(calculator, batch.detached(), settings, generators)
    run.look()
    while run.step < settings.steps and len(run.who):
        run.advance(min(settings.check_every, settings.steps - run.step))
        run.look()
    return run.result()


def stability(stable: Tensor, confidence: float = 0.95) -> tuple[float, float, float]:
    """Share of trajectories that end sane, and its binomial interval."""
    count, total = int(stable.sum()), len(stable)
    low, high = binomial_interval(count, total, confidence)
    return count / total, low, high


@dataclass
class _Trajectory:
    """What is remembered of one trajectory."""

    last: Frame | None = None
    most: Frame | None = None
    first_uncertain: Frame | None = None
    kept: list[Tensor] = field(default_factory=list)


class _Run:
    """The trajectories that still go on, and what is known of all."""

    def __init__(
        self,
        calculator: Any,
        batch: AtomsBatch,
        settings: DynamicsSettings,
        generators: list[np.random.Generator],
    ):
        self.settings, self.given = settings, batch.to(getattr(calculator, "device", "cpu"))
        self.integrator = Integrator(
            calculator,
            self.given,
            generators,
            settings.temperature_k,
            settings.timestep_fs,
            settings.friction_per_ps,
        )
        self.monitor = Monitor(
            self.integrator.batch,
            read(self.integrator),
            settings.temperature_k,
            settings.friction_per_ps > 0,
            settings.limits,
        )
        n = batch.n_structures
        self.who, self.step, self.calls = torch.arange(n, device=self.given.numbers.device), 0, 1
        self.reasons, self.ended = [""] * n, torch.zeros(n, dtype=torch.long)
        self.remembered = [_Trajectory() for _ in range(n)]
        self.steps: list[int] = []
        self.readings: list[Reading] = []

    def advance(self, steps: int) -> None:
        """Move all that go on."""
        self.integrator.advance(steps)
        self.step += steps
        self.calls += steps

    def look(self) -> None:
        """Judge this moment; those that are no longer sane leave."""
        reading, batch = read(self.integrator), self.integrator.batch
        faults = self.monitor.faults(batch, reading)
        self._note(reading)
        places = batch.positions.split(batch.sizes.tolist())
        spread, energy = reading.force_spread.tolist(), reading.potential_ev.tolist()
        keeps = self.settings.keep_every and self.step % self.settings.keep_every == 0
        for a, s in enumerate(self.who.tolist()):
            self.ended[s], self.reasons[s] = self.step, faults[a]
            if not faults[a]:
                self._remember(s, places[a], spread[a], energy[a])
                if keeps:
                    self.remembered[s].kept.append(places[a])
        sane = torch.tensor([not fault for fault in faults], device=self.who.device)
        self.who = self.who[sane]
        if len(self.who) and not bool(sane.all()):
            self.integrator.keep(sane)
            self.monitor = self.monitor.keep(sane)

    def _remember(self, s: int, place: Tensor, spread: float, energy: float) -> None:
        """The last sane frame, the one of largest spread, the first beyond the threshold."""
        mine = self.remembered[s]
        frame = Frame(s, self.step, place.cpu().numpy(), spread, energy, "last sane")
        mine.last = frame
        if mine.most is None or spread > mine.most.force_spread:
            mine.most = replace(frame, why="most uncertain")
        if mine.first_uncertain is None and spread > self.settings.limits.uncertain_force_spread:
            mine.first_uncertain = replace(frame, why="uncertain")

    def _note(self, reading: Reading) -> None:
        """Keep the readings, NaN for those that have left."""
        self.steps.append(self.step)
        full = {}
        for name in Reading.__annotations__:
            values = torch.full((self.given.n_structures,), torch.nan, dtype=torch.float64)
            values[self.who.cpu()] = getattr(reading, name).double().cpu()
            full[name] = values
        self.readings.append(Reading(**full))

    def result(self) -> DynamicsResult:
        last = self.given.positions.double().cpu().clone()
        owner = self.given.structure.cpu()
        frames, candidates = [], []
        for s, mine in enumerate(self.remembered):
            if mine.last is not None:
                last[owner == s] = torch.from_numpy(mine.last.positions)
            nothing = last.new_zeros(0, int((owner == s).sum()), 3)
            frames.append(torch.stack(mine.kept).cpu() if mine.kept else nothing)
            candidates += _worth_a_label(mine, bool(self.reasons[s]))
        history = {
            name: torch.stack([getattr(r, name) for r in self.readings])
            for name in Reading.__annotations__
        }
        return DynamicsResult(
            stable=torch.tensor([not reason for reason in self.reasons], dtype=torch.bool),
            reasons=self.reasons,
            ended_step=self.ended,
            positions=last,
            steps=torch.tensor(self.steps),
            frames=frames,
            candidates=candidates,
            calls=self.calls,
            **history,
        )


def _worth_a_label(mine: _Trajectory, unphysical: bool) -> list[Frame]:
    """At most three frames of a trajectory, each step once."""
    chosen = [mine.first_uncertain, mine.last if unphysical else None, mine.most]
    found: dict[int, Frame] = {}
    for frame in chosen:
        if frame is not None:
            found.setdefault(frame.step, frame)
    return [found[step] for step in sorted(found)]
