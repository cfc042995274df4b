"""Build the structures of the measured systems and of what every candidate shares."""

from importlib import import_module
from pathlib import Path

from molsieve.campaign import Run, parse_section
from molsieve.jobs.forecasts import write_forecast
from molsieve.jobs.script import rule_attempt
from molsieve.levels import parse_level
from molsieve.property_settings import objective_level
from molsieve.tables import read_table


def build_references(species: Path, structures: Path, params, config: dict, workers: int) -> None:
    """Write the references' ``species`` and ``structures`` tables."""
    domain = import_module(f"molsieve.domains.{params.domain}.structures")
    domain.build_references(
        parse_section(params.domain, "structures", params.structures),
        # The params are without the goals, which only parsing needs here.
        parse_section(
            params.domain, "objective", {**config.get("objective", {}), **params.objective}
        ),
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
    teaching = config["labels"]["level"]
    confirming = config["ranking"]["confirm"]["level"]
    names = dict.fromkeys([teaching, objective_level(config), confirming])
    measured = rows[rows["role"] != "atom"]
    chosen = {
        name: (parse_level(config["levels"][name]), rows if name == teaching else measured)
        for name in names
    }
    write_forecast(structures, chosen, Run(**config.get("run", {})).label_store)


if __name__ == "__main__":
    with rule_attempt(snakemake, keep=True) as attempt:
        if attempt.needed:
            build_references(
                Path(snakemake.output.species),
                Path(snakemake.output.structures),
                snakemake.params,
                snakemake.config,
                snakemake.threads,
            )
        forecast(Path(snakemake.output.structures), snakemake.config)
