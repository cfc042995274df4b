"""Choose the top candidates and random controls, and the geometries that tell the errors apart."""

import json
from functools import partial
from importlib import import_module
from pathlib import Path

from molsieve.campaign import Confirm, Run, parse_section
from molsieve.jobs.forecasts import write_forecast
from molsieve.jobs.script import paths, rule_attempt
from molsieve.labelled_structures import read_labelled_structures
from molsieve.levels import parse_level
from molsieve.property_settings import objective_level
from molsieve.ranking import select_hits, structures_at_level
from molsieve.table_streams import read_rows
from molsieve.tables import read_table


def select(inputs, outputs, params, round: int, config: dict) -> None:
    """Write the hits' ``selection`` and ``structures``, and what labelling them will cost."""
    names = objective_level(config), params.confirm["level"]
    levels = {name: parse_level(config["levels"][name]) for name in names}
    objective = import_module(f"molsieve.domains.{params.domain}.objective")
    files, labels = paths(inputs.structures, inputs.labelled), read_table(inputs.labels, "labels")
    select_hits(
        read_table(inputs.predictions, "predictions"),
        read_table(inputs.candidates, "candidates"),
        *(
            partial(read_rows, table, "structures", "candidate_id")
            for table in (inputs.structures, inputs.minima)
        ),
        objective.labelled_values(
            read_labelled_structures(params.domain, files, labels["structure_id"]),
            labels,
            json.loads(Path(inputs.calibration).read_text()),
        ),
        Confirm(**params.confirm),
        *(levels[name] for name in names),
        parse_section(params.domain, "objective", params.objective),
        params.seed,
        round,
        Path(outputs.selection),
        Path(outputs.structures),
        params.campaign,
    )
    hits = read_table(outputs.structures, "structures"), read_table(outputs.selection, "selection")
    chosen = {
        name: (level, structures_at_level(*hits, confirming=name != names[0]))
        for name, level in levels.items()
    }
    write_forecast(outputs.structures, chosen, Run(**config.get("run", {})).label_store)


if __name__ == "__main__":
    with rule_attempt(snakemake):
        select(
            snakemake.input,
            snakemake.output,
            snakemake.params,
            int(snakemake.wildcards.round),
            snakemake.config,
        )
