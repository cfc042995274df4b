"""Label one shard of a round's structures in a worker pool."""

from pathlib import Path

from molsieve.campaign import Run
from molsieve.jobs.allocation import Allocation
from molsieve.jobs.script import granted, rule_attempt
from molsieve.labelling import CostModel, label_structures, shard_of
from molsieve.levels import parse_level
from molsieve.tables import read_table


def label_batch(
    structures: Path,
    receipt: Path,
    params,
    round: int,
    shard: int,
    allocation: Allocation,
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
        workers=run.workers or allocation.workers(getattr(level, "device", "cpu")),
        run=run,
        job=f"{params.campaign}-{round}-{shard}",
        campaign=params.campaign,
        allocation=allocation,
    )


if __name__ == "__main__":
    with rule_attempt(snakemake, shared=True):
        label_batch(
            Path(snakemake.input.structures),
            Path(snakemake.output.receipt),
            snakemake.params,
            int(snakemake.wildcards.round),
            int(snakemake.wildcards.shard),
            granted(snakemake),
            Run(**snakemake.config.get("run", {})),
            snakemake.config["levels"],
        )
