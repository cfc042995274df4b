"""Rank every candidate, with what is known and what is only predicted."""

import json
from importlib import import_module
from pathlib import Path

from molsieve.acquisition.goals import goals_of
from molsieve.campaign import Run, parse_section
from molsieve.jobs.script import paths, rule_attempt
from molsieve.labelled_structures import read_labelled_structures
from molsieve.labelling import read_labels
from molsieve.labelling.fidelity import asked_for
from molsieve.levels import parse_level
from molsieve.ranking import rank_candidates
from molsieve.ranking_flags import excitation_flags
from molsieve.table_streams import read_rows
from molsieve.tables import read_table


def rank(inputs, output: Path, params, round: int, run: Run, config: dict) -> None:
    """Write the ``ranking``."""
    objective = import_module(f"molsieve.domains.{params.domain}.objective")
    label_calibration, confirm_calibration = (
        json.loads(Path(path).read_text()) for path in inputs.calibrations
    )
    hits = read_table(inputs.selection, "selection")
    files, labels = paths(inputs.built, inputs.labelled), read_table(inputs.labels, "labels")
    labelled = read_labelled_structures(params.domain, files, labels["structure_id"])
    settings = parse_section(params.domain, "objective", params.objective)
    # With several objectives geometries are asked for of hits only, else atoms of every candidate.
    several = bool(goals_of(settings))
    built, minima = (
        read_rows(table, "structures", "candidate_id", set(hits["candidate_id"].dropna()))
        if several
        else read_table(table, "structures")
        for table in (inputs.built, inputs.minima)
    )
    store = Path(run.label_store)
    rank_candidates(
        read_table(inputs.predictions, "predictions"),
        read_table(inputs.candidates, "candidates"),
        objective.labelled_values(labelled, labels, label_calibration),
        asked_for(read_table(inputs.selections, "selection"), config),
        built,
        minima,
        hits,
        read_labels(store, params.labels_level["level_id"], hits["structure_id"]),
        read_labels(store, params.confirm_level["level_id"], hits["structure_id"]),
        label_calibration,
        confirm_calibration,
        parse_level(config["levels"][params.confirm_level["name"]]),
        parse_section(params.domain, "ranking", params.ranking),
        settings,
        round,
        output,
        params.campaign,
        json.loads(Path(inputs.evaluation).read_text())["calibrated"],
        excitation_flags(labelled, labels),
    )


if __name__ == "__main__":
    with rule_attempt(snakemake):
        rank(
            snakemake.input,
            Path(snakemake.output.ranking),
            snakemake.params,
            int(snakemake.wildcards.round),
            Run(**snakemake.config.get("run", {})),
            snakemake.config,
        )
