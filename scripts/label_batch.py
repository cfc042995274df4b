"""Label one shard of a round's structures in a worker pool."""

from pathlib import Path

from molsieve.campaign import Run
from molsieve.labelling import CostModel, label_structures, shard_of
from molsieve.levels import parse_level
from molsieve.script import reporting
from molsieve.tables import read_table


def label_batch(
    structures: Path,
    receipt: Path,
    params,
    round: int,
    shard: int,
    workers: int,
    run: Run,
    levels: dict,
) -> None:
    """Label the shard's structures and write the receipt."""
    level = parse_level(levels[params.level["name"]])
    store = Path(run.label_store)
    rows = shard_of(read_table(structures, "structures"), shard, params.shards, CostModel(), level)
    label_structures(
        rows,
        level,
        store,
        receipt,
        workers=run.workers or workers,
        run=run,
        job=f"{params.campaign}-{round}-{shard}",
        campaign=params.campaign,
    )


if __name__ == "__main__":
    with reporting(snakemake.log[0]):
        label_batch(
            Path(snakemake.input.structures),
            Path(snakemake.output.receipt),
            snakemake.params,
            int(snakemake.wildcards.round),
            int(snakemake.wildcards.shard),
            snakemake.threads,
            Run(**snakemake.config.get("run", {})),
            snakemake.config["levels"],
        )
