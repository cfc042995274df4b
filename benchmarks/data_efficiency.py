"""Data efficiency: which geometries teach a committee ammonia with the fewest labels?

Oracle: GFN2-xTB. Each of five repeats starts from 50 frames of its own GFN2 dynamics at 300 K; each
round adds the same budget of labels, chosen by one of

attack            gradient ascent of the committee's disagreement, from labelled frames; where
                  starts climb to like geometries only one is labelled, and counted
dynamics          random frames of the committee's dynamics at 500 K, of trajectories that went
                  astray where there are any (the baseline of the paper, Schwalbe-Koda, Tan,
                  Gómez-Bombarelli, Nat. Commun. 12, 5104 (2021))
dynamics_spread   of the same trajectories the frames of largest spread: stronger than the paper's
normal_modes      thermal displacements along the committee's normal modes
random            normal displacements of every atom

and retrains. After each round: (a) do 97 of 100 trajectories of 5 ps at 500 K end sane; (b) is the
committee's inversion barrier (planar D3h minus own minimum) within 10 meV of GFN2's. The labels
needed for (a) are those of the first round at which it holds; for (b) of the first round at which
it holds and holds in the next one too (a wrong surface is right by chance now and then). A run ends
when both are reached, or after ten rounds: then it is counted as more than the labels it spent.
Hyperparameters were chosen on seeds that are no repeats (100 to 103), by the barrier's error after
two rounds: four temperatures of the attack and whether like geometries are labelled, three
temperatures of normal modes, three sizes of random displacements; see SETTINGS.

    python benchmarks/data_efficiency.py [processes] [repeats]

Rows go to ``benchmarks/results/data_efficiency.jsonl`` as they come; a run that is there already is
not repeated. The last line is ``claim: ... | ours: ... | peer: ... | ratio: ...``.
"""

from __future__ import annotations

import itertools
import json
import math
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("OMP_NUM_THREADS", "1")

import ase
import numpy as np
import torch
from ase.build import molecule

from molsieve import campaign, levels
from molsieve.dynamics import (
    DynamicsResult,
    DynamicsSettings,
    Limits,
    run_dynamics,
    trajectories,
)
from molsieve.engines.base import CalculationError
from molsieve.engines.tblite import TbliteEngine
from molsieve.geometries.attack import attack_batch
from molsieve.geometries.displacement import normal_mode_displacement, random_displacement
from molsieve.geometries.normal_modes import normal_modes
from molsieve.geometry_settings import Attack
from molsieve.potential import schedules, storage, training, training_data
from molsieve.potential.committee import Committee
from molsieve.potential.graphs import AtomsBatch, GraphBatch, GraphSet
from molsieve.potential.model import Architecture, EnergyModel, flushed_denormals
from molsieve.potential.optimiser import FlatAdam
from molsieve.potential.stacked import StackedMembers
from molsieve.relax import relax_batch
from molsieve.units import BOLTZMANN_EV_PER_K

START_FRAMES, BUDGET, MAX_LABELS, MEMBERS, GRADIENT_STEPS = 50, 10, 100, 4, 800
START_K, DYNAMICS_K, STEPS, TRAJECTORIES, SANE = 300.0, 500.0, 10_000, 100, 97
BARRIER_ERROR_EV = 0.010
NUMBERS = molecule("NH3").numbers
RESULTS = Path(__file__).resolve().parent / "results" / "data_efficiency.jsonl"
POTENTIAL = campaign.Potential(
    members=MEMBERS,
    features=32,
    interactions=2,
    radial_functions=16,
    cutoff_angstrom=4.0,
    batch_size=10,
    early_energies=1.0,  # few steps: constant weights
    learning_rate=5e-3,
    bootstrap=False,
    difference_weight=0.0,
)
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


