"""Choose the structures that a round labels."""

import json
from importlib import import_module
from pathlib import Path

from molsieve.acquisition.selection import select_batch
from molsieve.campaign import Acquisition, Run, parse_section
from molsieve.jobs.forecasts import write_forecast
from molsieve.jobs.script import paths, rule_attempt
from molsieve.levels import parse_level
from molsieve.tables import read_table


def select(inputs, outputs, params, round: int, levels: dict, run: Run) -> None:
    """Write the round's ``selection`` and ``structures``, and what labelling them will cost."""
    objective = import_module(f"molsieve.domains.{params.domain}.objective")
    level = parse_level(levels[params.level["name"]])
    later = round > 0
    known = later and objective.labelled_values(
        read_table(paths(inputs.structures, inputs.labelled), "structures"),
        read_table(inputs.labels, "labels"),
        json.loads(Path(inputs.calibration).read_text()),
    )
    select_batch(
        read_table(inputs.candidates, "candidates"),
        read_table(inputs.species, "species"),
        read_table(inputs.minima or inputs.structures, "structures"),
        Acquisition(**params.acquisition),
        parse_section(params.domain, "objective", params.objective),
        round,
        params.seed,
        read_table(inputs.selections, "selection"),
        read_table(inputs.predictions, "predictions") if later else None,
        read_table(inputs.geometries, "geometries") if later else None,
        known if later else None,
        Path(outputs.selection),
        Path(outputs.structures),
        params.campaign,
        level,
    )
    rows = read_table(outputs.structures, "structures")
    write_forecast(outputs.structures, {params.level["name"]: (level, rows)}, run.label_store)


if __name__ == "__main__":
    with rule_attempt(snakemake):
        select(
            snakemake.input,
            snakemake.output,
            snakemake.params,
            int(snakemake.wildcards.round),
            snakemake.config["levels"],
            Run(**snakemake.config.get("run", {})),
        )
