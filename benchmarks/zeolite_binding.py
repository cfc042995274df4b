"""Binding energies of docked poses against published relaxed DFT (PBE-D3), kJ/mol a guest.

    python benchmarks/zeolite_binding.py [POSES.parquet] [--processes N] [--without gfn1 committee]

Three answers, each beside two controls (the published frozen DFT and frozen Dreiding):

(a) GFN1-xTB at the poses as they were docked;
(b) a committee taught GFN1-xTB in two rounds on the smaller poses, complex and empty framework
    relaxed in the same fixed cell;
(c) a force field that counts strain from the framework and conformer of the pose (see
    ``zeolite/force_field.py``), complex relaxed in the fixed cell from two starts, the mean of two
    published forms of contact: as it is, nothing fitted; and after a line whose two numbers are
    fitted on the shipped poses of all other frameworks (the reference set in MOLSIEVE_DATA).

Any Parquet file with a column ``cif`` will do, the columns of ``shared/data/zeolite_poses`` are
used where they are there; without the DFT columns predictions are written all the same, to
``benchmarks/results/zeolite/predictions.parquet`` and ``.csv``. A pose that gives no number is a
row with the reason. Every label and minimum is kept as it comes: the same command goes on where it
stopped. (c) comes first and is reported at once; (a) and (b) take most of the time.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pandas as pd
from training.data import FOLDER
from zeolite.correction import corrected, published_line
from zeolite.frozen_gfn1 import frozen_energies
from zeolite.minima import minima
from zeolite.pose_committee import committee_energies
from zeolite.poses import DREIDING, FROZEN, RELAXED, Pose, pose_of, read_table
from zeolite.scores import score

SHIPPED = FOLDER / "zeolite_poses" / "poses.parquet"
RESULTS = Path(__file__).parent / "results" / "zeolite"
MINIMA = RESULTS / "force_field.jsonl"
SHIPPED_DREIDING = 0.728
NAMES = {
    FROZEN: "control: published frozen DFT",
    DREIDING: "control: published frozen Dreiding",
    "gfn1_frozen_kj_per_mol_guest": "(a) GFN1-xTB, frozen poses",
    "committee_kj_per_mol_guest": "(b) committee of GFN1-xTB, relaxed",
    "force_field_kj_per_mol_guest": "(c) force field, relaxed, nothing fitted",
    "corrected_kj_per_mol_guest": "(c) force field, relaxed, line of other frameworks",
}


def main() -> int:
    """Print scores and the claim; write the predictions."""
    arguments = _arguments()
    table = read_table(arguments.poses)
    predictions = table[["pose_id", "framework", "guest_smiles", "guests_per_cell"]].copy()
    parts = _add_force_field(predictions, table, arguments.processes)
    _write(predictions)
    _report(predictions, table)  # what is there already, before a long stage
    _add_corrected(predictions, table, parts, arguments.processes)
    _write(predictions)
    stages = {"gfn1": frozen_energies, "committee": committee_energies}
    wanted = [name for name in stages if name not in arguments.without]
    poses = _sound_poses(table) if wanted else {}
    for name in wanted:
        _report(predictions, table)
        found = stages[name](poses, RESULTS, arguments.most_atoms, arguments.processes)
        predictions = predictions.join(found)
        _write(predictions)
    _report(predictions, table)
    return 0


def _sound_poses(table: pd.DataFrame) -> dict[int, Pose]:
    """By the table's index; those that cannot be read are left out: (c) has said why."""
    poses = {}
    for index in range(len(table)):
        with contextlib.suppress(ValueError):
            poses[index] = pose_of(table.iloc[index])
    return poses


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("poses", type=Path, nargs="?", default=SHIPPED)
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--without", nargs="*", default=[], choices=["gfn1", "committee"])
    parser.add_argument(
        "--most-atoms", type=int, default=400, help="larger poses get no (a) and (b)"
    )
    return parser.parse_args()


def _add_force_field(
    predictions: pd.DataFrame, table: pd.DataFrame, processes: int
) -> pd.DataFrame:
    """Columns of (c) as it is, and why a pose has no number; returns its parts."""
    started = time.perf_counter()
    parts = minima(table, MINIMA, processes)
    print(
        f"force field: {len(table)} poses in {time.perf_counter() - started:.0f} s with "
        f"{processes} processes (computed now or kept: {parts['seconds'].sum():.0f} core-s)",
        flush=True,
    )
    for pose_id, fault in zip(table["pose_id"], parts["fault"], strict=True):
        if fault:
            print(f"pose {pose_id}: no number: {fault}", flush=True)
    predictions["force_field_kj_per_mol_guest"] = parts["total"]
    predictions["force_field_fault"] = parts["fault"]
    return parts


def _add_corrected(
    predictions: pd.DataFrame, table: pd.DataFrame, parts: pd.DataFrame, processes: int
) -> None:
    """The column of (c) after a line, fitted on the shipped set where there is one."""
    good = parts["fault"] == ""
    if not good.any():
        return
    if not SHIPPED.exists():
        print(f"{SHIPPED} is absent: the correction is the published line")
        line = published_line(parts[good])
    else:
        shipped = read_table(SHIPPED)
        known = minima(shipped, MINIMA, processes).assign(framework=shipped["framework"])
        line = corrected(parts[good], table["framework"][good], known, shipped[RELAXED])
    predictions.loc[good, "corrected_kj_per_mol_guest"] = line


def _write(predictions: pd.DataFrame) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    predictions.to_parquet(RESULTS / "predictions.parquet")
    predictions.to_csv(RESULTS / "predictions.csv", index=False)


def _report(predictions: pd.DataFrame, table: pd.DataFrame) -> None:
    peak = max(
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(f"predictions: {RESULTS / 'predictions.parquet'}; peak memory {peak / 1e6:.1f} GB")
    if RELAXED not in table:
        print(f"no scores: the file has no column {RELAXED}", flush=True)
        return
    everything = pd.concat(
        [predictions, table[[c for c in (FROZEN, DREIDING) if c in table]]], axis=1
    )
    found = {}
    reference, frameworks = table[RELAXED].to_numpy(float), table["framework"].to_numpy()
    for column, name in NAMES.items():
        if column in everything:
            values = everything[column].to_numpy(float)
            found[column] = score(values, reference, frameworks)
            print(f"{name}: {found[column].text()}")
    ours, peer = found["force_field_kj_per_mol_guest"], found.get(DREIDING)
    theirs = (
        f"frozen Dreiding {peer.spearman:.3f}"
        if peer
        else f"frozen Dreiding {SHIPPED_DREIDING} (shipped set)"
    )
    print(
        "claim: relaxed binding energies rank as relaxed DFT does | ours: Spearman "
        f"{ours.spearman:.3f} | peer: {theirs} | ratio: "
        f"{ours.spearman / (peer.spearman if peer else SHIPPED_DREIDING):.2f}",
        flush=True,
    )


if __name__ == "__main__":
    raise SystemExit(main())
