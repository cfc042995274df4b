"""What a calculation will cost: seconds on one core, as a power of the valence electrons.

``seconds = prefactor * electrons ** exponent``. It orders work and balances shards; it never
changes a number. The number of valence electrons stands for the size of the basis (both count
what an atom brings beyond its core), needs no engine, and is known before anything runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from molsieve.engines.base import CalculationError
from molsieve.engines.cells import repeats
from molsieve.labelling.store import read_labels
from molsieve.levels import Level, level_id
from molsieve.prices import PowerLaw, default_law, periodic_factor, valence_electrons

__all__ = [
    "CostModel",
    "PowerLaw",
    "computed_electrons",
    "default_law",
    "fitted_law",
    "valence_electrons",
]

STRUCTURE_COLUMNS = ("numbers", "pbc", "cell_angstrom")

MIN_LABELS = 8
"""Fewer timings than this say less than the default."""
MIN_LOG_SPREAD = 0.1
"""Standard deviation of log(electrons) below which timings fix the prefactor only."""
EXPONENT_RANGE = (1.0, 4.5)


def computed_electrons(structure: Mapping[Any, Any], level: Level) -> int:
    """Valence electrons of what is computed for a row of ``structures``: all copies of a cell that
    the level repeats to ``min_cell_angstrom``."""
    electrons = valence_electrons(structure["numbers"])
    narrowest = getattr(level, "min_cell_angstrom", None)
    cell = structure.get("cell_angstrom")
    if narrowest is None or cell is None or not np.all(structure["pbc"]):
        return electrons
    try:
        times = repeats(np.asarray(cell, float).reshape(3, 3), narrowest)
    except CalculationError:  # no volume: the calculation will say so
        return electrons
    return electrons * math.prod(times)


def fitted_law(labels: pd.DataFrame, default: PowerLaw) -> PowerLaw:
    """Least squares in logarithms on the ok rows with a time; ``default`` if they are too few.

    With timings of (almost) one size only the prefactor is fitted.
    """
    usable = labels[
        (labels["status"] == "ok")
        & (labels["wall_s"] > 0)
        & labels["valence_electrons"].notna()
        & (labels["valence_electrons"].fillna(0) > 0)
    ]
    if len(usable) < MIN_LABELS:
        return default
    seconds = usable["wall_s"].to_numpy(float) * usable["cores"].to_numpy(float)
    x, y = np.log(usable["valence_electrons"].to_numpy(float)), np.log(seconds)
    exponent = default.exponent
    if x.std() >= MIN_LOG_SPREAD:
        exponent = float(np.clip(np.polyfit(x, y, 1)[0], *EXPONENT_RANGE))
    return PowerLaw(float(np.exp(np.mean(y - exponent * x))), exponent)


@dataclass(frozen=True)
class CostModel:
    """Predicted seconds of a calculation, by level: fitted where there are labels, else default.

    ``CostModel()`` knows the defaults only and is the same everywhere and always: use it to cut
    work into shards. ``CostModel.from_store`` learns from a store, which grows meanwhile.
    """

    fitted: Mapping[str, PowerLaw] = field(default_factory=dict)

    @classmethod
    def from_store(cls, store: str | Path, levels: Iterable[Level]) -> CostModel:
        """Fitted to the ok labels of each level in ``store``."""
        columns = ["wall_s", "cores", "valence_electrons"]
        return cls.from_labels(
            {level: read_labels(store, level_id(level), columns=columns) for level in levels}
        )

    @classmethod
    def from_labels(cls, labels: Mapping[Level, pd.DataFrame]) -> CostModel:
        """Fitted to tables of the ``labels`` contract, one a level."""
        return cls({level_id(k): fitted_law(rows, default_law(k)) for k, rows in labels.items()})

    def has_timings(self, level: Level) -> bool:
        """Whether the prediction rests on labels of this level."""
        return self.fitted.get(level_id(level), default_law(level)) != default_law(level)

    def predicted_cost_s(self, numbers: Iterable[int], level: Level) -> float:
        """Seconds on one core for atoms of these atomic ``numbers`` (N,) at ``level``."""
        law = self.fitted.get(level_id(level)) or default_law(level)
        return law(valence_electrons(numbers))

    def predicted_costs_s(self, structures: pd.DataFrame, level: Level) -> np.ndarray:
        """(rows,) seconds on one core for each row of ``structures``.

        By their ``numbers``, how often the level repeats their cell (``cell_angstrom``) and,
        before there are timings, whether they are periodic (``pbc``).
        """
        law = self.fitted.get(level_id(level)) or default_law(level)
        rows = structures[[c for c in STRUCTURE_COLUMNS if c in structures]].to_dict("records")
        seconds = np.array([law(computed_electrons(row, level)) for row in rows])
        if "pbc" not in structures or level_id(level) in self.fitted:
            return seconds
        return seconds * [periodic_factor(level, bool(np.any(p))) for p in structures["pbc"]]
