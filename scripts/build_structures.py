"""Build the relaxed structures of every species that a shard of candidates needs."""

from importlib import import_module
from pathlib import Path

from molsieve.campaign import parse_section
from molsieve.jobs.script import rule_attempt
from molsieve.tables import read_table


def build_structures(
    candidates: Path, species: Path, structures: Path, params, workers: int
) -> None:
    """Write the ``species`` and ``structures`` tables of a candidate shard."""
    domain = import_module(f"molsieve.domains.{params.domain}.structures")
    domain.build_structures(
        read_table(candidates, "candidates"),
        parse_section(params.domain, "structures", params.structures),
        params.seed,
        species,
        structures,
        workers,
        params.campaign,
    )


if __name__ == "__main__":
    with rule_attempt(snakemake, keep=True) as attempt:
        if attempt.needed:
            build_structures(
                Path(snakemake.input.candidates),
                Path(snakemake.output.species),
                Path(snakemake.output.structures),
                snakemake.params,
                snakemake.threads,
            )
