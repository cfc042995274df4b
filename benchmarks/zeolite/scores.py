"""Rank correlation and error against a reference, with bootstrap intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

RESAMPLINGS, FEWEST = 2000, 4


@dataclass(frozen=True)
class Score:
    """Of n poses; intervals are 95 %, by resampling poses and by resampling whole frameworks."""

    n: int
    spearman: float
    spearman_by_pose: tuple[float, float]
    spearman_by_framework: tuple[float, float]
    error: float
    error_by_pose: tuple[float, float]
    error_by_framework: tuple[float, float]

    def text(self) -> str:
        """One line."""
        low, high = self.spearman_by_pose
        low_f, high_f = self.spearman_by_framework
        error_low, error_high = self.error_by_framework
        return (
            f"Spearman {self.spearman:.3f} [{low:.2f}, {high:.2f}] by pose "
            f"[{low_f:.2f}, {high_f:.2f}] by framework, MAE {self.error:.1f} "
            f"[{error_low:.1f}, {error_high:.1f}] kJ/mol, n {self.n}"
        )


def score(values: np.ndarray, reference: np.ndarray, group: np.ndarray, seed: int = 0) -> Score:
    """Compare (n,) ``values`` with (n,) ``reference`` where both are known; all NaN of fewer than
    four."""
    known = np.isfinite(values) & np.isfinite(reference)
    values, reference, group = values[known], reference[known], np.asarray(group)[known]
    count = len(values)
    if count < FEWEST:
        nothing = (float("nan"), float("nan"))
        return Score(count, nothing[0], nothing, nothing, nothing[0], nothing, nothing)
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(group == name) for name in sorted(set(group))]
    poses = [rng.integers(count, size=count) for _ in range(RESAMPLINGS)]
    blocks = [
        np.concatenate([members[k] for k in rng.integers(len(members), size=len(members))])
        for _ in range(RESAMPLINGS)
    ]
    return Score(
        count,
        _rank(values, reference),
        _interval(_rank, values, reference, poses),
        _interval(_rank, values, reference, blocks),
        _error(values, reference),
        _interval(_error, values, reference, poses),
        _interval(_error, values, reference, blocks),
    )


def _rank(values: np.ndarray, reference: np.ndarray) -> float:
    """Spearman's, several times faster than ``stats.spearmanr``, which also tests it."""
    if np.ptp(values) == 0 or np.ptp(reference) == 0:
        return float("nan")  # like values have no ranks
    return float(np.corrcoef(stats.rankdata(values), stats.rankdata(reference))[0, 1])


def _error(values: np.ndarray, reference: np.ndarray) -> float:
    return float(np.abs(values - reference).mean())


def _interval(of, values: np.ndarray, reference: np.ndarray, draws: list) -> tuple[float, float]:
    found = [of(values[d], reference[d]) for d in draws]
    if not np.isfinite(found).any():
        return float("nan"), float("nan")
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return float(low), float(high)
