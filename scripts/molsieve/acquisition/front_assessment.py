"""What a round's figures say where a domain has several objectives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from molsieve.acquisition.front_membership import expected_front
from molsieve.acquisition.goals import believed, goal_values, goals_of, utilities
from molsieve.acquisition.objectives import domain_name
from molsieve.acquisition.pareto import balance
from molsieve.objective import objectives
from molsieve.potential.calibration import group_bootstrap, mean_absolute
from molsieve.section import Section

FRONT_FIGURES = ("hypervolume", "expected_hypervolume", "missed_hypervolume",
                 "front_size", "expected_front_size", "expected_front_missed")  # fmt: skip


def front_figures(
    open_ids: np.ndarray,
    predictions: pd.DataFrame,
    labelled_values: pd.DataFrame,
    candidates: pd.DataFrame,
    objective: Section,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """The labelled front, its hypervolume, and what is expected to be missing of both.

    Args:
        open_ids: candidates that can still be labelled.
        predictions: ok rows.
        labelled_values: candidate_id and a column each objective.
    """
    goals = goals_of(objective)
    values = goal_values(labelled_values, candidates, objective)
    known = utilities(values.to_numpy(float), goals)
    belief = believed(predictions, np.sort(open_ids), candidates, objective)
    front = expected_front(known, belief, rng)
    place = int(np.argmax(balance(known))) if len(known) else None
    return {
        "hypervolume": front.hypervolume,
        "expected_hypervolume": front.hypervolume_of_all,
        "missed_hypervolume": front.missed_hypervolume,
        "front_size": front.labelled,
        "expected_front_size": front.size,
        "expected_front_missed": front.missed,
        "best_candidate_id": None if place is None else values.index[place],
        "best_value": None if place is None else float(balance(known)[place]),
    }


def goal_errors(
    predictions: pd.DataFrame,
    labelled_values: pd.DataFrame,
    test: pd.DataFrame,
    candidates: pd.DataFrame,
    objective: Section,
    seed: int,
) -> dict[str, Any]:
    """Error of the random test candidates in utilities: of each the mean over predicted goals.

    What a goal calls worst and ideal weighs its error, so that eV and oscillator strengths add.

    Args:
        test: candidate_id and group of the random test candidates.
    """
    goals = goals_of(objective)
    predicted = [o.name for o in objectives(domain_name(objective)) if o.name in goals]
    chosen = [list(goals).index(name) for name in predicted]
    values = goal_values(labelled_values, candidates, objective)
    rows = test.drop_duplicates("candidate_id").sort_values("candidate_id")
    rows = rows.loc[rows["candidate_id"].isin(values.index)]
    belief = believed(predictions, rows["candidate_id"].to_numpy(object), candidates, objective)
    known = utilities(values.reindex(belief.candidate_ids).to_numpy(float), goals)
    errors = (belief.mean_utilities - known)[:, chosen]
    finite = np.isfinite(errors).all(axis=1)
    errors, groups = np.abs(errors[finite]).mean(axis=1), rows["group"].to_numpy(str)[finite]
    low, high = group_bootstrap(errors, groups, seed, mean_absolute)[1:]
    return {
        "random_test_n": len(errors),
        "random_test_mae": float(errors.mean()) if len(errors) else None,
        "random_test_mae_interval": [low, high] if np.isfinite([low, high]).all() else None,
    }
