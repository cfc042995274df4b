"""The figures of a finished round. Knows neither limits nor thresholds: the verdict does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from molsieve.acquisition.assessment_metrics import round_metrics
from molsieve.acquisition.front_assessment import front_figures, goal_errors
from molsieve.acquisition.membership import expected_unlabelled_in_top
from molsieve.acquisition.objectives import domain_name, domain_objective
from molsieve.acquisition.pool import History, build_pool
from molsieve.objective import has_several, labels_minima, objectives, shared_roles
from molsieve.potential.calibration import binomial_interval, group_bootstrap, mean_absolute
from molsieve.section import Section
from molsieve.tables import write_json, write_table

LARGEST_K = 100


def assess_round(
    round_number: int,
    candidates: pd.DataFrame,
    species: pd.DataFrame,
    structures: pd.DataFrame,
    predictions: pd.DataFrame,
    selections: pd.DataFrame,
    labels: pd.DataFrame,
    labelled_values: pd.DataFrame,
    objective: Section,
    seed: int,
    figures_out: Path,
    metrics_out: Path,
    evaluation: pd.DataFrame | None = None,
    calibration: Mapping[str, Any] | None = None,
    campaign: str = "",
    asked: pd.Series | None = None,
) -> dict[str, Any]:
    """Write figures.json and the ``metrics`` of a round; return the figures.

    The random-test error and the coverages judge what the committee said about the candidates that
    were drawn at random and never trained on: predicted against labelled objective.

    Args:
        candidates, species, structures: of all shards; of the structures, the columns structure_id,
            candidate_id, role, conformer, origin are read.
        predictions: of this round, all shards.
        selections: ``selection`` rows of rounds 0 to this one.
        labels: a row (structure_id, status, error_kind) for each selected structure that has ended,
            from the label store or the receipts.
        labelled_values: (candidate_id, value) at the label level; with several objectives a column
            each in place of value.
        evaluation: the committee's own ``metrics`` of this round, carried over into the table.
        calibration: the committee's calibration; ``scale`` and ``calibrated`` are carried over.
        asked: candidate_id of those whose label at the objective's level was asked for; None: of
            all that were chosen. A label of others has not failed.
    """
    domain = domain_name(objective)
    pool = build_pool(candidates, species, structures, shared_roles(domain))
    history = History.of(selections, labels_minima(domain))
    labelled_ids = labelled_values["candidate_id"]
    ok = predictions.loc[(predictions["status"] == "ok") & predictions["mean"].notna()]
    open_ids = pool.candidate_ids[history.may_train(pool) | history.may_be_held_out(pool)]
    open_ids = open_ids[~pd.Index(open_ids, dtype=object).isin(labelled_ids)]
    n_accepted = int((candidates["status"] == "accepted").sum())
    chosen = pd.Index(history.candidates)
    if asked is not None:
        chosen = chosen[chosen.isin(asked)]
    outside = ok.loc[~ok["in_domain"].astype(bool), "candidate_id"]
    told = _of_objectives if has_several(domain) else _of_one_objective
    figures: dict[str, Any] = {
        "round": round_number,
        "n_candidates": n_accepted,
        "n_structure_failed": n_accepted - len(pool),
        "n_labelled_candidates": len(labelled_values),
        "n_label_failed_candidates": int((~chosen.isin(labelled_ids)).sum()),
        "n_unlabelled": len(open_ids),
        "n_selectable": int(pd.Index(open_ids, dtype=object).isin(ok["candidate_id"]).sum()),
        "n_prediction_failed": predictions["candidate_id"].nunique() - ok["candidate_id"].nunique(),
        "n_out_of_domain": outside.nunique(),
        "calibrated": calibration is not None and bool(calibration.get("calibrated")),
        **_label_counts(selections, labels, round_number),
        **told(
            open_ids,
            ok,
            labelled_values,
            candidates,
            selections,
            objective,
            calibration or {},
            seed,
            np.random.default_rng([seed, round_number]),
        ),
    }
    write_table(round_metrics(figures, evaluation), "metrics", metrics_out, campaign)
    write_json(figures, figures_out)
    return figures


def _of_one_objective(
    open_ids: np.ndarray,
    predictions: pd.DataFrame,
    labelled_values: pd.DataFrame,
    candidates: pd.DataFrame,
    selections: pd.DataFrame,
    objective: Section,
    calibration: Mapping[str, Any],
    seed: int,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """The figures of a domain with one objective: what is missed of the top k, errors, the best."""
    values = labelled_values.set_index("candidate_id")["value"]
    return {
        "objective": domain_objective(objective).NAME,
        "unit": domain_objective(objective).UNIT,
        "mean_std": _number(predictions["std"].astype(float).mean()),
        "scale": calibration.get("scale"),
        **_best(values, objective),
        "expected_missed": expected_missed(
            np.sort(open_ids), predictions, values.sort_index(), objective, rng
        ),
        **random_test_figures(predictions, values, selections, seed),
    }


def _of_objectives(
    open_ids: np.ndarray,
    predictions: pd.DataFrame,
    labelled_values: pd.DataFrame,
    candidates: pd.DataFrame,
    selections: pd.DataFrame,
    objective: Section,
    calibration: Mapping[str, Any],
    seed: int,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """The figures of a domain with several: the front's, and each objective's own by its name."""
    calibrations = calibration.get("objectives", {})
    named: dict[str, Any] = {}
    units = {o.name: o.unit for o in objectives(domain_name(objective))}
    for name in units:
        rows = predictions.loc[predictions["objective"] == name]
        values = labelled_values.set_index("candidate_id")[name].dropna()
        own = random_test_figures(rows, values, selections, seed)
        own["mean_std"] = _number(rows["std"].astype(float).mean())
        own["scale"] = calibrations.get(name, {}).get("scale")
        named |= {f"{name}_{figure}": value for figure, value in own.items()}
    test = selections.loc[selections["split"] == "test", ["candidate_id", "group"]]
    return {
        "objective": "hypervolume",
        "unit": "1",
        "objectives": units,
        **named,
        **front_figures(open_ids, predictions, labelled_values, candidates, objective, rng),
        **goal_errors(predictions, labelled_values, test, candidates, objective, seed),
    }


def expected_missed(
    open_ids: np.ndarray,
    predictions: pd.DataFrame,
    values: pd.Series,
    objective: Section,
    rng: np.random.Generator,
) -> list[float]:
    """Expected number of unlabelled candidates that belong in the top k, for k = 1..100.

    See :func:`molsieve.acquisition.membership.expected_unlabelled_in_top`; a prediction is trusted
    where it is in the committee's domain and has a spread.

    Args:
        open_ids: candidates that can still be labelled.
        predictions: those with an ok prediction.
        values: labelled value by candidate_id.
    """
    rows = predictions.drop_duplicates("candidate_id").set_index("candidate_id").reindex(open_ids)
    mean, std = rows["mean"].to_numpy(float), rows["std"].astype(float).to_numpy()
    trusted = rows["in_domain"].fillna(False).astype(bool).to_numpy() & np.isfinite(std)
    domain = domain_objective(objective)
    missed = expected_unlabelled_in_top(
        values.to_numpy(float),
        mean,
        std,
        trusted,
        lambda drawn: domain.utility(drawn, objective),
        LARGEST_K,
        rng,
    )
    return [float(m) for m in missed]


def random_test_figures(
    predictions: pd.DataFrame, values: pd.Series, selections: pd.DataFrame, seed: int
) -> dict[str, Any]:
    """Errors and coverages on the random test candidates, each with a 95 % interval.

    The error is over all of them, the coverages over those in the committee's domain, outside of
    which the intervals claim nothing. The error's interval is a bootstrap over groups, the
    coverages' are exact (Clopper, Pearson).
    """
    test = selections.loc[selections["split"] == "test", ["candidate_id", "group"]]
    rows = predictions.merge(test.drop_duplicates("candidate_id"), on="candidate_id")
    rows = rows.loc[rows["candidate_id"].isin(values.index)].sort_values("candidate_id")
    observed = values.reindex(rows["candidate_id"]).to_numpy(float)
    errors = rows["mean"].to_numpy(float) - observed
    figures: dict[str, Any] = {
        "random_test_n": len(rows),
        "random_test_mae": _number(np.abs(errors).mean()) if len(rows) else None,
        "random_test_rmse": _number(np.sqrt((errors**2).mean())) if len(rows) else None,
        "random_test_mae_interval": _finite(
            *group_bootstrap(errors, rows["group"].to_numpy(str), seed, mean_absolute)[1:]
        ),
    }
    in_domain = rows["in_domain"].astype(bool)
    for level in (68, 95):
        inside = [
            bounds[0] <= value <= bounds[1]
            for bounds, value, sound in zip(
                rows[f"interval_{level}"], observed, in_domain, strict=True
            )
            if sound and bounds is not None and len(bounds) == 2
        ]
        figures[f"coverage_{level}"] = float(np.mean(inside)) if inside else None
        exact = list(binomial_interval(sum(inside), len(inside)))
        figures[f"coverage_{level}_interval"] = exact if inside else None
        figures[f"coverage_{level}_n"] = len(inside)
    return figures


def _label_counts(
    selections: pd.DataFrame, labels: pd.DataFrame, round_number: int
) -> dict[str, Any]:
    """What was spent: every selected structure counts, whether its label came or not."""
    asked = selections.drop_duplicates("structure_id")
    ended = labels.loc[labels["structure_id"].isin(asked["structure_id"])]
    ended = ended.sort_values("status", key=lambda s: s != "ok").drop_duplicates("structure_id")
    failed = ended.loc[ended["status"] != "ok"]
    this_round = asked.loc[asked["round"] == round_number]
    kinds = failed["error_kind"].fillna("unknown").value_counts()
    return {
        "labels_attempted_total": len(asked),
        "labels_ok_total": int((ended["status"] == "ok").sum()),
        "labels_failed_total": len(failed),
        "labels_failed_by_kind": {str(k): int(n) for k, n in sorted(kinds.items())},
        "labels_missing_total": len(asked) - len(ended),
        "labels_this_round": len(this_round),
        "labels_this_round_by_reason": {
            str(k): int(n) for k, n in sorted(this_round["reason"].value_counts().items())
        },
    }


def _best(values: pd.Series, objective: Section) -> dict[str, Any]:
    """The best labelled candidate."""
    if values.empty:
        return {"best_candidate_id": None, "best_value": None}
    ranked = domain_objective(objective).utility(values.to_numpy(float), objective)
    place = int(np.argmax(ranked))
    return {"best_candidate_id": values.index[place], "best_value": float(values.iloc[place])}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _finite(low: float, high: float) -> list[float] | None:
    return [low, high] if np.isfinite([low, high]).all() else None
