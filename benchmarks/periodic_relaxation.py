"""10,000 docked poses: time and memory of docking, of single predictions and of relaxation.

Small guests docked in sodalite, ACO and ABW (two cells); a committee of 4 members (PaiNN 32x2, 5 Å)
taught GFN1-xTB labels of a few dozen of such poses. All stages run on one thread here unless
OMP_NUM_THREADS says otherwise. Docking, predictions and relaxation (fixed cells, to 0.05 eV/Å) take
all poses (``--relaxed 300``: a seeded random sample, its time scaled); bonds of relaxed frameworks
and guests that broke or formed are counted. Peer is ASE's BFGS with the same committee's
calculator, one pose after the other, on some of them, its time scaled. Time is the process's own:
other work on the machine does not count. Memory is the process's largest so far at the end of a
stage.

    python benchmarks/periodic_relaxation.py [--poses 10000] [--relaxed N] [--peer 10]

Labels and committees are kept under benchmarks/results/periodic_relaxation for the next run. The
last line is ``claim: ... | ours: ... | peer: ... | ratio: ...``.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import ase
import numpy as np
import torch
from ase.optimize import BFGS
from zeolite.label_cache import LabelCache, named
from zeolite.silica_committee import taught

from molsieve import campaign
from molsieve.crystals.known import known_framework
from molsieve.docking.guests import make_guest
from molsieve.docking.hosts import Host
from molsieve.docking.poses import DockingSettings, dock_in_host
from molsieve.geometries.soundness import Soundness
from molsieve.levels import TbliteLevel
from molsieve.potential.calculator import CommitteeCalculator
from molsieve.potential.committee import Committee
from molsieve.potential.graphs import AtomsBatch
from molsieve.relax import RelaxResult, relax_batch

FOLDER = Path(__file__).resolve().parent / "results" / "periodic_relaxation"
FRAMEWORKS = {"SOD": (1, 1, 1), "ACO": (1, 1, 1), "ABW": (2, 1, 1)}
GUESTS = (
    *("C", "CC", "CCC", "C=C", "C#C", "C1CC1", "O", "CO", "CCO", "COC", "OCCO", "C1COC1"),
    *("C=O", "CC=O", "CC(C)=O", "NC=O", "N", "CN", "CCN", "CNC", "CN(C)C", "NCCN", "NCCO"),
    *("CC#N", "C1COCCO1"),
)
DOCKING = DockingSettings(most_poses=150, rmsd_tolerance_angstrom=0.2)
LABELS, SHAKE_ANGSTROM = 48, 0.08
FMAX, MAX_STEPS, BATCH = 0.05, 200, 128
SAME_MEV = 5.0
SETTINGS = campaign.Potential(
    members=4,
    features=32,
    interactions=2,
    cutoff_angstrom=5.0,
    batch_size=8,
    max_epochs=60,
    patience_epochs=60,
    bootstrap=False,
)


@contextlib.contextmanager
def stage(name: str, seconds: dict[str, float]) -> Iterator[None]:
    """Note the processor time of what is inside, and say it with the memory used so far."""
    started, begun = time.process_time(), time.perf_counter()
    yield
    seconds[name] = time.process_time() - started
    mebibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    wall = time.perf_counter() - begun
    print(
        f"{name}: {seconds[name]:.1f} s of processor time ({wall:.0f} s by the clock), largest "
        f"memory so far {mebibytes:.0f} MiB",
        flush=True,
    )


def docked(wanted: int) -> list[ase.Atoms]:
    """Poses of the guests in turn until there are as many as wanted, one guest a cell."""
    hosts = {code: Host(known_framework(code).atoms) for code in FRAMEWORKS}
    poses: list[ase.Atoms] = []
    pairs = 0
    for smiles in GUESTS:
        guest = make_guest(smiles, conformers=2)
        for code, repeats in FRAMEWORKS.items():
            if len(poses) < wanted:
                found = dock_in_host(hosts[code], code, guest, (1,), repeats, DOCKING)
                poses += found.poses.get(1, [])
                pairs += 1
    print(f"{len(poses)} poses of {pairs} pairs of framework and guest", flush=True)
    return poses[:wanted]


def committee_of(poses: list[ase.Atoms]) -> Committee:
    """Taught the labels of poses drawn at random, every other one shaken."""
    cache = LabelCache(TbliteLevel(engine="tblite", method="GFN1-xTB"), FOLDER / "labels.jsonl")
    rng = np.random.default_rng(5)
    pairs = []
    for number, index in enumerate(rng.choice(len(poses), LABELS, replace=False)):
        atoms = poses[index].copy()
        atoms.positions += rng.normal(0, SHAKE_ANGSTROM * (number % 2), atoms.positions.shape)
        pairs.append(cache.label(atoms, f"{atoms.info['framework']}+{atoms.info['guest_smiles']}"))
    computed = sum(label["wall_s"] for _, label in pairs)
    print(f"{len(pairs)} GFN1-xTB labels: {computed:.0f} s by the clock, once", flush=True)
    return taught(pairs, SETTINGS, FOLDER / f"committee_{named(pairs)}")


def predicted(committee: Committee, poses: list[ase.Atoms]) -> np.ndarray:
    """(S,) mean energies, eV, some at a time as ``molsieve predict`` does."""
    energies = [
        committee(AtomsBatch.from_atoms(poses[first : first + BATCH])).energy_mean.numpy()
        for first in range(0, len(poses), BATCH)
    ]
    return np.concatenate(energies)


def one_by_one(committee: Committee, poses: list[ase.Atoms]) -> tuple[np.ndarray, list[bool], list]:
    """Energies (S,) at the minima of ASE's BFGS, which converged, steps."""
    calculator = CommitteeCalculator(committee)
    energies, converged, steps = [], [], []
    for pose in poses:
        atoms = pose.copy()
        atoms.calc = calculator
        optimiser = BFGS(atoms, logfile=None)
        converged.append(optimiser.run(fmax=FMAX, steps=MAX_STEPS))
        energies.append(atoms.get_potential_energy())
        steps.append(optimiser.nsteps)
    return np.array(energies), converged, steps


