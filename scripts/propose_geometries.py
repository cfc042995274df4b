"""Find distorted geometries worth a label: by attack, dynamics, normal modes or at random."""

from pathlib import Path

import torch

from molsieve.geometries.proposal import propose_geometries
from molsieve.geometry_settings import Geometries
from molsieve.jobs.script import rule_attempt
from molsieve.potential.committee import Committee
from molsieve.tables import read_table


def propose(inputs, outputs, params, round: int, threads: int) -> None:
    """Write ``geometries``, most wanted first, and the sources' metrics; print the counts."""
    torch.set_num_threads(threads)
    print(
        propose_geometries(
            read_table(inputs.dataset, "dataset"),
            read_table(inputs.structures, "structures"),
            Committee.load([Path(p).parent for p in inputs.members], params.device),
            Geometries(**params.geometries),
            params.seed,
            round,
            Path(outputs.geometries),
            Path(outputs.metrics),
            params.campaign,
        )
    )


if __name__ == "__main__":
    with rule_attempt(snakemake, keep=True, threads_matter=True) as attempt:
        if attempt.needed:
            propose(
                snakemake.input,
                snakemake.output,
                snakemake.params,
                int(snakemake.wildcards.round),
                snakemake.threads,
            )
