"""The answer where a domain has several objectives: fronts first, then one stated scalar.

Candidates that are better than worst by every goal come first, sorted into Pareto fronts; inside a
front by the hypervolume that it would lose without them (told of the first thousand), then by
``balance`` (:func:`molsieve.acquisition.pareto.balance`, the utility of the goal that is met worst,
mostly). Behind them come the others, in fronts of their own. The ranking's ``mean``, ``std``,
``label_value`` and ``confirmed_value`` are the balance's; each objective has columns of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from molsieve.acquisition.goals import (
    Belief,
    believed,
    goals_of,
    known_columns,
    utilities,
)
from molsieve.acquisition.objectives import domain_name, domain_objective
from molsieve.acquisition.pareto import balance, front_contributions, pareto_fronts
from molsieve.objective import labelled_values as observed
from molsieve.objective import objectives
from molsieve.section import Section

BALANCE, BALANCE_UNIT = "balance", "1"


def best_by_goals(
    predictions: pd.DataFrame,
    labelled_values: pd.DataFrame,
    candidates: pd.DataFrame,
    objective: Section,
) -> pd.DataFrame:
    """Candidates with all labels or all predictions, in the order of the answer.

    Args:
        predictions: one row a candidate and objective.
        labelled_values: candidate_id and a column each objective.
        candidates: accepted ones; where goals that are known exactly are read from.

    Returns:
        candidate_id, mean, std, label_value, utility (all of the balance), interval_95 (none),
        in_domain, predicted, pareto_front, hypervolume_contribution, and of each objective
        ``<name>_mean``, ``<name>_std``, ``<name>_label_value``.
    """
    ok = predictions.loc[(predictions["status"] == "ok") & predictions["mean"].notna()]
    names = [o.name for o in objectives(domain_name(objective))]
    labels = labelled_values.reindex(columns=["candidate_id", *names])
    labels = labels.drop_duplicates("candidate_id").set_index("candidate_id").dropna()
    ids = np.array(sorted({*ok["candidate_id"], *labels.index}), dtype=object)
    ids = ids[pd.Index(ids).isin(candidates["candidate_id"])]
    belief = believed(ok, ids, candidates, objective)
    known = known_columns(candidates, objective).reindex(ids)
    observed_values = labels.reindex(ids).join(known)[list(belief.goals)].to_numpy(float)
    table = _balances(belief, observed_values)
    for name in names:
        rows = ok.loc[ok["objective"] == name].drop_duplicates("candidate_id")
        rows = rows.set_index("candidate_id").reindex(ids)
        for figure in ("mean", "std"):
            table[f"{name}_{figure}"] = rows[figure].astype(float).to_numpy()
        table[f"{name}_label_value"] = labels[name].reindex(ids).astype(float).to_numpy()
    best = np.where(np.isnan(observed_values), belief.mean, observed_values)
    table = table.assign(**_places(utilities(best, belief.goals)))
    table["in_domain"] = _in_domain(ok, ids)
    table = table.loc[table["utility"].notna()]
    order = ["pareto_front", "hypervolume_contribution", "utility", "candidate_id"]
    return table.sort_values(order, ascending=[True, False, False, True], ignore_index=True)


def _balances(belief: Belief, observed_values: np.ndarray) -> pd.DataFrame:
    """Predicted and labelled balance; the spread is that of the members' balances."""
    std = balance(belief.member_utilities).std(axis=0, ddof=1)
    mean = balance(belief.mean_utilities)
    return pd.DataFrame(
        {
            "candidate_id": belief.candidate_ids,
            "mean": mean,
            "std": np.where(np.isfinite(mean), std, np.nan),
            "interval_95": None,
            "predicted": np.isfinite(mean),
            "label_value": balance(utilities(observed_values, belief.goals)),
        }
    )


def _places(best: np.ndarray) -> dict[str, np.ndarray]:
    """Front, contribution and balance of best utilities (C, D); a front of NaN is no matter.

    Front 1 is of candidates that are better than worst by every goal, and empty without one.
    """
    good = (best > 0).all(axis=1)
    fronts = np.zeros(len(best), dtype=int)
    fronts[good] = pareto_fronts(best[good])
    fronts[~good] = pareto_fronts(best[~good]) + fronts.max(initial=1)
    return {
        "pareto_front": fronts,
        "hypervolume_contribution": front_contributions(best, fronts),
        "utility": balance(best),
    }


def _in_domain(ok: pd.DataFrame, ids: np.ndarray) -> pd.Series:
    """Whether each candidate is in the committee's domain by every objective; null without one."""
    by_candidate = ok["in_domain"].astype(bool).groupby(ok["candidate_id"]).all()
    return pd.Series(by_candidate.reindex(ids).to_numpy(object)).astype("boolean")


def confirmed_by_goals(
    table: pd.DataFrame,
    candidates: pd.DataFrame,
    at_committee: pd.DataFrame,
    at_built: pd.DataFrame,
    confirmed: pd.DataFrame,
    objective: Section,
) -> pd.DataFrame:
    """``table`` with confirmed values and the three errors, of the balance and each objective.

    Args:
        at_committee, at_built: label level's values at both minima; confirmed: the confirming
            level's; candidate_id and a column each objective.
    """
    ids = table["candidate_id"]
    known = known_columns(candidates, objective).reindex(ids)
    goals = goals_of(objective)

    def values_of(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.set_index("candidate_id").reindex(ids)

    parts = [values_of(frame) for frame in (at_committee, at_built, confirmed)]
    scalars = [
        balance(utilities(part.join(known)[list(goals)].to_numpy(float), goals)) for part in parts
    ]
    own = _errors("", table["mean"].to_numpy(float), *scalars)
    for o in objectives(domain_name(objective)):
        told = [part[o.name].to_numpy(float) for part in parts]
        own |= _errors(f"{o.name}_", table[f"{o.name}_mean"].to_numpy(float), *told)
    return table.assign(**own)


def _errors(
    prefix: str,
    mean: np.ndarray,
    at_committee: np.ndarray,
    at_built: np.ndarray,
    confirmed: np.ndarray,
) -> dict[str, np.ndarray]:
    """What :func:`molsieve.ranking.rank_candidates` tells apart, under column names."""
    return {
        f"{prefix}confirmed_value": confirmed,
        f"{prefix}model_error": mean - at_committee,
        f"{prefix}geometry_error": at_committee - at_built,
        f"{prefix}level_error": at_committee - confirmed,
    }


def observed_at(
    structures: pd.DataFrame,
    labels: pd.DataFrame,
    calibration: Mapping[str, Any],
    hits: pd.DataFrame,
    objective: Section,
) -> pd.DataFrame:
    """Values of the hits at these structures: candidate_id and a column each objective."""
    of_hits = structures.loc[structures["candidate_id"].isin(hits["candidate_id"])]
    return observed(domain_name(objective), of_hits, labels, calibration)


def with_answer_columns(table: pd.DataFrame, settings: Section, objective: Section) -> pd.DataFrame:
    """``table`` with what its domain makes of the best estimates (``answer_columns``), if it does.

    Args:
        settings: the campaign's ``ranking`` section.
    """
    columns = getattr(domain_objective(objective), "answer_columns", None)
    if columns is None or table.empty:
        return table
    best = pd.DataFrame(
        {
            o.name: table[f"{o.name}_label_value"].fillna(table[f"{o.name}_mean"])
            for o in objectives(domain_name(objective))
        }
    )
    return table.join(columns(best, settings))
