"""A campaign's goals: which quantities count, and how their values become utilities.

Utilities have no unit: 0 is what a campaign calls worst, the reference point of every hypervolume,
1 is ideal. A quantity is an objective of the domain (predicted, with a spread) or a column of the
candidates (known exactly, e.g. the synthetic accessibility score).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from molsieve.acquisition.objectives import domain_name
from molsieve.objective import objectives
from molsieve.objective_settings import Goal
from molsieve.section import CampaignError, Section


def goals_of(objective: Section) -> dict[str, Goal]:
    """Quantity → goal of a domain with several objectives; none of a domain with one."""
    return dict(getattr(objective, "goals", {}))


def utility(values: np.ndarray, goal: Goal) -> np.ndarray:
    """How good ``values`` (any shape) are by one goal: 0 worst, 1 ideal; NaN stays NaN.

    In a window it is 1, outside it falls by the distance over ``worst``. Neither end is a bound:
    below 0 is worse than worst, above 1 better than ideal.
    """
    values = np.asarray(values, float)
    if goal.window is not None:
        low, high = goal.window
        return 1.0 - np.maximum(np.maximum(low - values, values - high), 0.0) / goal.worst
    assert goal.ideal is not None  # the config guarantees it
    return (values - goal.worst) / (goal.ideal - goal.worst)


def utility_slope(goal: Goal) -> float:
    """By how much the utility changes, at most, where the value changes by one of its units."""
    if goal.ideal is None:
        return 1.0 / goal.worst
    return 1.0 / abs(goal.ideal - goal.worst)


def utilities(values: np.ndarray, goals: Mapping[str, Goal]) -> np.ndarray:
    """(…, D) values, in the order of the D goals, to utilities."""
    columns = [utility(values[..., d], goal) for d, goal in enumerate(goals.values())]
    return np.stack(columns, axis=-1)


def known_columns(candidates: pd.DataFrame, objective: Section) -> pd.DataFrame:
    """By candidate_id the values of the goals that are columns of ``candidates``.

    Raises:
        CampaignError: a goal that is neither an objective nor a numeric column.
    """
    predicted = {o.name for o in objectives(domain_name(objective))}
    names = [name for name in goals_of(objective) if name not in predicted]
    for name in names:
        if name not in candidates or not pd.api.types.is_numeric_dtype(candidates[name]):
            known = [str(c) for c in candidates if pd.api.types.is_numeric_dtype(candidates[c])]
            raise CampaignError(
                f"objective.goals: {name!r} is neither an objective of the domain "
                f"({', '.join(sorted(predicted))}) nor a numeric column of the candidates "
                f"({', '.join(known)})"
            )
    rows = candidates.drop_duplicates("candidate_id").set_index("candidate_id")
    return rows[names].astype(float)


def goal_values(values: pd.DataFrame, candidates: pd.DataFrame, objective: Section) -> pd.DataFrame:
    """By candidate_id a column each goal, in their order, of those with every value.

    Args:
        values: candidate_id and a column each objective, as ``labelled_values`` has them.
    """
    names = [o.name for o in objectives(domain_name(objective))]
    table = values.reindex(columns=["candidate_id", *names])
    table = table.drop_duplicates("candidate_id").set_index("candidate_id")
    table = table.join(known_columns(candidates, objective), how="left")
    return table[list(goals_of(objective))].astype(float).dropna().sort_index()


@dataclass(frozen=True)
class Belief:
    """What the committee says of the D goals of C candidates, in the goals' own units.

    | field | shape | meaning |
    |---|---|---|
    | ``mean``, ``std`` | (C, D) | calibrated; std 0 of a column that is known |
    | ``members`` | (M, C, D) | about the mean, stretched to the calibrated spread |
    | ``trusted`` | (C,) | in the committee's domain by every goal, with a spread |
    | ``goals`` | D | |
    """

    candidate_ids: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    members: np.ndarray
    trusted: np.ndarray
    goals: Mapping[str, Goal]

    def __len__(self) -> int:
        return len(self.mean)

    @property
    def mean_utilities(self) -> np.ndarray:
        """(C, D) utilities of the means."""
        return utilities(self.mean, self.goals)

    @property
    def member_utilities(self) -> np.ndarray:
        """(M, C, D) utilities as each member sees them."""
        return utilities(self.members, self.goals)

    @property
    def correlation(self) -> np.ndarray:
        """(D, D) of the goals' errors, that of the members' deviations over all candidates.

        One matrix for all: of a few members a candidate's own would be noise. A goal without any
        spread is uncorrelated; a candidate without a prediction says nothing.
        """
        deviations = self.members - self.mean
        deviations = deviations[:, np.isfinite(deviations).all(axis=(0, 2))]
        # Every candidate weighs the same, however wide its spread.
        widths = np.sqrt((deviations**2).mean(axis=0))
        scaled = deviations / np.where(widths > 0, widths, np.inf)
        flat = scaled.reshape(-1, scaled.shape[-1])
        covariance = np.atleast_2d(flat.T @ flat)
        size = np.sqrt(np.diag(covariance))
        size = np.where(size > 0, size, np.inf)
        correlation = covariance / size[:, None] / size
        np.fill_diagonal(correlation, 1.0)
        return correlation


def believed(
    predictions: pd.DataFrame,
    candidate_ids: Sequence[str] | np.ndarray,
    candidates: pd.DataFrame,
    objective: Section,
) -> Belief:
    """The belief about ``candidate_ids``, NaN where one has no ok prediction.

    Args:
        predictions: ok rows, one a candidate and objective.
        candidates: where goals that are known exactly are read from.
    """
    goals = goals_of(objective)
    ids = np.asarray(candidate_ids, dtype=object)
    known = known_columns(candidates, objective).reindex(ids)
    size = max((len(m) for m in predictions["members"] if m is not None), default=2)
    mean, std, trusted = [], [], np.ones(len(ids), dtype=bool)
    members = []
    for name in goals:
        if name in known:
            values = known[name].to_numpy(float)
            mean.append(values)
            std.append(np.zeros(len(ids)))
            members.append(np.tile(values, (size, 1)))
            trusted &= np.isfinite(values)
            continue
        rows = predictions.loc[predictions["objective"] == name]
        rows = rows.drop_duplicates("candidate_id").set_index("candidate_id").reindex(ids)
        values, spread = _mean_and_std(rows)
        mean.append(values)
        std.append(np.nan_to_num(spread))
        members.append(_members(rows, values, spread, size))
        trusted &= rows["in_domain"].fillna(False).astype(bool).to_numpy()
        trusted &= np.isfinite(rows["std"].astype(float).to_numpy())
    return Belief(
        ids,
        np.stack(mean, axis=1),
        np.stack(std, axis=1),
        np.stack(members, axis=2),
        trusted,
        goals,
    )


def _mean_and_std(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    calibrated, raw = (rows[c].astype(float).to_numpy() for c in ("std", "std_raw"))
    return rows["mean"].astype(float).to_numpy(), np.where(np.isnan(calibrated), raw, calibrated)


def _members(rows: pd.DataFrame, mean: np.ndarray, std: np.ndarray, size: int) -> np.ndarray:
    """(M, C) members' values about the mean, stretched by std / std_raw; the mean where unknown."""
    told = [m if isinstance(m, list | np.ndarray) and len(m) == size else None
            for m in rows["members"]]  # fmt: skip
    values = np.array(
        [np.full(size, middle) if m is None else m for m, middle in zip(told, mean, strict=True)],
        float,
    ).reshape(len(rows), size)
    raw = rows["std_raw"].astype(float).to_numpy()
    stretch = np.nan_to_num(np.where(raw > 0, std / np.where(raw > 0, raw, 1.0), 1.0), nan=1.0)
    return (mean[:, None] + (values - mean[:, None]) * stretch[:, None]).T
