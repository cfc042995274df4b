"""How far the committee can be trusted in a round: errors, calibration of its spread, coverage.

Couples of the calibration and test splits take the very path of :mod:`molsieve.prediction` and meet
their labels (single points at the built geometry; what relaxing on the committee's own surface
adds is part of the error; in a domain that labels the committee's minima both are told at the
labelled geometry). The scale of the spread and the conformal quantiles come from the
calibration couples that are in the domain, coverage is judged on the test couples. A couple is a
group, so resampling couples is resampling groups.

Fits, the choice between measures of spread and quantiles are those of
:mod:`molsieve.potential.spread_model`, whose inputs are here the members' spread of the objective
(``spread``) and its moderated variant (``moderated``).

Few couples: below ``MIN_CALIBRATION`` nothing can be calibrated; the scale is then the fitted one
but never below 1, quantiles are the normal ones times the scale, no spread limit is set and
``calibrated`` is false. A quantile that conformal prediction cannot give with so few couples
(95 % needs 19) is the larger of the largest score seen and the scaled normal one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from molsieve.campaign import Prediction
from molsieve.minima import built_geometries, relax_structures
from molsieve.objective import (
    Objective,
    has_several,
    judged_geometries,
    labelled_values,
    labels_minima,
    mean_and_spread,
    objectives,
    species_roles,
)
from molsieve.objective_metrics import JUDGED_SPLITS, objective_metrics
from molsieve.potential.calibration import root_mean_square
from molsieve.potential.committee import Committee
from molsieve.potential.evaluation import evaluate_committee
from molsieve.potential.evaluation_metrics import normal_quantile
from molsieve.potential.spread_model import FLOOR, LEVELS, MIN_GROUPS, fit_best
from molsieve.prediction import (
    SMALLEST_STD,
    calibrated,
    moderated,
    objective_members,
    predicted_rows,
    role_minima,
)
from molsieve.properties.evaluation import evaluate_properties
from molsieve.tables import write_json, write_table

if TYPE_CHECKING:
    from molsieve.properties.committee import PropertyCommittee

SPLITS = JUDGED_SPLITS
MIN_CALIBRATION = MIN_GROUPS
OBJECTIVE_MEASURES = (("moderated",), ("spread",), ("spread", FLOOR), (FLOOR,))
"""Sets of inputs of the objective's standard deviation, by preference."""
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
    property_committee: PropertyCommittee | None = None,
    better_labels: pd.DataFrame | None = None,
) -> dict[str, Any]:
    """Judge a round's committee; write ``metrics``, ``calibration.json`` and ``parity``.

    Args:
        dataset, structures, labels: the round's frozen dataset.
        level_calibration: the level's ``calibration.json``.
        seed: of the bootstrap of intervals.
        built: ``structures`` of all candidates; the dataset names only the first of two
            candidates that share a structure, so without these the second is not judged.
        property_committee: of a domain whose objectives need properties.
        better_labels: of the dataset's structures at ``level_id``, where objectives are at another
            level than the one that the committee learned energies from.

    Returns:
        The content of ``calibration.json``.
    """
    judged_by = labels if better_labels is None else better_labels
    judged_by = judged_by[judged_by["level_id"] == level_id]
    labels = labels[labels["level_id"] == committee.level_id]
    geometries = structures if built is None else built
    if built is not None and labels_minima(domain):
        geometries = pd.concat([built, structures], ignore_index=True)
    potential, scales = evaluate_committee(committee, dataset, structures, labels, round, seed)
    if property_committee is not None:
        found, told = evaluate_properties(
            property_committee, dataset, structures, judged_by, round, seed
        )
        potential, scales = potential + found, scales | {"properties": told}
    couples = predicted_couples(
        dataset,
        geometries,
        judged_by,
        committee,
        domain,
        level_calibration,
        settings,
        SPLITS,
        scales,
        property_committee,
    )
    several = has_several(domain)
    judged = [
        _judged(couples[couples["objective"] == o.name], o, len(committee), seed, several)
        for o in objectives(domain)
    ]
    own = {"round": round, "level_id": level_id}
    calibrations = {c["objective"]: c | own for c, _, _ in judged}
    if several:
        calibrated_all = all(c["calibrated"] for c in calibrations.values())
        calibration = {"objectives": calibrations, "calibrated": calibrated_all, **own}
    else:
        (calibration,) = calibrations.values()
    rows = [{**row, "round": round} for _, _, figures in judged for row in figures]
    couples = pd.concat([part for _, part, _ in judged], ignore_index=True)
    write_table(rows + potential, "metrics", metrics_out, campaign)
    write_json(calibration | scales, calibration_out)
    write_parity(couples, round, level_id, parity_out, campaign)
    return calibration | scales


