"""Label one shard of the hits at a level."""

from pathlib import Path

from molsieve.campaign import Run
from molsieve.jobs.allocation import Allocation
from molsieve.jobs.script import granted, rule_attempt
from molsieve.labelling import CostModel, label_structures, shard_of
from molsieve.levels import parse_level
from molsieve.ranking import structures_at_level
from molsieve.tables import read_table


def confirm_hits(
    inputs, receipt: Path, params, shard: int, allocation: Allocation, run: Run, levels: dict
) -> None:
    """Label the shard of the structures that this level is asked for and write the receipt."""
    level = parse_level(levels[params.level["name"]])
    rows = structures_at_level(
        read_table(inputs.structures, "structures"),
        read_table(inputs.selection, "selection"),
        confirming=params.level["name"] != params.labels_level,
    )
    label_structures(
        shard_of(rows, shard, params.shards, CostModel(), level),
        level,
        Path(run.label_store),
        receipt,
        workers=run.workers or allocation.workers(getattr(level, "device", "cpu")),
        run=run,
        job=f"{params.campaign}-hits-{params.level['name']}-{shard}",
        campaign=params.campaign,
        allocation=allocation,
    )


if __name__ == "__main__":
    with rule_attempt(snakemake, shared=True):
        confirm_hits(
            snakemake.input,
            Path(snakemake.output.receipt),
            snakemake.params,
            int(snakemake.wildcards.shard),
            granted(snakemake),
            Run(**snakemake.config.get("run", {})),
            snakemake.config["levels"],
        )
