"""Label the measured systems at a level; free atoms only where a committee is trained."""

from pathlib import Path

from molsieve.campaign import Run
from molsieve.labelling import label_structures
from molsieve.levels import parse_level
from molsieve.script import reporting
from molsieve.tables import read_table


def label_references(
    structures: Path, receipt: Path, params, workers: int, run: Run, levels: dict
) -> None:
    """Label every reference structure of the level and write the receipt."""
    rows = read_table(structures, "structures")
    if params.level["name"] != params.atoms_level:
        rows = rows[rows["role"] != "atom"]
    label_structures(
        rows,
        parse_level(levels[params.level["name"]]),
        Path(run.label_store),
        receipt,
        workers=run.workers or workers,
        run=run,
        job=f"{params.campaign}-references-{params.level['name']}",
        campaign=params.campaign,
    )


if __name__ == "__main__":
    with reporting(snakemake.log[0]):
        label_references(
            Path(snakemake.input.structures),
            Path(snakemake.output.receipt),
            snakemake.params,
            snakemake.threads,
            Run(**snakemake.config.get("run", {})),
            snakemake.config["levels"],
        )