def _judged(
    couples: pd.DataFrame, objective: Objective, members: int, seed: int, several: bool
) -> tuple[dict[str, Any], pd.DataFrame, list[dict]]:
    """Calibration of one objective, its couples with intervals, and its ``metrics`` rows."""
    usable = couples[(couples["split"] == "calibration") & couples["sound"]]
    calibration: dict[str, Any] = fit_calibration(
        (usable["mean"] - usable["label_value"]).to_numpy(float),
        usable["std_raw"].to_numpy(float),
        members,
    )
    calibration |= {"objective": objective.name, "unit": objective.unit}
    calibration["n_test"] = int(((couples["split"] == "test") & couples["sound"]).sum())
    couples = with_intervals(couples, calibration).assign(unit=objective.unit)
    rows = objective_metrics(couples, objective.unit, seed, calibration)
    if several:
        rows = [{**row, "objective": objective.name} for row in rows]
    return calibration, couples, rows


def predicted_couples(
    dataset: pd.DataFrame,
    structures: pd.DataFrame,
    labels: pd.DataFrame,
    committee: Committee,
    domain: str,
    level_calibration: Mapping[str, Any],
    settings: Prediction,
    splits: tuple[str, ...] = SPLITS,
    calibration: Mapping[str, Any] | None = None,
    property_committee: PropertyCommittee | None = None,
) -> pd.DataFrame:
    """Labelled candidates of ``splits``, as labelled and as predicted, sorted by candidate.

    Args:
        calibration: the round's, as far as it is known; its ``domain`` is read.

    Returns:
        One row a candidate and objective: candidate_id, split, objective, label_value, mean,
        std_raw, members, sound (in the domain by its minima), built_geometry_mean (at the labelled
        geometry), steps; NaN where failed.
    """
    split = dataset.dropna(subset="candidate_id").drop_duplicates("candidate_id")
    split = split.loc[split["split"].isin(splits), ["candidate_id", "split"]]
    if labels_minima(domain):
        # What was labelled is where the committee is judged: docked poses are far from any minimum.
        structures = judged_geometries(domain, structures, labels)
        settings = settings.model_copy(update={"max_steps": 0})
    frame = labelled_values(domain, structures, labels, level_calibration)
    frame = frame.merge(split, on="candidate_id").sort_values("candidate_id")
    frame = frame.reset_index(drop=True)
    ids, roles = frame["candidate_id"].tolist(), species_roles(domain)
    built = built_geometries(ids, structures, roles)
    minima = relax_structures(built, committee, settings, calibration, property_committee)
    plain: dict[str, Any] = {"scale": 1.0, "q68": 1.0, "q95": 1.0, "std_raw_limit": None}
    unscaled = plain | {"objectives": {o.name: plain for o in objectives(domain)}}
    rows = predicted_rows(ids, built, minima, domain, unscaled, level_calibration)
    found = role_minima(ids, built, minima, roles)
    given = objective_members(found, domain, level_calibration, True)
    steps = [sum(m.steps for m in f.values() if m is not None) / len(roles) for f in found]
    parts = []
    for o in objectives(domain):
        own = [row for row in rows if row["objective"] == o.name]
        part = frame[["candidate_id", "split"]].assign(objective=o.name)
        part["label_value"] = frame[o.name if o.name in frame else "value"].astype(float)
        part["mean"] = np.array([row.get("mean", np.nan) for row in own], float)
        part["std_raw"] = np.array([row.get("std_raw", np.nan) for row in own], float)
        part["members"] = pd.Series([row.get("members") for row in own], frame.index, object)
        part["sound"] = np.array([row["in_domain"] for row in own], bool)
        part["built_geometry_mean"] = mean_and_spread(given[o.name])[0]
        part["steps"] = steps
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def fit_calibration(errors: np.ndarray, std_raw: np.ndarray, members: int) -> dict[str, Any]:
    """What turns spreads into standard deviations and intervals, from the calibration couples.

    The spread that is scaled is the moderated variance of Smyth, Stat. Appl. Genet. Mol. Biol. 3, 3
    (2004), see :func:`molsieve.prediction.moderated`. A new couple does not enter the common
    spread, so conformal coverage is exact up to what one couple of n moves it.

    Args:
        errors: (C,) predicted less labelled; std_raw: (C,) spread over members, same unit.
        members: M of the committee.

    Returns:
        scale, q68, q95, q68_conformal, q95_conformal, quantiles (of ``|error|`` over the spread, by
        level), common_std, own_weight, std_raw_limit, n_calibration, calibrated; measure and
        measures, what was kept and the figures of all that were compared.
    """
    n = len(errors)
    common = {
        "common_std": root_mean_square(std_raw) if n else 0.0,
        "own_weight": (members - 1) / (members - 1 + PRIOR_FREEDOM) if n else 1.0,
    }
    enough = n >= MIN_CALIBRATION
    result: dict[str, Any] = {"n_calibration": n, "calibrated": enough, "std_raw_limit": None}
    if enough:
        result["std_raw_limit"] = SPREAD_MARGIN * float(std_raw.max())
    if n == 0:
        quantiles = {f"{level:g}": normal_quantile(level) for level in LEVELS}
        unknown = {"q68_conformal": False, "q95_conformal": False, "measures": []}
        ends = {"q68": quantiles["0.68"], "q95": quantiles["0.95"], "quantiles": quantiles}
        return result | common | ends | unknown | {"scale": 1.0, "measure": "moderated"}
    inputs = {
        "moderated": moderated(std_raw, common),
        "spread": np.maximum(std_raw, SMALLEST_STD),
        FLOOR: np.ones(n),
    }
    model, figures = fit_best(OBJECTIVE_MEASURES, ("moderated",), inputs, errors, np.arange(n))
    common |= _as_moderated(model.weights, common)
    scale = common.pop("scale")
    return (
        result
        | common
        | {
            "scale": scale,
            "measure": model.measure,
            "measures": [figure.as_dict() for figure in figures],
            "quantiles": {f"{level:g}": q * scale for level, q in model.quantiles.items()},
            "q68": model.quantiles[0.68] * scale,
            "q95": model.quantiles[0.95] * scale,
            "q68_conformal": model.conformal[0.68],
            "q95_conformal": model.conformal[0.95],
        }
    )


def _as_moderated(weights: Mapping[str, float], common: Mapping[str, float]) -> dict[str, float]:
    """A spread model as scale and own weight, ``std² = scale² (w spread² + (1 - w) common²)``."""
    if "moderated" in weights:
        return {"scale": float(np.sqrt(weights["moderated"]))}
    own, floor = weights.get("spread", 0.0), weights.get(FLOOR, 0.0)
    square = own + (floor / common["common_std"] ** 2 if floor else 0.0)
    return {"scale": float(np.sqrt(square)), "own_weight": own / square if square else 1.0}


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


def write_parity(
    couples: pd.DataFrame,
    round: int,
    level_id: str,
    out: Path,
    campaign: str = "",
) -> None:
    """Write the ``parity`` table of predicted couples."""
    columns = ["candidate_id", "split", "objective", "unit", "label_value", "mean", "std_raw"]
    columns += ["std", "interval_68", "interval_95", "members"]
    frame = couples[columns].assign(round=round, level_id=level_id)
    write_table(frame, "parity", out, campaign)
