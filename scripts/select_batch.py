"""Choose the structures that a round labels."""

import json
from importlib import import_module
from pathlib import Path

from molsieve.acquisition.selection import select_batch
from molsieve.campaign import Acquisition, Run, parse_section
from molsieve.jobs.forecasts import write_forecast
from molsieve.jobs.script import paths, rule_attempt
from molsieve.labelled_structures import read_labelled_structures
from molsieve.labelling.fidelity import structures_at_both_levels
from molsieve.levels import parse_level
from molsieve.property_settings import Fidelity, fidelity_of, objective_level
from molsieve.tables import read_table


def select(inputs, outputs, params, round: int, config: dict) -> None:
    """Write the round's ``selection`` and ``structures``, and what labelling them will cost."""
    objective = import_module(f"molsieve.domains.{params.domain}.objective")
    level = parse_level(config["levels"][params.level["name"]])
    later = round > 0
    if later:
        files, labels = (
            paths(inputs.structures, inputs.labelled),
            read_table(inputs.labels, "labels"),
        )
        known = objective.labelled_values(
            read_labelled_structures(params.domain, files, labels["structure_id"]),
            labels,
            json.loads(Path(inputs.calibration).read_text()),
        )
    select_batch(
        read_table(inputs.candidates, "candidates"),
        read_table(inputs.species, "species", ["candidate_id", "role"]),
        read_table(inputs.minima or inputs.structures, "structures"),
        Acquisition(**params.acquisition),
        # In round 0 the params are without the goals, which only parsing needs there.
        parse_section(
            params.domain, "objective", {**config.get("objective", {}), **params.objective}
        ),
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
    forecast(outputs, params, config)


def forecast(outputs, params, config: dict) -> None:
    """Write what labelling the round costs, also at a better level of part of it."""
    rows = read_table(outputs.structures, "structures")
    name = params.level["name"]
    chosen = {name: (parse_level(config["levels"][name]), rows)}
    if fidelity := fidelity_of(config):
        better, share = objective_level(config), Fidelity(**fidelity).share
        selection = read_table(outputs.selection, "selection")
        part = structures_at_both_levels(rows, selection, share, params.seed)
        chosen[better] = (parse_level(config["levels"][better]), part)
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
