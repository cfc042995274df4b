"""What a batch of labels will cost, written down when it is chosen: what its jobs ask for.

A forecast lies beside the ``structures.parquet`` it is of, as JSON: by name of a level, how many
calculations, their core-seconds, the longest one. Jobs read it while they parse the rules, so this
is floor 0 (the cost model is loaded by the writers only). It is no declared output: it steers what
a scheduler is asked for and never a number, so nothing is rerun for want of it, or because of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from molsieve.jobs.attempts import AttemptOver
from molsieve.levels import Level, level_id
from molsieve.prices import DFT_GPU_SPEEDUP

if TYPE_CHECKING:
    import pandas as pd

    from molsieve.labelling.cost import CostModel

NAME = "forecast.json"
TIMES = ["wall_s", "cores", "valence_electrons"]


@dataclass(frozen=True)
class Work:
    """Calculations, the core-seconds (on GPUs: GPU-seconds) of all, and of the longest."""

    count: int
    core_s: float
    longest_s: float


def write_forecast(
    structures_out: str | Path,
    chosen: Mapping[str, tuple[Level, pd.DataFrame]],
    store: str | Path,
) -> None:
    """Write what the labels that ``store`` does not have yet will cost, by the timings in it.

    What goes wrong here is said in one line: the job that chose the labels is good without.

    Args:
        structures_out: the file that the forecast is put beside.
        chosen: by name of a level, the level and the ``structures`` rows it will label.
    """
    from molsieve.tables import write_json

    try:
        write_json(_works(chosen, store), Path(structures_out).with_name(NAME))
    except AttemptOver:
        raise
    except Exception as error:
        print(
            f"no forecast of what the labels cost ({type(error).__name__}: {error}): their jobs "
            "ask for what the campaign file implies"
        )


def _works(
    chosen: Mapping[str, tuple[Level, pd.DataFrame]], store: str | Path
) -> dict[str, dict[str, float]]:
    """The work of each level, by its name."""
    model, labelled = _known(store, [level for level, _ in chosen.values()])
    works = {}
    for name, (level, rows) in chosen.items():
        left = rows.loc[~rows["structure_id"].isin(labelled.get(level_id(level), []))]
        seconds = model.predicted_costs_s(left.drop_duplicates("structure_id"), level)
        if not model.has_timings(level) and getattr(level, "device", "cpu") == "gpu":
            seconds = seconds / DFT_GPU_SPEEDUP
        longest = float(seconds.max()) if len(seconds) else 0.0
        works[name] = asdict(Work(len(seconds), float(seconds.sum()), longest))
    return works


def _known(store: str | Path, levels: list[Level]) -> tuple[CostModel, dict[str, list[str]]]:
    """The cost model, and the structures that have a label by level, of a label store.

    Nothing is known of a store that cannot be read: a forecast is worth no failed job.
    """
    from molsieve.labelling.cost import CostModel
    from molsieve.labelling.store import read_labels
    from molsieve.tables import TableError

    try:
        labels = {level: read_labels(store, level_id(level), columns=TIMES) for level in levels}
    except (TableError, RuntimeError, OSError) as error:
        print(f"label times are assumed, as {store} cannot be read: {error}")
        return CostModel(), {}
    ok = {
        level_id(level): rows.loc[rows["status"] == "ok", "structure_id"].tolist()
        for level, rows in labels.items()
    }
    return CostModel.from_labels(labels), ok


def read_forecast(folder: str | Path, level: str) -> Work | None:
    """The forecast in ``folder`` for a level; None where there is none that can be read."""
    try:
        return Work(**json.loads((Path(folder) / NAME).read_text())[level])
    except (OSError, ValueError, KeyError, TypeError):
        return None
