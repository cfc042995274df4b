"""Rows of the ``metrics`` table that judge the predicted objective and its intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from molsieve.potential.calibration import (
    coverage_with_interval,
    group_bootstrap,
    mean_absolute,
    rank_correlation,
    root_mean_square,
)
from molsieve.potential.evaluation_metrics import metric_row, normal_quantile
from molsieve.potential.spread_model import LEVELS
from molsieve.prediction import moderated

JUDGED_SPLITS = ("calibration", "test")


def objective_metrics(
    couples: pd.DataFrame,
    unit: str,
    seed: int,
    calibration: Mapping[str, Any] | None = None,
) -> list[dict]:
    """``metrics`` rows (less ``round``) of every split, with 95 % intervals by couple.

    Errors are over all couples with a prediction, coverage over those in the domain. Of the two
    correlations, ``rank_correlation`` is Spearman's between prediction and label,
    ``objective_spread_correlation`` between the size of the error and the spread.
    """
    rows = []
    for split in JUDGED_SPLITS:
        every = couples[couples["split"] == split]
        part = every[np.isfinite(every["mean"].to_numpy(float))]
        inside = part[part["in_domain"]]
        error, spread = _errors(part, "mean"), part["std_raw"].to_numpy(float)
        figures: list[tuple[str, str, np.ndarray, Callable[..., float]]] = [
            ("objective_mae", unit, error, mean_absolute),
            ("objective_mae_in_domain", unit, _errors(inside, "mean"), mean_absolute),
            (
                "objective_mae_built_geometry",
                unit,
                _errors(part, "built_geometry_mean"),
                mean_absolute,
            ),
            ("objective_rmse", unit, error, root_mean_square),
            ("objective_bias", unit, error, np.mean),
            ("objective_std", unit, part["std"].to_numpy(float), np.mean),
            ("in_domain_share", "1", every["in_domain"].to_numpy(float), np.mean),
            ("relaxation_steps", "1", every["steps"].to_numpy(float), np.mean),
        ]
        for name, its_unit, values, figure in figures:
            told = group_bootstrap(values, np.arange(len(values)), seed, figure)
            rows.append(_metric(split, name, its_unit, len(values), *told))
        order = _order_correlation(part)
        rows.append(_metric(split, "rank_correlation", "1", len(part), order))
        agreement = rank_correlation(error, spread)
        rows.append(_metric(split, "objective_spread_correlation", "1", len(part), agreement))
        for level in (68, 95):
            covered = coverage_with_interval(_errors(inside, "mean"), _half_width(inside, level))
            rows.append(_metric(split, f"coverage_{level}", "1", len(inside), *covered))
        if calibration is not None:
            rows += _reliability(inside, split, calibration)
    return rows


def _reliability(couples: pd.DataFrame, split: str, calibration: Mapping[str, Any]) -> list[dict]:
    """Test: coverage at every level, of the calibration's intervals and of normal ones of its std.

    Calibration: what the choice of a measure was made by.
    """
    errors = _errors(couples, "mean")
    spread = moderated(couples["std_raw"].to_numpy(float), calibration)
    if split == "calibration":
        return [
            _metric(split, f"objective_loss_of_{m['measure']}", "1", len(couples), m["loss"])
            for m in calibration["measures"]
        ]
    rows = []
    for level in LEVELS:
        normal = normal_quantile(level) * calibration["scale"]
        widths = {"normal_coverage": normal, "coverage": calibration["quantiles"][f"{level:g}"]}
        for name, width in widths.items():
            if name == "normal_coverage" or level not in (0.68, 0.95):
                covered = coverage_with_interval(errors, width * spread)
                row = f"{name}_{round(100 * level)}"
                rows.append(_metric(split, row, "1", len(couples), *covered))
    return rows


def _errors(couples: pd.DataFrame, column: str) -> np.ndarray:
    return (couples[column] - couples["label_value"]).to_numpy(float)


def _half_width(couples: pd.DataFrame, level: int) -> np.ndarray:
    bounds = np.array(couples[f"interval_{level}"].tolist(), float).reshape(-1, 2)
    return (bounds[:, 1] - bounds[:, 0]) / 2


def _order_correlation(couples: pd.DataFrame) -> float:
    """Spearman's between prediction and label; NaN for fewer than three couples."""
    if len(couples) < 3:
        return float("nan")
    return float(spearmanr(couples["mean"], couples["label_value"]).statistic)


def _metric(
    split: str,
    name: str,
    unit: str,
    n: int,
    value: float,
    low: float = -np.inf,
    high: float = np.inf,
) -> dict:
    return {"split": split, **metric_row(name, unit, n, value, low, high)}
