"""Fit a level of theory to measured systems."""

from importlib import import_module
from pathlib import Path

from molsieve.campaign import Run
from molsieve.jobs.script import rule_attempt
from molsieve.labelling import read_labels
from molsieve.tables import read_table


def calibrate_level(
    species: Path, structures: Path, references: Path, calibration: Path, params, run: Run
) -> None:
    """Write the ``references`` table and the fit's JSON."""
    objective = import_module(f"molsieve.domains.{params.domain}.objective")
    domain_structures = import_module(f"molsieve.domains.{params.domain}.structures")
    rows = read_table(structures, "structures")
    level_id = params.level["level_id"]
    objective.calibrate_level(
        read_table(species, "species"),
        rows,
        read_labels(Path(run.label_store), level_id, rows["structure_id"]),
        domain_structures.measured_systems(),
        level_id,
        references,
        calibration,
        params.campaign,
    )


if __name__ == "__main__":
    with rule_attempt(snakemake):
        calibrate_level(
            Path(snakemake.input.species),
            Path(snakemake.input.structures),
            Path(snakemake.output.references),
            Path(snakemake.output.calibration),
            snakemake.params,
            Run(**snakemake.config.get("run", {})),
        )
