"""Build the structures of the measured systems and of what every candidate shares."""

from importlib import import_module
from pathlib import Path

from molsieve.campaign import Run, parse_section
from molsieve.jobs.forecasts import write_forecast
from molsieve.jobs.script import rule_attempt
from molsieve.levels import parse_level
from molsieve.tables import read_table


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


def forecast(structures: Path, config: dict) -> None:
    """Write what labelling the references costs; atoms only where a committee is trained."""
    rows = read_table(structures, "structures")
    names = config["labels"]["level"], config["ranking"]["confirm"]["level"]
    chosen = {name: (parse_level(config["levels"][name]), rows) for name in names}
    if names[1] != names[0]:
        chosen[names[1]] = (chosen[names[1]][0], rows[rows["role"] != "atom"])
    write_forecast(structures, chosen, Run(**config.get("run", {})).label_store)


if __name__ == "__main__":
    with rule_attempt(snakemake, keep=True) as attempt:
        if attempt.needed:
            build_references(
                Path(snakemake.output.species),
                Path(snakemake.output.structures),
                snakemake.params,
                snakemake.threads,
            )
        forecast(Path(snakemake.output.structures), snakemake.config)