def compared(ours: RelaxResult, places: np.ndarray, theirs: tuple) -> str:
    """How the two sides' minima of the same poses agree."""
    energies, converged, steps = theirs
    difference = 1e3 * (ours.energies.mean(0).numpy()[places] - energies)
    same = np.abs(difference) <= SAME_MEV
    lower = (difference[~same] < 0).sum()
    share = 100 * float(ours.converged.double().mean())
    return (
        f"steps on average: ours {float(ours.steps.double().mean()):.1f}, ASE's BFGS "
        f"{np.mean(steps):.1f}; converged {share:.0f} and {100 * np.mean(converged):.0f} %; "
        f"energies, ours less ASE's: median {np.median(difference):.1f}, {difference.min():.1f} to "
        f"{difference.max():.1f} meV; same within {SAME_MEV} meV in {same.sum()} of {len(same)}, "
        f"elsewhere ours lower in {lower} of {(~same).sum()}"
    )


def ends(sample: list[ase.Atoms], result: RelaxResult) -> list[ase.Atoms]:
    """The poses where they ended."""
    first = np.cumsum([0] + [len(atoms) for atoms in sample])
    found = [atoms.copy() for atoms in sample]
    for atoms, start in zip(found, first, strict=False):
        atoms.positions = result.positions[start : start + len(atoms)].numpy()
    return found


def parts(poses: list[ase.Atoms], guests: bool) -> list[ase.Atoms]:
    """Their guests, or their frameworks, alone in the cell."""
    found = []
    for pose in poses:
        of_guest = np.isin(np.arange(len(pose)), np.array(pose.info["guest_indices"]))
        found.append(pose[of_guest == guests])
    return found


def looked_over(sample: list[ase.Atoms], result: RelaxResult) -> str:
    """How many frameworks and guests have the bonds that they had."""
    relaxed, told = ends(sample, result), []
    for name, guests in (("frameworks", False), ("guests", True)):
        faults: Counter[str] = Counter()
        for first in range(0, len(sample), BATCH):
            some = (p[first : first + BATCH] for p in (sample, relaxed))
            home, away = (AtomsBatch.from_atoms(parts(p, guests)) for p in some)
            faults.update(Soundness(home).faults(away))
        whole = faults.pop("", 0)
        others = "".join(f", {fault} {count}" for fault, count in faults.most_common())
        told.append(f"{name} with the bonds they had {whole} of {len(sample)}{others}")
    return f"{'; '.join(told)}; relaxations that failed {int(result.failed.sum())}"


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--poses", type=int, default=10_000)
    parser.add_argument("--relaxed", type=int, help="so many drawn at random; else all")
    parser.add_argument("--peer", type=int, default=10, help="of these, how many by ASE's BFGS")
    return parser.parse_args()


def main() -> int:
    """Run the stages, say what each took, and the claim."""
    asked = parsed()
    seconds: dict[str, float] = {}
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    with stage("docking", seconds):
        poses = docked(asked.poses)
    committee = committee_of(poses)
    sizes = [len(pose) for pose in poses]
    print(f"{len(poses)} poses of {min(sizes)} to {max(sizes)} atoms, mean {np.mean(sizes):.0f}")
    committee(AtomsBatch.from_atoms(poses[:2]))  # what is compiled or loaded once is not timed
    with stage("single predictions", seconds):
        predicted(committee, poses)
    chosen = np.random.default_rng(1).permutation(len(poses))[: asked.relaxed or len(poses)]
    sample = [poses[index] for index in chosen]
    with stage(f"relaxation of {len(sample)}", seconds):
        batch = AtomsBatch.from_atoms(sample)
        ours = relax_batch(committee, batch, FMAX, MAX_STEPS, at_once=BATCH)
    print(looked_over(sample, ours), flush=True)
    with stage(f"ASE's BFGS of {asked.peer}", seconds):
        theirs = one_by_one(committee, sample[: asked.peer])
    print(compared(ours, np.arange(asked.peer), theirs))
    mine = seconds[f"relaxation of {len(sample)}"] / len(sample) * len(poses)
    scaled = "" if len(sample) == len(poses) else f" (scaled from {len(sample)})"
    peer = seconds[f"ASE's BFGS of {asked.peer}"] / asked.peer * len(poses)
    print(
        f"claim: {len(poses)} docked poses of {np.mean(sizes):.0f} atoms, periodic, one thread: "
        f"docking {seconds['docking']:.0f} s, single predictions "
        f"{seconds['single predictions']:.0f} s, relaxation to {FMAX} eV/Å in fixed cells"
        f"{scaled} | ours: {mine:.0f} s | peer: ASE BFGS one by one "
        f"{peer:.0f} s (scaled from {asked.peer}) | ratio: {peer / mine:.1f}"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
