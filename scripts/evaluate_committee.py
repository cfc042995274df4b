"""Judge a round's committee on data it has not seen, and calibrate its spread."""

import json
from pathlib import Path

import torch

from molsieve.campaign import Prediction
from molsieve.evaluation import evaluate_round
from molsieve.jobs.script import rule_attempt
from molsieve.labelled_structures import read_labelled_structures
from molsieve.potential.committee import Committee
from molsieve.properties.committee import PropertyCommittee
from molsieve.tables import read_table


def evaluate_committee(inputs, outputs, params, round: int, threads: int) -> None:
    """Write the committee's ``metrics``, calibration and ``parity``."""
    torch.set_num_threads(threads)
    level = json.loads(Path(inputs.calibration).read_text())
    dataset = read_table(inputs.dataset, "dataset")
    evaluate_round(
        dataset,
        read_table(inputs.structures, "structures"),
        read_table(inputs.labels, "labels"),
        Committee.load([Path(p).parent for p in inputs.members], params.device),
        params.domain,
        level,
        Prediction(**params.prediction),
        round,
        level["level_id"],
        Path(outputs.metrics),
        Path(outputs.calibration),
        Path(outputs.parity),
        params.seed,
        params.campaign,
        read_labelled_structures(params.domain, inputs.built, dataset["structure_id"]),
        PropertyCommittee.of_files(inputs.properties, params.device),
        read_table(inputs.fidelity, "labels") if inputs.fidelity else None,
    )


if __name__ == "__main__":
    with rule_attempt(snakemake, keep=True, threads_matter=True) as attempt:
        if attempt.needed:
            evaluate_committee(
                snakemake.input,
                snakemake.output,
                snakemake.params,
                int(snakemake.wildcards.round),
                snakemake.threads,
            )
