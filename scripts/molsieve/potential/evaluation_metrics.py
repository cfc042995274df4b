"""Rows of the ``metrics`` table that judge a committee's errors and its calibrated spread.

Names, for ``quantity`` energy, force or stress: ``{quantity}_mae``, ``_rmse``;
``_coverage_68``, ``_95``: share inside the interval the calibration promises;
``_rank_correlation``: Spearman's of the size of the error and the standard deviation;
``_loss``: mean negative log-likelihood of normal errors. On the test split also ``_coverage_10`` …
``_90`` and ``_normal_coverage_10`` … (intervals of a normal error of the calibrated standard
deviation): the reliability diagram. On the test and calibration splits ``false_alarm_share``: the
share of structures that the domain of validity leaves out. On the calibration split, cross-fitted,
``_loss_of_{measure}``: what the choice of a measure was made by.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from molsieve.potential import calibration
from molsieve.potential.domain_of_validity import DomainOfValidity
from molsieve.potential.spread_model import LEVELS, SpreadModel

REPORTED = (0.68, 0.95)


@dataclass(frozen=True)
class Quantity:
    """Errors of one kind and what may explain their size.

    Attributes:
        errors: (n,) in ``unit``. groups: (n,) which of them are not independent.
        inputs: see :mod:`molsieve.potential.uncertainty`.
        measures: the sets of inputs that compete; plain: the uncalibrated one.
    """

    name: str
    unit: str
    errors: np.ndarray
    groups: np.ndarray
    inputs: dict[str, np.ndarray]
    measures: Sequence[Sequence[str]]
    plain: tuple[str]


def quantity_metrics(
    quantity: Quantity, fitted: Mapping[str, Any] | None, seed: int, judged: bool
) -> list[dict]:
    """All rows of a quantity; ``judged``: those of the reliability diagram as well."""
    found = error_metrics(quantity, seed)
    if fitted is None:
        std = calibration.floored(quantity.inputs[quantity.plain[0]])
        quantiles = {level: normal_quantile(level) for level in LEVELS}
    else:
        model = SpreadModel.from_dict(fitted)
        std, quantiles = model.std(quantity.inputs), model.quantiles
    found += coverage_metrics(quantity, std, quantiles, seed, LEVELS if judged else REPORTED)
    if judged:
        normal = {level: normal_quantile(level) for level in LEVELS}
        found += coverage_metrics(quantity, std, normal, seed, LEVELS, "normal_coverage")
    correlation = calibration.rank_correlation(quantity.errors, std)
    n = len(quantity.errors)
    found.append(metric_row(f"{quantity.name}_rank_correlation", "1", n, correlation))
    loss = float(calibration.normal_loss(quantity.errors, std).mean())
    found.append(metric_row(f"{quantity.name}_loss", "1", n, loss))
    return found


def comparison_metrics(name: str, fitted: Mapping[str, Any]) -> list[dict]:
    """A row a measure that was compared on the calibration split."""
    return [
        metric_row(f"{name}_loss_of_{m['measure']}", "1", fitted["n"], m["loss"])
        for m in fitted["measures"]
    ]


def normal_quantile(level: float) -> float:
    """Half width of the central normal interval in standard deviations."""
    return float(norm.ppf(0.5 + level / 2))


def error_metrics(quantity: Quantity, seed: int) -> list[dict]:
    """Mean absolute and root mean square errors with 95 % intervals by group."""
    means = _group_sums(quantity.errors, quantity.groups)
    found = []
    for name, power in (("mae", 1), ("rmse", 2)):
        value, low, high = _weighted_interval(means[power], means[0], seed, power)
        unit, n = quantity.unit, len(quantity.errors)
        found.append(metric_row(f"{quantity.name}_{name}", unit, n, value, low, high))
    return found


def coverage_metrics(
    quantity: Quantity,
    std: np.ndarray,
    quantiles: Mapping[float, float],
    seed: int,
    levels: Sequence[float],
    name: str = "coverage",
) -> list[dict]:
    """Share of errors inside ``± quantile · std``, by level, with its interval by group."""
    ratio = np.abs(quantity.errors) / std
    found = []
    for level in levels:
        hits = ratio <= quantiles[level]
        told = calibration.coverage_by_group(hits, quantity.groups, seed)
        row = f"{quantity.name}_{name}_{round(100 * level)}"
        found.append(metric_row(row, "1", len(hits), *told))
    return found


def domain_metrics(
    fitted: Mapping[str, Any], scores: Mapping[str, np.ndarray], groups: np.ndarray, seed: int
) -> list[dict]:
    """Share of the split's structures that are flagged; of random draws: of false alarms."""
    flagged = DomainOfValidity.from_dict(fitted).relative_score(scores) > 1
    told = calibration.coverage_by_group(flagged, groups, seed)
    return [metric_row("false_alarm_share", "1", len(flagged), *told)]


def _group_sums(values: np.ndarray, groups: np.ndarray) -> list[np.ndarray]:
    """Per group: number of entries, sum of ``|value|``, sum of ``value^2``."""
    _, index = np.unique(groups, return_inverse=True)
    return [np.bincount(index, np.abs(values) ** power) for power in (0, 1, 2)]


def _weighted_interval(
    sums: np.ndarray, counts: np.ndarray, seed: int, power: int
) -> tuple[float, float, float]:
    """``(sum sums / sum counts) ** (1 / power)`` and its bootstrap interval over groups."""
    groups = np.arange(len(sums))

    def statistic(drawn: np.ndarray) -> float:
        drawn = drawn.astype(int)
        return float((sums[drawn].sum() / counts[drawn].sum()) ** (1 / power))

    return calibration.group_bootstrap(groups, groups, seed, statistic)


def metric_row(
    name: str, unit: str, n: int, value: float, low: float = -math.inf, high: float = math.inf
) -> dict:
    """A row of ``metrics`` less ``round`` and ``split``; what is not finite is null."""
    known = math.isfinite(value)
    bounded = known and math.isfinite(low) and math.isfinite(high)
    return {
        "name": name,
        "unit": unit,
        "n": n,
        "value": float(value) if known else None,
        "interval": [float(low), float(high)] if bounded else None,
    }
