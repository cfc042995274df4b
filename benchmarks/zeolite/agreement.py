"""How calculated values agree with measured ones: rank, errors, slope."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

RESAMPLINGS = 2000


@dataclass(frozen=True)
class Agreement:
    """Of n calculated values with measured ones, in the values' unit (kJ/mol here).

    Attributes:
        spearman: rank correlation; interval: its 95 % bootstrap interval over the values.
        signed_error, absolute_error: mean of calculated less measured.
        slope: of calculated on measured.
        rescaled_error: mean absolute error after a straight line through the other values.
    """

    spearman: float
    interval: tuple[float, float]
    signed_error: float
    absolute_error: float
    slope: float
    rescaled_error: float

    def text(self) -> str:
        """All of it."""
        low, high = self.interval
        return (
            f"Spearman {self.spearman:.2f} [{low:.2f}, {high:.2f}], mean signed error "
            f"{self.signed_error:.1f}, mean absolute error {self.absolute_error:.1f}, slope "
            f"{self.slope:.2f}, mean absolute error after a line {self.rescaled_error:.2f} kJ/mol"
        )

    def short(self) -> str:
        """For the claim."""
        low, high = self.interval
        return (
            f"Spearman {self.spearman:.2f} [{low:.2f}, {high:.2f}], MAE {self.absolute_error:.1f}, "
            f"after a line {self.rescaled_error:.2f} kJ/mol"
        )


def judged(values: np.ndarray, measured: np.ndarray, seed: int = 0) -> Agreement:
    """Compare (n,) ``values`` with (n,) ``measured``."""
    error = values - measured
    return Agreement(
        spearman=_rank(values, measured),
        interval=_interval(values, measured, seed),
        signed_error=float(error.mean()),
        absolute_error=float(np.abs(error).mean()),
        slope=float(np.polyfit(measured, values, 1)[0]),
        rescaled_error=float(np.abs(leave_one_out(values, measured) - measured).mean()),
    )


def leave_one_out(values: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """(n,) what a straight line through the others says of each: ``measured ≈ a + b value``."""
    said = np.empty(len(values))
    for k in range(len(values)):
        others = np.arange(len(values)) != k
        said[k] = np.polyval(np.polyfit(values[others], measured[others], 1), values[k])
    return said


def _rank(values: np.ndarray, measured: np.ndarray) -> float:
    return float(stats.spearmanr(values, measured).statistic)


def _interval(values: np.ndarray, measured: np.ndarray, seed: int) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(values), size=(RESAMPLINGS, len(values)))
    # A draw of one value only has no ranks.
    ranks = [_rank(values[d], measured[d]) for d in drawn if len(set(d.tolist())) > 2]
    low, high = np.nanpercentile(ranks, [2.5, 97.5])
    return float(low), float(high)