class MembersTogether(StackedMembers):
    """All members trained in one pass on the same batches, each from its own random weights.

    For four atoms a step is all overhead, so it costs hardly more than that of one member. Network,
    loss, optimiser and schedule are those of ``potential.training``.
    """

    def __init__(self, models: list[EnergyModel]):
        super().__init__(models)
        self.models = models
        self.network = SimpleNamespace(library=lambda: None)  # knows no gradient of the weights
        dense = [d for layer in self.layers for d in layer.dense] + self.head
        self.leaves = [self.embedding, *self.filters, *(d.weight for d in dense)]
        self.leaves += [d.bias for d in dense if d.bias is not None]
        for leaf in self.leaves:
            leaf.requires_grad_(True)

    def parameters(self) -> list[torch.Tensor]:
        """Stacked (M, ...)."""
        return self.leaves

    def loss(self, graph: GraphBatch, weights: schedules.LossWeights) -> torch.Tensor:
        """Sum of the members' losses."""
        vectors = graph.vectors.expand(MEMBERS, -1, -1).clone().requires_grad_(True)
        energies, _ = self(replace(graph, vectors=vectors))
        (slope,) = torch.autograd.grad(energies.sum(), vectors, create_graph=True)
        forces = slope.new_zeros(MEMBERS, len(graph.numbers), 3).index_add(1, graph.centre, slope)
        forces = forces.index_add(1, graph.neighbour, -slope)
        energy_error = (energies - graph.energy_ev).float() / len(NUMBERS)
        energy = (energy_error / training_data.ENERGY_UNIT_EV_PER_ATOM).square()
        force_error = forces - graph.forces_ev_per_angstrom
        force = (force_error / training_data.FORCE_UNIT_EV_PER_ANGSTROM).square()
        return MEMBERS * (weights.energy * energy.mean() + weights.force * force.mean())

    @torch.no_grad()
    def unstack(self) -> list[EnergyModel]:
        """The members with what was learned."""
        for m, model in enumerate(self.models):
            part = model.representation
            part.embedding.weight.copy_(self.embedding[m])
            filters = torch.cat([weight[m].t() for weight in self.filters])
            part.filter_net.weight.copy_(filters[:, :-1])
            part.filter_net.bias.copy_(filters[:, -1])
            linear = list(zip(model.head.outnet, self.head, strict=True))
            for layer, message, mix in zip(
                self.layers, part.interactions, part.mixing, strict=True
            ):
                linear += zip(message.interatomic_context_net, layer.context, strict=True)
                linear += zip(mix.intraatomic_context_net, layer.gates, strict=True)
                linear.append((mix.mu_channel_mix, layer.channels))
            for own, stacked in linear:
                own.weight.copy_(stacked.weight[m].t())
                if own.bias is not None:
                    own.bias.copy_(stacked.bias[m, 0])
            model.eval().requires_grad_(False)
        return self.models


def trained(frames: list[Frame], seed: int) -> Committee:
    """Members trained on all frames, as many steps however many these are."""
    graphs = GraphSet(
        batch_of(np.stack([f.positions for f in frames])),
        POTENTIAL.cutoff_angstrom,
        torch.tensor([f.energy for f in frames]),
        torch.from_numpy(np.concatenate([f.forces for f in frames])),
    )
    members = range(MEMBERS)
    models = [training.initial_model(graphs, {}, POTENTIAL, seed, m, "cpu", None) for m in members]
    together = MembersTogether(models)
    clip = 10.0 * MEMBERS**0.5
    optimiser = FlatAdam(together, POTENTIAL.ema_decay, clip_norm=clip)
    rng, size = np.random.default_rng([seed, 6]), POTENTIAL.batch_size
    order = np.concatenate([rng.permutation(len(frames)) for _ in range(GRADIENT_STEPS)])
    with flushed_denormals():
        for step in range(GRADIENT_STEPS):
            progress = step / GRADIENT_STEPS
            graph = graphs.batch(torch.from_numpy(order[step * size : (step + 1) * size]))
            loss = together.loss(graph, schedules.loss_weights(POTENTIAL, progress))
            optimiser.step(loss, schedules.cosine_rate(POTENTIAL.learning_rate, progress))
    optimiser.use(optimiser.average)
    architecture = Architecture.of(POTENTIAL)
    models = together.unstack()
    describe = (
        storage.describe(architecture, [1, 7], [[0, 1]], "gfn2", seed, m, models[m])
        for m in members
    )
    return Committee(models, list(describe))


