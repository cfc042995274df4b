"""The line that turns a level's potentials into measured ones, and its leave-one-out error."""

from __future__ import annotations

from typing import Any

import numpy as np


def fit_line(computed: np.ndarray, measured: np.ndarray) -> dict[str, Any]:
    """Least squares ``measured = slope * computed + intercept_v`` and its leave-one-out errors.

    The prediction for a point from the fit without it follows from the leverage h:
    measured - residual / (1 - h) (Allen's PRESS residual), no refit needed.

    Args:
        computed, measured: (n,), V, n > 2, computed not all equal.

    Returns:
        slope, intercept_v, slope_standard_error, intercept_standard_error_v, residual_std_v (n - 2
        degrees of freedom), loo_mae_v, loo_rmse_v, loo_max_v, n, lowest_measured_v and
        highest_measured_v (beyond them the line is an extrapolation), left_out, (n,) predictions.
    """
    computed, measured = np.asarray(computed, float), np.asarray(measured, float)
    n, centre = len(computed), computed.mean()
    spread = float(np.sum((computed - centre) ** 2))
    if n <= 2 or spread == 0:
        raise ValueError("a line and its error need three points of more than one computed value")
    slope = float(np.sum((computed - centre) * (measured - measured.mean())) / spread)
    intercept = float(measured.mean() - slope * centre)
    residuals = measured - slope * computed - intercept
    variance = float(residuals @ residuals) / (n - 2)
    leverage = 1 / n + (computed - centre) ** 2 / spread
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.where(leverage < 1, residuals / (1 - leverage), np.nan)
    return {
        "slope": slope,
        "intercept_v": intercept,
        "slope_standard_error": float(np.sqrt(variance / spread)),
        "intercept_standard_error_v": float(np.sqrt(variance * (1 / n + centre**2 / spread))),
        "residual_std_v": float(np.sqrt(variance)),
        "loo_mae_v": float(np.nanmean(np.abs(errors))),
        "loo_rmse_v": float(np.sqrt(np.nanmean(errors**2))),
        "loo_max_v": float(np.nanmax(np.abs(errors))),
        "n": n,
        "lowest_measured_v": float(measured.min()),
        "highest_measured_v": float(measured.max()),
        "left_out": measured - errors,
    }
