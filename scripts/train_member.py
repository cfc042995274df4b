"""Train one member of a round's committee."""

import json
from pathlib import Path

from molsieve.campaign import Potential
from molsieve.jobs.script import rule_attempt
from molsieve.potential.training import train_member
from molsieve.tables import read_table


def train(
    dataset: Path,
    structures: Path,
    labels: Path,
    calibration: Path,
    previous: Path | None,
    folder: Path,
    params,
    member: int,
    threads: int,
) -> None:
    """Train on the frozen dataset and write the weights and hyperparameters to ``folder``."""
    atoms = json.loads(calibration.read_text())["atom_energies_ev"]
    train_member(
        read_table(dataset, "dataset"),
        read_table(structures, "structures"),
        read_table(labels, "labels"),
        {int(number): energy for number, energy in atoms.items()},
        Potential(**params.potential),
        level_id=params.level["level_id"],
        seed=params.seed,
        member=member,
        folder=folder,
        previous=previous,
        threads=threads,
    )


if __name__ == "__main__":
    with rule_attempt(snakemake, keep=True, threads_matter=True) as attempt:
        if attempt.needed:
            train(
                Path(snakemake.input.dataset),
                Path(snakemake.input.structures),
                Path(snakemake.input.labels),
                Path(snakemake.input.calibration),
                Path(snakemake.input.previous).parent if snakemake.input.previous else None,
                Path(snakemake.output.weights).parent,
                snakemake.params,
                int(snakemake.wildcards.member),
                snakemake.threads,
            )
