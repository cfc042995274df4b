"""Repeat failed calculations as ordered by ``molsieve retry``."""

from pathlib import Path

from molsieve.campaign import Run
from molsieve.jobs.allocation import Allocation
from molsieve.jobs.script import granted, rule_attempt
from molsieve.labelling import CostModel, label_structures, shard_of
from molsieve.retries.orders import read_order
from molsieve.tables import read_table


def retry_labels(
    order_file: Path,
    structures: Path,
    receipt: Path,
    params,
    shard: int,
    allocation: Allocation,
    run: Run,
    levels: dict,
) -> None:
    """Repeat the shard's failures with the order's settings and write the receipt."""
    order = read_order(order_file.parent)
    level = order.level_settings(levels)
    rows = shard_of(read_table(structures, "structures"), shard, order.shards, CostModel(), level)
    label_structures(
        rows,
        level,
        Path(run.label_store),
        receipt,
        workers=run.workers or allocation.workers(getattr(level, "device", "cpu")),
        run=order.run_settings(run),
        job=f"{params.campaign}-retry-{order.number}-{shard}",
        campaign=params.campaign,
        newer_than=order.newer_than,
        allocation=allocation,
    )


if __name__ == "__main__":
    with rule_attempt(snakemake, shared=True):
        retry_labels(
            Path(snakemake.input.order),
            Path(snakemake.input.structures),
            Path(snakemake.output.receipt),
            snakemake.params,
            int(snakemake.wildcards.shard),
            granted(snakemake),
            Run(**snakemake.config.get("run", {})),
            snakemake.config["levels"],
        )
