"""How far the committee can be trusted in a round: errors, calibration of its spread, coverage.

Couples of the calibration and test splits take the very path of :mod:`molsieve.prediction` and meet
their labels (single points at the built geometry; what relaxing on the committee's own surface
adds is part of the error). The scale of the spread and the conformal quantiles come from the
calibration couples that are in the domain, coverage is judged on the test couples. A couple is a
group, so resampling couples is resampling groups.

Few couples: below ``MIN_CALIBRATION`` nothing can be calibrated; the scale is then the fitted one
but never below 1, quantiles are the normal ones times the scale, no spread limit is set and
``calibrated`` is false. A quantile that conformal prediction cannot give with so few couples
(95 % needs 19) is the larger of the largest score seen and the scaled normal one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm, spearmanr

from molsieve.campaign import Prediction
from molsieve.objective import labelled_values, mean_and_spread, objective_name, species_roles
from molsieve.potential.calibration import (
    conformal_quantile,
    coverage_with_interval,
    fit_scale,
    group_bootstrap,
    mean_absolute,
    rank_correlation,
    root_mean_square,
)
from molsieve.potential.committee import Committee
from molsieve.potential.evaluation import evaluate_committee
from molsieve.prediction import (
    built_geometries,
    calibrated,
    moderated,
    objective_members,
    predicted_rows,
    relax_structures,
    role_minima,
)
from molsieve.tables import write_json, write_table

SPLITS = ("calibration", "test")
MIN_CALIBRATION = 5
SPREAD_MARGIN = 1.5
"""A spread is trusted up to this times the largest one among the calibration couples."""
PRIOR_FREEDOM = 4
"""Degrees of freedom of the common spread; a committee of M members has M - 1 of its own.

