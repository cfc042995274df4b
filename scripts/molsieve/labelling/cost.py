"""What a calculation will cost: seconds on one core, as a power of the valence electrons.

``seconds = prefactor * electrons ** exponent``. It orders work and balances shards; it never
changes a number. The number of valence electrons stands for the size of the basis (both count
what an atom brings beyond its core), needs no engine, and is known before anything runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from molsieve.labelling.store import read_labels
from molsieve.levels import Level, level_id

MIN_LABELS = 8
"""Fewer timings than this say less than the default."""
MIN_LOG_SPREAD = 0.1
"""Standard deviation of log(electrons) below which timings fix the prefactor only."""
EXPONENT_RANGE = (1.0, 4.5)

OPTIMISER_STEPS = 20
"""ASSUME: an optimised geometry costs this many energies with forces."""
BASIS_FACTORS = {"qz": 40.0, "tz": 6.0}
"""ASSUME: cost against a double-zeta basis, from the number of functions (about N^2.5)."""


@dataclass(frozen=True)
class PowerLaw:
    """Seconds on one core = ``prefactor_s * electrons ** exponent``."""

    prefactor_s: float
    exponent: float

    def __call__(self, electrons: float) -> float:
        return float(self.prefactor_s * max(electrons, 1) ** self.exponent)


def valence_electrons(numbers: Iterable[int]) -> int:
    """Electrons outside noble-gas cores and filled d and f shells, summed over atoms."""
    return sum(_valence(int(z)) for z in numbers)


def _valence(number: int) -> int:
    """Valence electrons of a neutral atom (main group: group number's last digit)."""
    cores = [0, 2, 10, 18, 36, 54, 86]
    filled = {28: (31, 36), 46: (49, 54), 68: (72, 80), 78: (81, 86)}
    for core, (first, last) in filled.items():
        if first <= number <= last:
            return number - core
    return number - max(core for core in cores if core < number)


def default_law(level: Level) -> PowerLaw:
    """Before there are timings: what two molecules of different size took.

    GFN2-xTB: benzoquinone (40 electrons) 0.012 s, 35 atoms (about 110) 0.087 s. B3LYP/def2-SVP with
    density fitting, grid 3, energy and gradient: benzoquinone 15 core-seconds, naphthoquinone (58)
    49. A functional without exact exchange takes a third of that and is priced as B3LYP is (its
    name alone does not tell).
    """
    if level.engine == "tblite":
        law = PowerLaw(0.012 / 40**2.0, 2.0)
    else:
        zeta = next((f for name, f in BASIS_FACTORS.items() if name in level.basis.lower()), 1.0)
        law = PowerLaw(zeta * 15.0 / 40**3.1, 3.1)
    steps = OPTIMISER_STEPS if level.geometry == "optimised" else 1
    return PowerLaw(steps * law.prefactor_s, law.exponent)


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

    def predicted_cost_s(self, numbers: Iterable[int], level: Level) -> float:
        """Seconds on one core for atoms of these atomic ``numbers`` (N,) at ``level``."""
        law = self.fitted.get(level_id(level)) or default_law(level)
        return law(valence_electrons(numbers))

    def predicted_costs_s(self, structures: pd.DataFrame, level: Level) -> np.ndarray:
        """(rows,) seconds on one core for each row of ``structures``."""
        law = self.fitted.get(level_id(level)) or default_law(level)
        return np.array([law(valence_electrons(numbers)) for numbers in structures["numbers"]])
