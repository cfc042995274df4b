"""How good are the property heads? Random, by-molecule and scaffold splits side by side.

Where a molecule has several geometries in the table (``property_labels.py`` makes one) a random
split tests on molecules that were trained on; where it has one (``excited_state_table.py``) random
and by-molecule splits are the same. A by-molecule split holds out whole molecules, a
scaffold split all molecules of a parent: what a campaign meets when it goes on to new chemistry.
The honest number is the last one. Each split is tested in as many folds, every structure once, by
committees of the campaign's default heads; their atom features start from an energy member on the
energies and forces of the training structures (the labels' own where the table has them, else
GFN2-xTB's; one serves all members). "mean" is the
error of always saying the mean.

    python benchmarks/property_splits.py [--table FILE] [--folds 3] [--members 2] [--epochs 60]
                                         [--variants [NAME ...]] [--representations]

``--variants`` compares descriptors, poolings, global channel and gap loss by the by-molecule split
instead; ``--representations`` atom features of their own with those of an energy member, frozen or
as a start, on one fold of it.
The last line is ``claim: ... | ours: ... | peer: ... | ratio: ...``.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from properties.excited_tables import (
    FIGURES,
    NAMES,
    ExcitedTables,
    dataset,
    errors,
    folds,
    read_excited,
    train_energies,
    train_heads,
    with_gap,
)

from molsieve.campaign import Potential
from molsieve.potential.calibration import group_bootstrap, mean_absolute
from molsieve.properties.training_data import property_values
from molsieve.property_settings import Properties

TABLE = Path(__file__).parent / "results" / "excited_states" / "table.parquet"
SPLITS = {"random": "structure_id", "by molecule": "smiles", "scaffold": "scaffold"}
VARIANTS = {
    "no descriptors": {"descriptors": "none"},
    "default": {},
    "exciton": {"pooling": "exciton"},
    "mean": {"pooling": "mean"},
    "attention": {"pooling": "attention"},
    "no global layer": {"global_layers": 0},
    "two global layers": {"global_layers": 2},
    "no gap loss": {"gap_weight": 0.0},
    "adam": {"optimiser": "adam"},
}


def representations(tables: ExcitedTables, epochs: dict[str, int], count: int) -> None:
    """Print the errors of one fold with atom features of each kind, one member each."""
    structures, potential = tables.structures, Potential(bootstrap=False)
    test = folds(structures["smiles"].tolist(), count, seed=1) == 0
    rows = dataset(structures, test, seed=0)
    molecules = structures.loc[test, "smiles"].to_numpy(str)
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        half = epochs["max_epochs"] // 2
        train_energies(rows, structures, tables.low, potential, half, Path(folder))
        print(f"energy member: {time.process_time() - start:.0f} core-s", flush=True)
        for kind in ("own", "finetuned", "frozen"):
            start = time.process_time()
            settings = Properties(representation=kind, **epochs)
            committee = train_heads(
                rows, structures, {"low": tables.low}, potential, settings, 0, 1, [Path(folder)]
            )
            told(kind, errors(committee, structures[test], tables.low), molecules)
            print(f"{'':18s} {time.process_time() - start:.0f} core-s", flush=True)


def judged(
    tables: ExcitedTables, by: str, settings: Properties, count: int, members: int
) -> np.ndarray:
    """(S, 4) errors of every structure when it was held out."""
    structures, potential = tables.structures, Potential(bootstrap=members > 1)
    fold = folds(structures[by].tolist(), count, seed=1)
    found = np.full((len(structures), len(FIGURES)), np.nan)
    for number in range(count):
        test = fold == number
        rows = dataset(structures, test, seed=number)
        with tempfile.TemporaryDirectory() as folder:
            if settings.representation != "own":
                half = settings.max_epochs // 2
                train_energies(rows, structures, tables.low, potential, half, Path(folder))
            committee = train_heads(
                rows, structures, {"low": tables.low}, potential, settings, number, members,
                [Path(folder)] * members,
            )  # fmt: skip
        found[test] = errors(committee, structures[test], tables.low)
    return found


def told(name: str, found: np.ndarray, groups: np.ndarray) -> list[float]:
    """Print mean absolute errors with intervals that resample groups; the errors."""
    parts, values = [], []
    for place, (figure, unit) in enumerate(FIGURES.items()):
        known = np.isfinite(found[:, place])
        value, low, high = group_bootstrap(found[known, place], groups[known], 1, mean_absolute)
        parts.append(f"{figure} {value:.3f} ({low:.3f}-{high:.3f}) {unit}".rstrip())
        values.append(value)
    print(f"{name:18s} " + ", ".join(parts), flush=True)
    return values


def main() -> None:
    """Train, judge and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--members", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--variants", nargs="*", default=None)
    parser.add_argument("--representations", action="store_true")
    arguments = parser.parse_args()
    tables = read_excited(arguments.table)
    low = tables.low["structure_id"]
    tables = ExcitedTables(
        tables.structures[tables.structures["structure_id"].isin(low)].reset_index(drop=True),
        tables.low,
        tables.high,
    )
    structures = tables.structures
    counts = [structures[name].nunique() for name in SPLITS.values()]
    print("{} structures of {} molecules, {} scaffolds".format(*counts))
    epochs = {"max_epochs": arguments.epochs, "patience_epochs": arguments.epochs}
    molecules = structures["smiles"].to_numpy(str)
    labels = with_gap(property_values(structures["structure_id"], [tables.low], NAMES)[:, 0])
    told("mean", labels - np.nanmean(labels, 0), molecules)
    if arguments.representations:
        representations(tables, epochs, arguments.folds)
        return
    if arguments.variants is not None:
        for name in arguments.variants or VARIANTS:
            start = time.process_time()
            settings = Properties(**epochs | VARIANTS[name])
            found = judged(tables, "smiles", settings, arguments.folds, arguments.members)
            told(name, found, molecules)
            print(f"{'':18s} {time.process_time() - start:.0f} core-s", flush=True)
        return
    settings = Properties(**epochs)
    values: dict[str, list[float]] = {}
    for name, by in SPLITS.items():
        if by == "smiles" and len(structures) == structures[by].nunique():
            print(f"{name:18s} as random: every molecule has one geometry", flush=True)
            continue
        found = judged(tables, by, settings, arguments.folds, arguments.members)
        groups = structures["scaffold" if by == "scaffold" else "smiles"].to_numpy(str)
        values[name] = told(name, found, groups)
    random, honest = values["random"], values["scaffold"]
    print(
        "claim: mean absolute error of S1 and T1 on scaffolds never seen, eV | "
        f"ours: {honest[0]:.2f}, {honest[1]:.2f} | peer: {random[0]:.2f}, {random[1]:.2f} (random "
        f"split) | ratio: {honest[0] / random[0]:.1f}, {honest[1] / random[1]:.1f}"
    )


if __name__ == "__main__":
    main()
