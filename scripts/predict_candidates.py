"""Relax one shard of the candidates with the committee and predict their objective."""

import json
from pathlib import Path

import torch

from molsieve.campaign import Prediction
from molsieve.jobs.script import rule_attempt
from molsieve.potential.committee import Committee
from molsieve.prediction import candidates_of_shard, predict_candidates
from molsieve.properties.committee import PropertyCommittee
from molsieve.tables import read_table


def predict(inputs, outputs, params, round: int, shard: int, threads: int) -> None:
    """Write the shard's ``predictions`` and committee minima and print their counts."""
    torch.set_num_threads(threads)
    settings = Prediction(**params.prediction)
    level = json.loads(Path(inputs.calibration).read_text())
    print(
        predict_candidates(
            candidates_of_shard(inputs.candidates, shard, settings.shards, params.candidate_shards),
            read_table(inputs.species, "species"),
            read_table(inputs.structures, "structures"),
            Committee.load([Path(p).parent for p in inputs.members], params.device),
            params.domain,
            json.loads(Path(inputs.evaluation).read_text()),
            level,
            settings,
            round,
            level["level_id"],
            Path(outputs.predictions),
            Path(outputs.structures),
            params.campaign,
            PropertyCommittee.of_files(inputs.properties, params.device),
        )
    )


if __name__ == "__main__":
    with rule_attempt(snakemake, keep=True, threads_matter=True) as attempt:
        if attempt.needed:
            predict(
                snakemake.input,
                snakemake.output,
                snakemake.params,
                int(snakemake.wildcards.round),
                int(snakemake.wildcards.shard),
                snakemake.threads,
            )
