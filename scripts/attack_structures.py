"""Find geometries on which a round's committee disagrees most while they stay plausible."""

from pathlib import Path

import torch

from molsieve.attack import attack_structures
from molsieve.campaign import Attack
from molsieve.jobs.script import rule_attempt
from molsieve.potential.committee import Committee
from molsieve.tables import read_table


def attack(inputs, outputs, params, round: int, threads: int) -> None:
    """Write the adversarial ``structures``, most adversarial first, and print their counts."""
    torch.set_num_threads(threads)
    print(
        attack_structures(
            read_table(inputs.dataset, "dataset"),
            read_table(inputs.structures, "structures"),
            Committee.load([Path(p).parent for p in inputs.members], params.device),
            Attack(**params.attack),
            params.seed,
            round,
            Path(outputs.structures),
            params.campaign,
        )
    )


if __name__ == "__main__":
    with rule_attempt(snakemake, keep=True, threads_matter=True) as attempt:
        if attempt.needed:
            attack(
                snakemake.input,
                snakemake.output,
                snakemake.params,
                int(snakemake.wildcards.round),
                snakemake.threads,
            )
