"""Rank every candidate, with what is known and what is only predicted."""

import json
from importlib import import_module
from pathlib import Path

from molsieve.campaign import Run, parse_section
from molsieve.jobs.script import paths, rule_attempt
from molsieve.labelling import read_labels
from molsieve.levels import parse_level
from molsieve.ranking import rank_candidates
from molsieve.tables import read_table


def rank(inputs, output: Path, params, round: int, run: Run, levels: dict) -> None:
    """Write the ``ranking``."""
    objective = import_module(f"molsieve.domains.{params.domain}.objective")
    label_calibration, confirm_calibration = (
        json.loads(Path(path).read_text()) for path in inputs.calibrations
    )
    hits = read_table(inputs.selection, "selection")
    store = Path(run.label_store)
    rank_candidates(
        read_table(inputs.predictions, "predictions"),
        read_table(inputs.candidates, "candidates"),
        objective.labelled_values(
            read_table(paths(inputs.built, inputs.labelled), "structures"),
            read_table(inputs.labels, "labels"),
            label_calibration,
        ),
        read_table(inputs.selections, "selection"),
        read_table(inputs.built, "structures"),
        read_table(inputs.minima, "structures"),
        hits,
        read_labels(store, params.labels_level["level_id"], hits["structure_id"]),
        read_labels(store, params.confirm_level["level_id"], hits["structure_id"]),
        label_calibration,
        confirm_calibration,
        parse_level(levels[params.confirm_level["name"]]),
        parse_section(params.domain, "ranking", params.ranking),
        parse_section(params.domain, "objective", params.objective),
        round,
        output,
        params.campaign,
        json.loads(Path(inputs.evaluation).read_text())["calibrated"],
    )


if __name__ == "__main__":
    with rule_attempt(snakemake):
        rank(
            snakemake.input,
            Path(snakemake.output.ranking),
            snakemake.params,
            int(snakemake.wildcards.round),
            Run(**snakemake.config.get("run", {})),
            snakemake.config["levels"],
        )
