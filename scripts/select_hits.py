"""Choose the top candidates and random controls, and the geometries that tell the errors apart."""

import json
from importlib import import_module
from pathlib import Path

from molsieve.campaign import Confirm, parse_section
from molsieve.ranking import select_hits
from molsieve.script import reporting
from molsieve.tables import read_table


def select(inputs, outputs, params, round: int) -> None:
    """Write the hits' ``selection`` and ``structures``."""
    objective = import_module(f"molsieve.domains.{params.domain}.objective")
    select_hits(
        read_table(inputs.predictions, "predictions"),
        read_table(inputs.candidates, "candidates"),
        read_table(inputs.structures, "structures"),
        read_table(inputs.minima, "structures"),
        objective.labelled_values(
            read_table(inputs.structures, "structures"),
            read_table(inputs.labels, "labels"),
            json.loads(Path(inputs.calibration).read_text()),
        ),
        Confirm(**params.confirm),
        parse_section(params.domain, "objective", params.objective),
        params.seed,
        round,
        Path(outputs.selection),
        Path(outputs.structures),
        params.campaign,
    )


if __name__ == "__main__":
    with reporting(snakemake.log[0]):
        select(
            snakemake.input,
            snakemake.output,
            snakemake.params,
            int(snakemake.wildcards.round),
        )
