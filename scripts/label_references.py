"""Label the measured systems at a level; free atoms only where a committee is trained."""

from pathlib import Path

from molsieve.campaign import Run
from molsieve.jobs.allocation import Allocation
from molsieve.jobs.script import granted, rule_attempt
from molsieve.labelling import label_structures
from molsieve.levels import parse_level
from molsieve.tables import read_table


def label_references(
    structures: Path, receipt: Path, params, allocation: Allocation, run: Run, levels: dict
) -> None:
    """Label every reference structure of the level and write the receipt."""
    level = parse_level(levels[params.level["name"]])
    rows = read_table(structures, "structures")
    if params.level["name"] != params.atoms_level:
        rows = rows[rows["role"] != "atom"]
    label_structures(
        rows,
        level,
        Path(run.label_store),
        receipt,
        workers=run.workers or allocation.workers(getattr(level, "device", "cpu")),
        run=run,
        job=f"{params.campaign}-references-{params.level['name']}",
        campaign=params.campaign,
        allocation=allocation,
    )


if __name__ == "__main__":
    with rule_attempt(snakemake, shared=True):
        label_references(
            Path(snakemake.input.structures),
            Path(snakemake.output.receipt),
            snakemake.params,
            granted(snakemake),
            Run(**snakemake.config.get("run", {})),
            snakemake.config["levels"],
        )
