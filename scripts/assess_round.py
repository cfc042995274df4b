"""Write the figures that say how a round went."""

import json
from importlib import import_module
from pathlib import Path

from molsieve.acquisition.assessment import assess_round
from molsieve.campaign import parse_section
from molsieve.jobs.script import paths, rule_attempt
from molsieve.labelled_structures import read_labelled_structures
from molsieve.labelling.fidelity import asked_for
from molsieve.tables import read_table

IDENTITIES = ["structure_id", "species_id", "candidate_id", "role", "conformer", "origin"]
"""Columns of ``structures`` that tell what can be chosen."""


def assess(inputs, outputs, params, round: int, config: dict) -> None:
    """Write the round's figures.json and ``metrics``."""
    objective = import_module(f"molsieve.domains.{params.domain}.objective")
    level = json.loads(Path(inputs.calibration).read_text())
    files, labels = paths(inputs.built, inputs.labelled), read_table(inputs.labels, "labels")
    selections = read_table(inputs.selections, "selection")
    assess_round(
        round,
        read_table(inputs.candidates, "candidates"),
        read_table(inputs.species, "species", ["candidate_id", "role"]),
        read_table(inputs.built, "structures", IDENTITIES),
        read_table(inputs.predictions, "predictions"),
        selections,
        read_table(inputs.receipts, "receipt"),
        objective.labelled_values(
            read_labelled_structures(params.domain, files, labels["structure_id"]),
            labels,
            level,
        ),
        parse_section(params.domain, "objective", params.objective),
        params.seed,
        Path(outputs.figures),
        Path(outputs.metrics),
        read_table([inputs.evaluation, *inputs.geometry_metrics], "metrics"),
        json.loads(Path(inputs.evaluation_calibration).read_text()),
        params.campaign,
        asked_for(selections, config)["candidate_id"],
    )


if __name__ == "__main__":
    with rule_attempt(snakemake):
        assess(
            snakemake.input,
            snakemake.output,
            snakemake.params,
            int(snakemake.wildcards.round),
            snakemake.config,
        )
