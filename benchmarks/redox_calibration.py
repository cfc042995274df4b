"""Leave-one-out error of the calibrated redox potentials over all measured couples we ship.

Labels every couple at GFN2-xTB and at PBE/def2-SVP (the quickstart's levels) through the project's
own structure building, worker pool and label store, so a second run costs nothing.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from molsieve.campaign import Run
from molsieve.domains.flow_battery import config, objective, structures
from molsieve.labelling import label_structures, read_labels
from molsieve.levels import level_id, parse_level
from molsieve.tables import read_table

LEVELS = {
    "GFN2-xTB": {"engine": "tblite", "method": "GFN2-xTB"},
    "PBE/def2-SVP": {
        "engine": "pyscf",
        "functional": "PBE",
        "basis": "def2-SVP",
        "grid_level": 1,
    },
}


def main() -> None:
    """Build, label, fit; print one line a couple and level, and the claim."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("benchmarks/results/redox"))
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    species, rows = folder / "species.parquet", folder / "structures.parquet"
    if not rows.exists():
        structures.build_references(
            config.Structures(),
            config.Objective(direction="posolyte"),
            [],
            1,
            species,
            rows,
            arguments.workers,
            "benchmark",
        )
    errors = {}
    for name, settings in LEVELS.items():
        errors[name] = leave_one_out(name, settings, folder, arguments.workers)
    gfn2, dft = errors["GFN2-xTB"], errors["PBE/def2-SVP"]
    print(
        f"claim: leave-one-out MAE of the redox potential, {dft['n']} measured couples"
        f" | ours: PBE/def2-SVP {dft['loo_mae_v']:.3f} V"
        f" | peer: GFN2-xTB {gfn2['loo_mae_v']:.3f} V"
        f" | ratio: {gfn2['loo_mae_v'] / dft['loo_mae_v']:.1f}"
    )


def leave_one_out(name: str, settings: dict, folder: Path, workers: int) -> dict:
    """Label the couples at a level and return its calibration."""
    level = parse_level(settings)
    rows = read_table(folder / "structures.parquet", "structures")
    store = folder / "label_store"
    label_structures(
        rows,
        level,
        store,
        None,
        workers=workers,
        run=Run(),
        job=f"redox-{level_id(level)}",
    )
    references, calibration = folder / f"{level_id(level)}.parquet", folder / "calibration.json"
    objective.calibrate_level(
        read_table(folder / "species.parquet", "species"),
        rows,
        read_labels(store, level_id(level), rows["structure_id"]),
        structures.reference_couples(),
        level_id(level),
        references,
        calibration,
        "benchmark",
    )
    table = read_table(references, "references")
    print(f"\n{name}")
    print(
        table[["name", "measured", "computed", "fitted", "left_out", "grade"]].to_string(
            index=False, float_format=lambda x: f"{x:.3f}"
        )
    )
    fit: dict = json.loads(calibration.read_text())
    print({key: fit[key] for key in ("slope", "intercept_v", "loo_mae_v", "loo_rmse_v", "n")})
    return fit


if __name__ == "__main__":
    main()