def mean_energies(committee: Committee) -> Callable[[np.ndarray], np.ndarray]:
    """(S, 4, 3) Å → (S,) eV."""
    return lambda places: committee(batch_of(places), forces=False).energy_mean.numpy()


def own_minimum(committee: Committee) -> tuple[np.ndarray, float]:
    """The committee's minimum (4, 3) Å next to the G2 geometry, and its energy."""
    result = relax_batch(committee, batch_of(molecule("NH3").positions[None]), 1e-3, 100)
    return result.positions.numpy(), float(result.energies.mean())


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
    kept = []
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


def first_round(repeat: int) -> dict:
    """The row of the start, which all methods share: no label added."""
    torch.set_num_threads(1)
    started, oracle = time.perf_counter(), Oracle()
    committee = trained(start_frames(oracle, repeat), 1000 * repeat)
    height = barrier(mean_energies(committee))
    return {
        "method": "start",
        "repeat": repeat,
        "added": 0,
        "barrier_ev": height,
        "error_ev": height - barrier(oracle.energies),
        "sane": sane_share(committee, 1000 * repeat),
        "seconds": time.perf_counter() - started,
    }


def run(method: str, start: dict) -> Iterator[dict]:
    """Rounds of one method and repeat until both aims are reached or the labels are spent.

    Yields:
        A row a round: added labels, the barrier and its error (eV), the share of sane trajectories
        (None once (a) has been reached), seconds.
    """
    torch.set_num_threads(1)
    repeat, oracle = start["repeat"], Oracle()
    truth, frames = barrier(oracle.energies), start_frames(oracle, repeat)
    steady, near = _sane(start), int(_near(start))
    committee, added = trained(frames, 1000 * repeat), 0
    for round_ in range(1, MAX_LABELS // BUDGET + 1):
        clock, seed = time.perf_counter(), 1000 * repeat + round_
        places = METHODS[method](committee, frames, seed)
        added += len(places)
        frames = frames + labelled(oracle, places)
        committee = trained(frames, seed)
        height = barrier(mean_energies(committee))
        row = {
            "method": method,
            "repeat": repeat,
            "round": round_,
            "added": added,
            "barrier_ev": height,
            "error_ev": height - truth,
            "sane": None if steady else sane_share(committee, seed),
            "seconds": time.perf_counter() - clock,
        }
        yield row
        steady = steady or _sane(row)
        near = near + 1 if _near(row) else 0
        if steady and near >= 2:
            return


def _sane(row: dict) -> bool:
    return row["sane"] is not None and row["sane"] >= SANE / TRAJECTORIES - 1e-9


def _near(row: dict) -> bool:
    return abs(row["error_ev"]) <= BARRIER_ERROR_EV


def labelled(oracle: Oracle, places: np.ndarray) -> list[Frame]:
    """Labels of the geometries; a failed calculation costs its label and teaches nothing."""
    found = []
    for place in places:
        try:
            found.append(oracle.label(place))
        except CalculationError:
            continue
    return found


def record(task: tuple[str, int]) -> None:
    """Do one run (or, for the method ``start``, one first round) and append its rows."""
    method, repeat = task
    if method == "start":
        rows: Iterable[dict] = [first_round(repeat)]
    else:
        start = next(r for r in read_rows() if (r["method"], r["repeat"]) == ("start", repeat))
        rows = run(method, start)
    for row in rows:
        with RESULTS.open("a") as file:
            file.write(json.dumps(row) + "\n")


def read_rows() -> list[dict]:
    """What has been recorded so far, each round once."""
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    return list({(r["method"], r["repeat"], r["added"]): r for r in rows}.values())


def labels_needed(
    rows: list[dict], method: str, repeat: int
) -> tuple[float, float, float, bool, int]:
    """Labels for (a), for (b), for (b) without the confirming round; complete? labels spent.

    Infinite where an aim was not reached; not a number where the run is not complete.
    """
    mine = [r for r in rows if r["repeat"] == repeat and r["method"] in ("start", method)]
    mine = [r for r in mine if r["added"] <= MAX_LABELS]
    mine.sort(key=lambda row: row["added"])
    sane = min((r["added"] for r in mine if _sane(r)), default=math.inf)
    once = min((r["added"] for r in mine if _near(r)), default=math.inf)
    pairs = itertools.pairwise(mine)
    twice = min((a["added"] for a, b in pairs if _near(a) and _near(b)), default=math.inf)
    done = mine[-1].get("round") == MAX_LABELS // BUDGET or (sane < math.inf and twice < math.inf)
    found = (sane, twice, once)
    return *(math.nan if math.isinf(v) and not done else v for v in found), done, mine[-1]["added"]


def finished(repeats: int) -> set[tuple[str, int]]:
    """The runs that need not be repeated; rows of runs that were cut short are dropped."""
    rows = read_rows()
    done = {(r["method"], r["repeat"]) for r in rows if r["method"] == "start"}
    for method, repeat in itertools.product(METHODS, range(repeats)):
        begun = ("start", repeat) in done and any(
            (r["method"], r["repeat"]) == (method, repeat) for r in rows
        )
        if begun and labels_needed(rows, method, repeat)[3]:
            done.add((method, repeat))
    kept = [r for r in rows if (r["method"], r["repeat"]) in done]
    RESULTS.write_text("".join(json.dumps(row) + "\n" for row in kept))
    return done


def summary(rows: list[dict], repeats: int) -> tuple[str, dict]:
    """Table of the labels needed, and their medians by method and aim."""
    lines = ["| method | (a) sane dynamics | (b) barrier | (b) without confirmation | complete |"]
    lines.append("|---" * 5 + "|")
    medians: dict = {}
    for method in METHODS:
        found = [labels_needed(rows, method, r) for r in range(repeats)]
        cells = []
        for k in range(3):
            values = [f[k] for f in found]
            medians[method, "abc"[k]] = median = _median(values)
            each = ", ".join(_text(f[k], f[4]) for f in found)
            cells.append(f"{_text(median)} ({each})")
        complete = f"{sum(f[3] for f in found)} of {repeats}"
        lines.append(f"| {method} | {' | '.join(cells)} | {complete} |")
    return "\n".join(lines), medians


def _median(values: list[float]) -> float:
    """Of those that are known; infinite where half of them are."""
    known = sorted(v for v in values if not math.isnan(v))
    return known[len(known) // 2] if known else math.nan


def _text(labels: float, spent: int = MAX_LABELS) -> str:
    """Labels needed; more than what was spent where an aim was not reached."""
    if math.isnan(labels):
        return "…"
    return f"> {spent}" if math.isinf(labels) else f"{labels:.0f}"


def _ratio(peer: float, ours: float) -> str:
    """Of labels; a bound where one side was not reached."""
    if math.isinf(ours):
        return "none: attack did not reach (b)"
    more = "more than " if math.isinf(peer) else ""
    return f"{more}{min(peer, MAX_LABELS) / max(ours, 1):.1f}"


def main(processes: int = 2, repeats: int = 5) -> int:
    """Run what is missing, print the table and the claim."""
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.touch()
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        known = finished(repeats)
        starts = [("start", r) for r in range(repeats)]
        list(pool.map(record, [task for task in starts if task not in known]))
        # All methods of a repeat before the next: a run cut short leaves whole repeats.
        tasks = [(method, r) for r in range(repeats) for method in METHODS]
        list(pool.map(record, [task for task in tasks if task not in known]))
    table, medians = summary(read_rows(), repeats)
    print(table)
    print(
        f"claim: labels for ammonia's inversion barrier within {1e3 * BARRIER_ERROR_EV:.0f} meV of "
        f"GFN2-xTB, and (a) for {SANE} of {TRAJECTORIES} sane trajectories, medians of {repeats} | "
        f"ours: attack {_text(medians['attack', 'b'])} (a: {_text(medians['attack', 'a'])}) | "
        f"peer: dynamics {_text(medians['dynamics', 'b'])} (a: {_text(medians['dynamics', 'a'])}), "
        f"random {_text(medians['random', 'b'])} (a: {_text(medians['random', 'a'])}) | "
        f"ratio: {_ratio(medians['dynamics', 'b'], medians['attack', 'b'])}"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:3])))
