"""Freeze the better level's labels of a round's dataset."""

from pathlib import Path

from molsieve.campaign import Run
from molsieve.jobs.script import rule_attempt
from molsieve.labelling.fidelity import collect_fidelity
from molsieve.tables import read_table

if __name__ == "__main__":
    with rule_attempt(snakemake):
        count = collect_fidelity(
            read_table(snakemake.input.dataset, "dataset"),
            Run(**snakemake.config.get("run", {})).label_store,
            snakemake.params.level["level_id"],
            Path(snakemake.output.labels),
            snakemake.params.campaign,
        )
        print(f"labels at {snakemake.params.level['name']}: {count}")
