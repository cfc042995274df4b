"""Every round's committee on the same candidates: those held out in the last round.

    python benchmarks/zeolite/held_out_by_round.py results/demo_zeolite

The page's error by round judges each committee at its own minima, other geometries each round. Here
all see the geometries that the last round labelled; half of these candidates set the scale of the
spread, none has trained a member.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from molsieve.campaign import Prediction
from molsieve.evaluation import predicted_couples
from molsieve.potential.committee import Committee
from molsieve.tables import read_table


def last_rounds_data(results: Path) -> tuple[int, dict[str, pd.DataFrame]]:
    """Number of the last round with a dataset, and its tables with all built structures."""
    last = max(int(path.parent.parent.name) for path in results.glob("rounds/*/dataset/labels.*"))
    folder = results / "rounds" / str(last) / "dataset"
    names = ("dataset", "structures", "labels")
    data = {name: read_table(folder / f"{name}.parquet", name) for name in names}
    shards = sorted(results.glob("structures/*/structures.parquet"))
    built = [read_table(path, "structures") for path in shards]
    data["structures"] = pd.concat([*built, data["structures"]], ignore_index=True)
    return last, data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="results folder of a zeolite campaign")
    parser.add_argument("--level", default="gfn1", help="labels.level of the campaign")
    asked = parser.parse_args()
    last, data = last_rounds_data(asked.results)
    path = asked.results / "references" / asked.level / "calibration.json"
    calibration = json.loads(path.read_text())
    labels = data["labels"][data["labels"]["level_id"] == calibration["level_id"]]
    for number in range(last + 1):
        folders = sorted((asked.results / f"rounds/{number}/committee").glob("[0-9]*"))
        found = predicted_couples(
            data["dataset"],
            data["structures"],
            labels,
            Committee.load(folders),
            "zeolite",
            calibration,
            Prediction(max_steps=0),
        )
        error, label = found["mean"] - found["label_value"], found["label_value"]
        print(
            f"round {number}: n {len(found)}, MAE {error.abs().mean():.3f} eV, RMSE "
            f"{np.sqrt((error**2).mean()):.3f} eV, Spearman "
            f"{found['mean'].corr(label, method='spearman'):.2f}, SD of labels {label.std():.2f} eV"
        )


if __name__ == "__main__":
    main()
