"""Build the structures of the measured systems and of what every candidate shares."""

from importlib import import_module
from pathlib import Path

from molsieve.campaign import parse_section
from molsieve.script import reporting


def build_references(species: Path, structures: Path, params, workers: int) -> None:
    """Write the references' ``species`` and ``structures`` tables."""
    domain = import_module(f"molsieve.domains.{params.domain}.structures")
    domain.build_references(
        parse_section(params.domain, "structures", params.structures),
        parse_section(params.domain, "objective", params.objective),
        params.elements,
        params.seed,
        species,
        structures,
        workers,
        params.campaign,
    )


if __name__ == "__main__":
    with reporting(snakemake.log[0]):
        build_references(
            Path(snakemake.output.species),
            Path(snakemake.output.structures),
            snakemake.params,
            snakemake.threads,
        )