Between 1 and 8 it hardly matters (tried on a campaign of 340 quinones, all of them labelled: the
log-likelihood of the errors was 0.4 to 1.5 nats a candidate better than with none)."""


def evaluate_round(
    dataset: pd.DataFrame,
    structures: pd.DataFrame,
    labels: pd.DataFrame,
    committee: Committee,
    domain: str,
    level_calibration: Mapping[str, Any],
    settings: Prediction,
    round: int,
    level_id: str,
    metrics_out: Path,
    calibration_out: Path,
    parity_out: Path,
    seed: int = 1,
    campaign: str = "",
    built: pd.DataFrame | None = None,
) -> dict[str, Any]:
    """Judge a round's committee; write ``metrics``, ``calibration.json`` and ``parity``.

    Args:
        dataset, structures, labels: the round's frozen dataset.
        level_calibration: the level's ``calibration.json``.
        seed: of the bootstrap of intervals.
        built: relaxed ``structures`` of all candidates; the dataset names only the first of two
            couples that share a structure, so without these the second is not judged.

    Returns:
        The content of ``calibration.json``.
    """
    labels = labels[labels["level_id"] == level_id]
    geometries = structures if built is None else built
    couples = predicted_couples(
        dataset, geometries, labels, committee, domain, level_calibration, settings
    )
    usable = couples[(couples["split"] == "calibration") & couples["sound"]]
    calibration: dict[str, Any] = fit_calibration(
        (usable["mean"] - usable["label_value"]).to_numpy(float),
        usable["std_raw"].to_numpy(float),
        len(committee),
    )
    name, unit = objective_name(domain)
    calibration |= {"objective": name, "unit": unit, "round": round, "level_id": level_id}
    calibration["n_test"] = int(((couples["split"] == "test") & couples["sound"]).sum())
    couples = with_intervals(couples, calibration)
    rows = [{**row, "round": round} for row in objective_metrics(couples, unit, seed)]
    potential, scales = evaluate_committee(committee, dataset, structures, labels, round, seed)
    write_table(rows + potential, "metrics", metrics_out, campaign)
    write_json(calibration | scales, calibration_out)
    write_parity(couples, name, unit, round, level_id, parity_out, campaign)
    return calibration | scales


def predicted_couples(
    dataset: pd.DataFrame,
    structures: pd.DataFrame,
    labels: pd.DataFrame,
    committee: Committee,
    domain: str,
    level_calibration: Mapping[str, Any],
    settings: Prediction,
    splits: tuple[str, ...] = SPLITS,
) -> pd.DataFrame:
    """Labelled candidates of ``splits``, as labelled and as predicted, sorted by candidate.

    Returns:
        candidate_id, split, label_value, mean, std_raw, members, sound (in the domain by its
        relaxation), built_geometry_mean (at the labelled geometry), steps; NaN where failed.
    """
    split = dataset.dropna(subset="candidate_id").drop_duplicates("candidate_id")
    split = split.loc[split["split"].isin(splits), ["candidate_id", "split"]]
    frame = labelled_values(domain, structures, labels, level_calibration)
    frame = frame.rename(columns={"value": "label_value"}).merge(split, on="candidate_id")
    frame = frame.sort_values("candidate_id").reset_index(drop=True)
    ids, roles = frame["candidate_id"].tolist(), species_roles(domain)
    built = built_geometries(ids, structures, roles)
    minima = relax_structures(built, committee, settings)
    unscaled = {"scale": 1.0, "q68": 1.0, "q95": 1.0, "std_raw_limit": None}
    rows = predicted_rows(ids, built, minima, domain, unscaled, level_calibration)
    found = role_minima(ids, built, minima, roles)
    given, _ = mean_and_spread(objective_members(found, domain, level_calibration, True))
    frame["mean"] = np.array([row.get("mean", np.nan) for row in rows], float)
    frame["std_raw"] = np.array([row.get("std_raw", np.nan) for row in rows], float)
    frame["members"] = pd.Series([row.get("members") for row in rows], frame.index, object)
    frame["sound"] = np.array([row["in_domain"] for row in rows], bool)
    frame["built_geometry_mean"] = given
    frame["steps"] = [sum(m.steps for m in f.values() if m is not None) / len(roles) for f in found]
    return frame


def fit_calibration(errors: np.ndarray, std_raw: np.ndarray, members: int) -> dict[str, Any]:
    """What turns spreads into standard deviations and intervals, from the calibration couples.

    The spread that is scaled is the moderated variance of Smyth, Stat. Appl. Genet. Mol. Biol. 3, 3
    (2004), see :func:`molsieve.prediction.moderated`. A new couple does not enter the common
    spread, so conformal coverage is exact up to what one couple of n moves it.

    Args:
        errors: (C,) predicted less labelled; std_raw: (C,) spread over members, same unit.
        members: M of the committee.

    Returns:
        scale, q68, q95, q68_conformal, q95_conformal, common_std, own_weight, std_raw_limit,
        n_calibration and calibrated.
    """
    n = len(errors)
    common = {
        "common_std": root_mean_square(std_raw) if n else 0.0,
        "own_weight": (members - 1) / (members - 1 + PRIOR_FREEDOM) if n else 1.0,
    }
    spread = moderated(std_raw, common)
    enough = n >= MIN_CALIBRATION
    scale = float(fit_scale(errors, spread)) if n else 1.0
    if not enough:
        scale = max(scale, 1.0)
    scores = np.abs(errors) / spread
    result: dict[str, Any] = {"scale": scale, "n_calibration": n, "calibrated": enough, **common}
    for key, level in (("q68", 0.68), ("q95", 0.95)):
        normal = scale * float(norm.ppf(0.5 + level / 2))
        quantile = float(conformal_quantile(scores, level)) if enough else normal
        exact = bool(enough and np.isfinite(quantile))
        if not np.isfinite(quantile):
            quantile = max(float(scores.max()), normal)
        result |= {key: quantile, f"{key}_conformal": exact}
    result["std_raw_limit"] = SPREAD_MARGIN * float(std_raw.max()) if enough else None
    return result


def with_intervals(couples: pd.DataFrame, calibration: Mapping[str, Any]) -> pd.DataFrame:
    """``couples`` with std, interval_68, interval_95 and in_domain under a calibration."""
    told = [
        calibrated(mean, spread, calibration) if np.isfinite(mean) else {}
        for mean, spread in zip(couples["mean"], couples["std_raw"], strict=True)
    ]
    limit = calibration["std_raw_limit"]
    inside = couples["sound"] if limit is None else couples["sound"] & (couples["std_raw"] <= limit)
    return couples.assign(
        std=np.array([t.get("std", np.nan) for t in told], float),
        interval_68=pd.Series([t.get("interval_68") for t in told], couples.index, object),
        interval_95=pd.Series([t.get("interval_95") for t in told], couples.index, object),
        in_domain=inside,
    )


def objective_metrics(couples: pd.DataFrame, unit: str, seed: int) -> list[dict]:
    """``metrics`` rows (less ``round``) of every split, with 95 % intervals by couple.

    Errors are over all couples with a prediction, coverage over those in the domain. Of the two
    correlations, ``rank_correlation`` is Spearman's between prediction and label,
    ``objective_spread_correlation`` between the size of the error and the spread.
    """
    rows = []
    for split in SPLITS:
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
    known = np.isfinite(value)
    bounded = bool(known and np.isfinite(low) and np.isfinite(high))
    return {
        "split": split,
        "name": name,
        "unit": unit,
        "n": n,
        "value": float(value) if known else None,
        "interval": [float(low), float(high)] if bounded else None,
    }


def write_parity(
    couples: pd.DataFrame,
    objective: str,
    unit: str,
    round: int,
    level_id: str,
    out: Path,
    campaign: str = "",
) -> None:
    """Write the ``parity`` table of predicted couples."""
    columns = ["candidate_id", "split", "label_value", "mean", "std_raw", "std"]
    columns += ["interval_68", "interval_95", "members"]
    frame = couples[columns].assign(round=round, objective=objective, unit=unit, level_id=level_id)
    write_table(frame, "parity", out, campaign)
