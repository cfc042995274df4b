"""Label a share of a round's structures at the better level, too."""

from pathlib import Path

from molsieve.campaign import Run
from molsieve.jobs.allocation import Allocation
from molsieve.jobs.script import granted, rule_attempt
from molsieve.labelling import CostModel, label_structures, shard_of
from molsieve.labelling.fidelity import structures_at_both_levels
from molsieve.levels import parse_level
from molsieve.tables import read_table


def label_fidelity(
    inputs,
    receipt: Path,
    params,
    round: int,
    shard: int,
    allocation: Allocation,
    run: Run,
    levels: dict,
) -> None:
    """Label the shard of the structures that the better level is asked for; write the receipt."""
    level = parse_level(levels[params.level["name"]])
    rows = structures_at_both_levels(
        read_table(inputs.structures, "structures"),
        read_table(inputs.selection, "selection"),
        params.share,
        params.seed,
    )
    label_structures(
        shard_of(rows, shard, params.shards, CostModel(), level),
        level,
        Path(run.label_store),
        receipt,
        workers=run.workers or allocation.workers(getattr(level, "device", "cpu")),
        run=run,
        job=f"{params.campaign}-{round}-fidelity-{shard}",
        campaign=params.campaign,
        allocation=allocation,
    )


if __name__ == "__main__":
    with rule_attempt(snakemake, shared=True):
        label_fidelity(
            snakemake.input,
            Path(snakemake.output.receipt),
            snakemake.params,
            int(snakemake.wildcards.round),
            int(snakemake.wildcards.shard),
            granted(snakemake),
            Run(**snakemake.config.get("run", {})),
            snakemake.config["levels"],
        )
