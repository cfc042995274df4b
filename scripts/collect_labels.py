"""Freeze the dataset of a round: what trains, calibrates and tests its committee."""

from pathlib import Path

from molsieve.campaign import Labels, Run
from molsieve.jobs.script import rule_attempt
from molsieve.labelling import collect_labels
from molsieve.levels import parse_level


def collect(inputs, outputs, params, round: int, quorum: float, run: Run, levels: dict) -> None:
    """Write the round's ``dataset``, ``structures`` and ``labels`` and print their counts."""
    print(
        collect_labels(
            inputs.selections,
            inputs.structures,
            inputs.receipts,
            parse_level(levels[params.level["name"]]),
            run.label_store,
            round,
            params.validation_share,
            params.seed,
            quorum,
            dataset_path=outputs.dataset,
            structures_path=outputs.structures,
            labels_path=outputs.labels,
            campaign=params.campaign,
            retries={int(Path(path).parts[-3]) for path in inputs.retries},
        )
    )


if __name__ == "__main__":
    with rule_attempt(snakemake):
        collect(
            snakemake.input,
            snakemake.output,
            snakemake.params,
            int(snakemake.wildcards.round),
            # Not a param: a quorum lowered for a later round must not redo the rounds before it.
            Labels(**snakemake.config["labels"]).quorum,
            Run(**snakemake.config.get("run", {})),
            snakemake.config["levels"],
        )
