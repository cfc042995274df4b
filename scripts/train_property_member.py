"""Train one member's heads for excited-state properties."""

from pathlib import Path

from molsieve.campaign import Potential
from molsieve.jobs.script import paths, rule_attempt
from molsieve.objective import properties
from molsieve.properties.training import train_property_member
from molsieve.property_settings import Properties
from molsieve.tables import read_table


def train(inputs, folder: Path, params, member: int, threads: int) -> None:
    """Train on the frozen dataset and write the weights and hyperparameters to ``folder``."""
    train_property_member(
        read_table(inputs.dataset, "dataset"),
        read_table(inputs.structures, "structures"),
        [read_table(path, "labels") for path in paths(inputs.labels, inputs.fidelity)],
        [level["level_id"] for level in params.levels],
        properties(params.domain),
        Potential(**params.potential),
        Properties(**params.properties),
        seed=params.seed,
        member=member,
        folder=folder,
        energy_member=_folder(inputs.representation),
        previous=_folder(inputs.previous),
        threads=threads,
    )


def _folder(files) -> Path | None:
    """Of a member's weights; None where the rule has none of them."""
    found = paths(files)
    return Path(found[0]).parent if found else None


if __name__ == "__main__":
    with rule_attempt(snakemake, keep=True, threads_matter=True) as attempt:
        if attempt.needed:
            train(
                snakemake.input,
                Path(snakemake.output.weights).parent,
                snakemake.params,
                int(snakemake.wildcards.member),
                snakemake.threads,
            )
