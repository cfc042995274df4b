"""Real TDA labels of a few hundred small push-pull molecules: the acquisition benchmark's table.

Donor-bridge-acceptor molecules from the shipped list ``push_pull``, drawn by a seed, at their
GFN2-xTB minimum; every one at PBE0/def2-SVP, every fourth also at the range-separated
CAM-B3LYP/def2-SVP (identical geometry: two fidelities). Labels go through the project's own label
store, so a run that was stopped goes on where it was, and

    <folder>/table.parquet

is written anew after every chunk: one row a molecule and level with ``smiles``, ``level`` (``low``
or ``high``), ``numbers``, ``positions_angstrom`` and the columns of the ``labels`` table.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from molsieve.campaign import Run
from molsieve.domains.oled import candidates, config, structures
from molsieve.labelling import label_structures, read_labels
from molsieve.levels import Level, level_id, parse_level
from molsieve.tables import atomic_path, read_table

SEED = 1
CHUNK = 15
HIGH_EVERY = 4
SMALL_ATOMS = 13
CANDIDATES = config.Candidates.model_validate(
    {
        "source": {"kind": "fragments", "lists": ["push_pull"], "patterns": ["D-A", "D-B-A"]},
        "filters": {
            "min_atoms": 10,
            "max_atoms": 16,
            "max_heavy_atoms": 11,
            "elements": ["H", "C", "N", "O", "F", "S"],
            "alerts": [],
        },
    }
)
LEVELS = {
    name: parse_level(
        {
            "engine": "pyscf",
            "functional": functional,
            "basis": "def2-SVP",
            "grid_level": 1,
            "excitations": {"singlets": 2, "triplets": 2},
        }
    )
    for name, functional in (("low", "PBE0"), ("high", "CAM-B3LYP"))
}


def main() -> None:
    """Enumerate, build, label; print how far it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("benchmarks/results/excited_states"))
    parser.add_argument("--molecules", type=int, default=300)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    rows = geometries(folder, arguments.molecules, arguments.workers)
    for start in range(0, len(rows), CHUNK):
        chunk = rows.iloc[start : start + CHUNK]
        for name, level in LEVELS.items():
            asked = chunk[chunk["order"] % HIGH_EVERY == 0] if name == "high" else chunk
            label_structures(
                asked.drop(columns=["order", "smiles"]),
                level,
                folder / "label_store",
                None,
                workers=arguments.workers,
                run=Run(),
                job=f"excited-{name}",
            )
        table = write_table(rows, folder)
        counted = table.groupby(["level", "status"]).size().to_dict()
        print(f"{start + len(chunk)} of {len(rows)} molecules: {counted}", flush=True)


def geometries(folder: Path, molecules: int, workers: int) -> pd.DataFrame:
    """Rows of ``structures`` with ``smiles`` and ``order`` (0, 1, …), made once, in drawn order."""
    species, built = folder / "species.parquet", folder / "structures.parquet"
    if not built.exists():
        accepted = [
            row for row in candidates.iterate_candidates(CANDIDATES) if row["status"] == "accepted"
        ]
        order = np.random.default_rng(SEED).permutation(len(accepted))[:molecules]
        drawn = pd.DataFrame([accepted[i] for i in order])
        print(f"{len(drawn)} of {len(accepted)} molecules drawn")
        settings = config.Structures()
        counts = structures.build_structures(
            drawn, settings, SEED, species, built, workers, "benchmark"
        )
        print(f"geometries: {counts}", flush=True)
    identifiers = read_table(species, "species").set_index("species_id")["identifier"]
    rows = read_table(built, "structures")
    rows["smiles"] = rows["species_id"].map(identifiers)
    # The tables are sorted by id, which is a hash: of the small ones, and of the rest, what is done
    # first is a random sample.
    rows["order"] = np.arange(len(rows))
    large = rows["numbers"].map(len) > SMALL_ATOMS
    return rows.loc[large.sort_values(kind="stable").index].reset_index(drop=True)


def write_table(rows: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """All labels there are, joined with their molecules, as one Parquet file."""
    parts = [_labels(rows, name, level, folder) for name, level in LEVELS.items()]
    table = pd.concat(parts, ignore_index=True)
    with atomic_path(folder / "table.parquet") as temporary:
        table.to_parquet(temporary, index=False)
    return table


def _labels(rows: pd.DataFrame, name: str, level: Level, folder: Path) -> pd.DataFrame:
    labels = read_labels(folder / "label_store", level_id(level), rows["structure_id"])
    known = rows[["structure_id", "candidate_id", "smiles", "numbers", "positions_angstrom"]]
    return known.merge(labels.assign(level=name), on="structure_id")


if __name__ == "__main__":
    main()
