"""Choose the structures that a round labels."""

import json
from importlib import import_module
from pathlib import Path

from molsieve.acquisition.selection import select_batch
from molsieve.campaign import Acquisition, parse_section
from molsieve.levels import parse_level
from molsieve.script import reporting
from molsieve.tables import read_table


def select(inputs, outputs, params, round: int, levels: dict) -> None:
    """Write the round's ``selection`` and its ``structures``."""
    objective = import_module(f"molsieve.domains.{params.domain}.objective")
    later = round > 0
    known = later and objective.labelled_values(
        read_table(inputs.structures, "structures"),
        read_table(inputs.labels, "labels"),
        json.loads(Path(inputs.calibration).read_text()),
    )
    select_batch(
        read_table(inputs.candidates, "candidates"),
        read_table(inputs.species, "species"),
        read_table(inputs.structures, "structures"),
        Acquisition(**params.acquisition),
        parse_section(params.domain, "objective", params.objective),
        round,
        params.seed,
        read_table(inputs.selections, "selection"),
        read_table(inputs.predictions, "predictions") if later else None,
        read_table(inputs.attack, "structures") if later else None,
        known if later else None,
        Path(outputs.selection),
        Path(outputs.structures),
        params.campaign,
        parse_level(levels[params.level["name"]]),
    )


if __name__ == "__main__":
    with reporting(snakemake.log[0]):
        select(
            snakemake.input,
            snakemake.output,
            snakemake.params,
            int(snakemake.wildcards.round),
            snakemake.config["levels"],
        )
