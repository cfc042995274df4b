"""A committee taught GFN1-xTB on small poses, which then relaxes complex and empty framework.

Round 0 learns the labelled poses, their empty frameworks and guests, and shaken copies; each later
round adds what the committee itself calls a minimum, labelled, where its errors would be exploited.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from pathlib import Path

import ase
import numpy as np
import pandas as pd

from molsieve import campaign
from molsieve.potential.batches import AtomsBatch
from molsieve.potential.committee import Committee
from molsieve.relax import relax_batch
from zeolite.frozen_gfn1 import KJ_PER_MOL_PER_EV, LEVEL, NAME, left_out
from zeolite.label_cache import LabelCache
from zeolite.poses import Pose
from zeolite.silica_committee import taught

ROUNDS, TAUGHT_ATOMS, SHAKE_ANGSTROM = 2, 72, 0.06
TAUGHT_POSES, LEAST_LABELS = 20, 48
"""At least so many poses are taught, larger ones where small ones are fewer; with fewer labels than
that (without strain) no committee is."""
STRAINED_EV_PER_ANGSTROM = 8.0
"""Labels with a larger force (guests docked into atoms) teach nothing of minima."""
FORCE_EV_PER_ANGSTROM, STEPS, AT_ONCE = 0.05, 60, 8
SETTINGS = campaign.Potential(
    members=2,
    features=32,
    interactions=2,
    radial_functions=16,
    batch_size=4,
    max_epochs=40,
    patience_epochs=40,
    bootstrap=False,
    difference_weight=0.0,
    stress_weight=0.0,
    warm_epochs=0.5,
)
Pair = tuple[dict, dict]


def committee_energies(
    poses: dict[int, Pose], folder: Path, most_atoms: int, processes: int
) -> pd.DataFrame:
    """kJ/mol a guest by pose: relaxed complex less relaxed empty framework, same cell, less relaxed
    guests, all by the committee's mean.

    Columns ``committee_kj_per_mol_guest`` and ``committee_fault``: why there is none.
    """
    started = time.perf_counter()
    faults = {key: left_out(pose, most_atoms) for key, pose in poses.items()}
    able = {key: pose for key, pose in poses.items() if not faults[key]}
    small = _taught_poses(able)
    largest = max((len(pose.atoms) for pose in small), default=0)
    print(f"committee: taught on {len(small)} poses of up to {largest} atoms", flush=True)
    committee = _committee(small, folder, processes)
    found = {}
    if committee is None:
        faults = {
            key: fault or "too few labels to teach a committee" for key, fault in faults.items()
        }
    else:
        strange = {
            k for k, p in able.items() if not set(p.atoms.numbers) <= set(committee.elements)
        }
        found = _binding(committee, {k: p for k, p in able.items() if k not in strange})
        faults |= dict.fromkeys(strange, "an element that the taught poses do not have")
        faults |= {k: "the relaxation failed" for k, e in found.items() if not np.isfinite(e)}
    print(f"committee of {len(poses)} poses: {time.perf_counter() - started:.0f} s", flush=True)
    rows = {key: (found.get(key, np.nan), faults[key]) for key in poses}
    columns = ["committee_kj_per_mol_guest", "committee_fault"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def _taught_poses(poses: dict[int, Pose]) -> list[Pose]:
    """The small ones, in their order, and as many larger ones as are wanting."""
    sizes = sorted(len(pose.atoms) for pose in poses.values())
    limit = max([TAUGHT_ATOMS, *sizes[:TAUGHT_POSES][-1:]])
    return [pose for pose in poses.values() if len(pose.atoms) <= limit]


def _committee(small: list[Pose], folder: Path, processes: int) -> Committee | None:
    """Taught in rounds; None where there is too little to teach."""
    cells = LabelCache(LEVEL, folder / "gfn1_cells.jsonl")
    alone = LabelCache(LEVEL, folder / "gfn1_guests.jsonl")
    pairs = _labels(_first(small), cells, alone, processes)
    if len(_calm(pairs)) < LEAST_LABELS:
        return None
    # Members already in a folder are used: another file of poses teaches another committee.
    names = " ".join(sorted(structure["structure_id"] for structure, _ in pairs))
    home = folder / f"committee_{hashlib.sha256(names.encode()).hexdigest()[:8]}"
    committee = taught(_calm(pairs), SETTINGS, home / "round_0")
    for number in range(1, ROUNDS + 1):
        ends = [a for a in _relaxed(committee, _systems(small))[0] if a is not None]
        pairs += _labels(ends, cells, alone, processes)
        previous = home / f"round_{number - 1}"
        committee = taught(_calm(pairs), SETTINGS, home / f"round_{number}", previous)
    return committee


def _systems(poses: Iterable[Pose]) -> list[ase.Atoms]:
    """Complex, empty framework and first guest of each pose."""
    return [a for p in poses for a in (p.atoms, p.atoms[p.framework], p.guest(0))]


def _first(poses: list[Pose]) -> list[ase.Atoms]:
    """The systems, each with a shaken copy."""
    rng = np.random.default_rng(0)
    found = []
    for atoms in _systems(poses):
        shaken = atoms.copy()
        shaken.positions += rng.normal(0, SHAKE_ANGSTROM, shaken.positions.shape)
        found += [atoms, shaken]
    return found


def _labels(
    structures: list[ase.Atoms], cells: LabelCache, alone: LabelCache, processes: int
) -> list[Pair]:
    """Of crystals and molecules, in their order; those that killed their process are left out."""
    cells.label_ahead([a for a in structures if a.pbc.any()], NAME, processes)
    alone.label_ahead([a for a in structures if not a.pbc.any()], NAME, processes)
    found = [(cells if a.pbc.any() else alone).found(a) for a in structures]
    return [pair for pair in found if pair is not None]


def _calm(pairs: list[Pair]) -> list[Pair]:
    """Each structure once; none that failed or is strained."""
    once = {structure["structure_id"]: (structure, label) for structure, label in pairs}
    kept = []
    for pair in once.values():
        forces = np.array(pair[1].get("forces_ev_per_angstrom") or [np.inf])
        if np.abs(forces).max() < STRAINED_EV_PER_ANGSTROM:
            kept.append(pair)
    return kept


def _relaxed(
    committee: Committee, systems: list[ase.Atoms]
) -> tuple[list[ase.Atoms | None], np.ndarray]:
    """Where each ended (None: failed) and its mean energy (eV, NaN: failed)."""
    result = relax_batch(
        committee,
        AtomsBatch.from_atoms(systems),
        FORCE_EV_PER_ANGSTROM,
        STEPS,
        at_once=AT_ONCE,
    )
    ends: list[ase.Atoms | None] = []
    first = np.cumsum([0] + [len(atoms) for atoms in systems])
    for k, atoms in enumerate(systems):
        end = atoms.copy()
        end.positions = result.positions[first[k] : first[k + 1]].numpy()
        ends.append(None if bool(result.failed[k]) else end)
    energies = result.energies.mean(0).numpy()
    return ends, np.where(result.failed.numpy(), np.nan, energies)


def _binding(committee: Committee, poses: dict[int, Pose]) -> dict[int, float]:
    """Lowest of two starts of the framework: the pose's, and as the guest left it."""
    if not poses:
        return {}
    ends, energies = _relaxed(committee, _systems(poses.values()))
    left = [
        (p.atoms if end is None else end)[p.framework]
        for p, end in zip(poses.values(), ends[::3], strict=True)
    ]
    empty = np.fmin(energies[1::3], _relaxed(committee, left)[1])
    guests = np.array([len(pose.guests) for pose in poses.values()])
    binding = (energies[::3] - empty) / guests - energies[2::3]
    return dict(zip(poses, (binding * KJ_PER_MOL_PER_EV).tolist(), strict=True))
