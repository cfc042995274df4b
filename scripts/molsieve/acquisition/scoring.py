"""Predictions to acquisition scores, and scores to a batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from molsieve.acquisition.diversity import pick_max_min
from molsieve.acquisition.functions import FUNCTIONS
from molsieve.acquisition.goals import believed, goal_values, utilities, utility_slope
from molsieve.acquisition.objectives import domain_objective
from molsieve.acquisition.pareto import balance
from molsieve.acquisition.several import SEVERAL_FUNCTIONS
from molsieve.campaign import Acquisition
from molsieve.section import Section


@dataclass(frozen=True)
class Scored:
    """Acquisition scores (E,) and the mean utilities (E,) that break their ties."""

    scores: np.ndarray
    means: np.ndarray


def score_candidates(
    predictions: pd.DataFrame,
    labelled_values: np.ndarray,
    objective: Section,
    settings: Acquisition,
    rng: np.random.Generator,
) -> Scored:
    """The acquisition function on E candidates.

    The members' spread is stretched to the calibrated one. The utility's standard deviation is
    taken to be the value's, which is exact for every monotonic objective.

    Args:
        predictions: E ok rows of ``predictions``.
        labelled_values: (L,) the best of them is to be improved on; if there are none, the best
            prediction is.
    """
    utility = domain_objective(objective).utility
    values = predictions["mean"].to_numpy(float)
    raw, calibrated = (predictions[c].to_numpy(float) for c in ("std_raw", "std"))
    std = np.nan_to_num(np.where(np.isnan(calibrated), raw, calibrated))
    mean = utility(values, objective)
    members = utility(_calibrated_members(predictions, values, std), objective)
    known = utility(labelled_values, objective) if len(labelled_values) else mean
    best = float(np.nanmax(known)) if len(known) else 0.0
    function = FUNCTIONS[settings.function]
    return Scored(function(mean, std, members, best, settings, rng), mean)


def score_several(
    predictions: pd.DataFrame,
    candidate_ids: np.ndarray,
    candidates: pd.DataFrame,
    labelled_values: pd.DataFrame,
    objective: Section,
    settings: Acquisition,
    depth: int,
    rng: np.random.Generator,
) -> Scored:
    """The acquisition function of a campaign with goals, on E candidates; of one goal too.

    Args:
        predictions: ok rows, one a candidate and objective.
        labelled_values: candidate_id and a column each objective.
        depth: so many candidates are chosen one in view of the other.
    """
    belief = believed(predictions, candidate_ids, candidates, objective)
    values = goal_values(labelled_values, candidates, objective)
    known = utilities(values.to_numpy(float), belief.goals)
    means = balance(belief.mean_utilities)
    if len(belief.goals) > 1:
        function = SEVERAL_FUNCTIONS[settings.function]
        return Scored(function(belief, known, depth, rng), np.nan_to_num(means, nan=-np.inf))
    mean, members = belief.mean_utilities[:, 0], belief.member_utilities[:, :, 0]
    best = known[:, 0] if len(known) else mean
    highest = float(np.nanmax(best)) if len(best) else 0.0
    std = belief.std[:, 0] * utility_slope(next(iter(belief.goals.values())))
    one = FUNCTIONS[settings.function]
    return Scored(one(mean, std, members, highest, settings, rng), mean)


def pick_batch(
    fingerprints: np.ndarray,
    scored: Scored,
    count: int,
    starts: np.ndarray,
    settings: Acquisition,
) -> tuple[np.ndarray, np.ndarray]:
    """Pick ``count`` of E candidates: the best scores, spread by max-min where the settings say so.

    Ties in score go to the higher mean. ``diverse`` spreads over all candidates, and its score is
    the distance. Else half of the batch are the best scores themselves, whatever they resemble, and
    the other half is spread within ``pool_factor`` times the batch of best scores: spreading all
    of it passes over the best round after round, as they resemble what has been chosen. ``random``
    is not spread: it would no longer be.

    Args:
        fingerprints: (E, W) packed; starts: (S, W) those of what has been chosen before.

    Returns:
        Indices (count,) in picking order, their scores (count,).
    """
    scores = scored.scores
    order = np.lexsort((-scored.means, -scores))
    order = order[np.isfinite(scores[order])]
    if settings.function == "diverse":
        picks, distances = pick_max_min(fingerprints[order], count, starts)
        return order[picks], distances
    if settings.diversity.method == "maxmin" and settings.function != "random":
        best, others = np.split(
            order[: int(np.ceil(settings.diversity.pool_factor * count))], [-(-count // 2)]
        )
        chosen = np.concatenate([starts, fingerprints[best]])
        spread = pick_max_min(fingerprints[others], count - len(best), chosen)[0]
        order = np.concatenate([best, others[spread]])
    return order[:count], scores[order[:count]]


def _calibrated_members(rows: pd.DataFrame, values: np.ndarray, std: np.ndarray) -> np.ndarray:
    """(M, E) members' values about the mean, stretched by std / std_raw; the mean where unknown."""
    told = [m if isinstance(m, list | np.ndarray) else [] for m in rows["members"]]
    size = max(map(len, told), default=0) or 1
    members = np.array(
        [
            np.asarray(m, float) if len(m) == size else np.full(size, value)
            for m, value in zip(told, values, strict=True)
        ]
    ).reshape(len(rows), size)
    raw = rows["std_raw"].to_numpy(float)
    stretch = np.where(raw > 0, std / np.where(raw > 0, raw, 1.0), 1.0)
    return (values[:, None] + (members - values[:, None]) * stretch[:, None]).T
