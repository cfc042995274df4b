"""How much of the true top ten a finished campaign has found, against a random choice of as many.

Labels every candidate of the campaign at its label level (GFN2-xTB in the quickstart, half a
minute) in a store of its own, and looks where the truly best ones stand in the campaign's ranking.
The campaign is run first where its results are not here (``make demo``).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from workflow_overhead import run_unless_finished

from molsieve.campaign import Run
from molsieve.labelling import label_structures, read_labels
from molsieve.levels import level_id
from molsieve.loading import load_campaign
from molsieve.objective import domain_module, labelled_values
from molsieve.tables import read_table

TOP = 10


def main() -> int:
    """Print where the true top ten stand, and the claim."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--campaign", type=Path, default=Path("config/quickstart.yaml"))
    parser.add_argument("--store", type=Path, default=Path("benchmarks/results/recall"))
    arguments = parser.parse_args()
    campaign = load_campaign(arguments.campaign)
    results = Path("results") / campaign.campaign
    run_unless_finished(arguments.campaign, campaign.campaign, len(os.sched_getaffinity(0)))
    rankings = sorted(results.glob("rounds/*/ranking.parquet"), key=lambda p: int(p.parts[-2]))
    level = campaign.level(campaign.labels.level)
    structures = read_table(sorted(results.glob("structures/*/structures.parquet")), "structures")
    label_structures(
        structures,
        level,
        arguments.store,
        None,
        workers=len(os.sched_getaffinity(0)),
        run=Run(),
        job="recall",
    )
    labels = read_labels(arguments.store, level_id(level), structures["structure_id"])
    calibration = results / "references" / campaign.labels.level / "calibration.json"
    truth = labelled_values(
        campaign.domain, structures, labels, json.loads(calibration.read_text())
    )
    objective = campaign.objective  # type: ignore[attr-defined]
    truth["utility"] = domain_module(campaign.domain).utility(truth["value"], objective)
    best = truth.sort_values("utility", ascending=False).head(TOP)
    ranking = read_table(rankings[-1], "ranking")
    found = best.merge(ranking, on="candidate_id", how="left", suffixes=("_true", ""))
    columns = ["rank", "identifier", "value", "mean", "std", "label_value"]
    print(found[columns].to_string(index=False, float_format="{:.3f}".format))
    labelled = int(ranking["label_value"].notna().sum())
    hits = int((found["rank"] <= TOP).sum())
    chance = TOP * labelled / len(truth)
    print(
        f"claim: of the true top {TOP} of {len(truth)} candidates, ranked in the top {TOP} with "
        f"{labelled} labelled | ours: {hits} | peer: {chance:.1f} found by a random choice"
        f" | ratio: {hits / chance:.1f}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
