"""Where the heads start from: a linear fit of each property to the descriptors.

Ridge regression (Hoerl, Kennard, Technometrics 12, 55 (1970)) on standardised descriptors; without
descriptors it is the mean of the labels. A better level's fit is that of the first level plus one
of the difference between a structure's two labels, which is much smaller than what a fit leaves of
either: a dozen pairs tell it to a few hundredths of an eV.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RIDGE = 1.0
"""Structures' worth of belief that a descriptor says nothing."""
DIFFERENCE_RIDGE = 10.0
"""And nothing of the difference between two levels. Of 5 to 30 pairs of PBE0 and CAM-B3LYP labels a
weaker belief does worse than their mean alone; where levels differ more (STO-3G and 6-31G) a fit
with this one is within 3 % of the best."""
FARTHEST = 5.0
"""Standardised descriptors beyond this count as this."""
SMALLEST_SCALE = 1e-3


@dataclass(frozen=True)
class LinearStart:
    """Coefficients, and the size of what they leave to be learned.

    Attributes:
        mean, width: (D,) of the training structures' descriptors.
        weights: (L, P, D). centre: (L, P). scale: (P,) of the residuals.
    """

    mean: np.ndarray
    width: np.ndarray
    weights: np.ndarray
    centre: np.ndarray
    scale: np.ndarray


def fit_linear(descriptors: np.ndarray, values: np.ndarray) -> LinearStart:
    """Fit to training labels.

    Args:
        descriptors: (S, D), D may be 0. values: (S, L, P), NaN where unknown.
    """
    count, levels, properties = values.shape
    mean, width = descriptors.mean(0), np.maximum(descriptors.std(0), 1e-6)
    inputs = standardised(descriptors, mean, width)
    weights = np.zeros((levels, properties, inputs.shape[1]))
    centre, residuals = np.zeros((levels, properties)), np.full(values.shape, np.nan)
    for place in range(properties):
        fitted = np.zeros(count)
        for level in range(levels):
            known, left = _left(values[..., place], level, fitted)
            if known.any():
                ridge = DIFFERENCE_RIDGE if level else RIDGE
                slope, shift = _ridge(inputs[known], left[known], ridge)
                fitted = fitted + inputs @ slope + shift
                weights[level:, place] += slope
                centre[level:, place] += shift
            residuals[:, level, place] = values[:, level, place] - fitted
    scale = np.array([_size(residuals[..., place]) for place in range(properties)])
    return LinearStart(mean, width, weights, centre, scale)


def _left(values: np.ndarray, level: int, fitted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which structures tell a level's own part of the fit, and what it is of each.

    Args:
        values: (S, L) of one property. fitted: (S,) by the levels below.
    """
    own = values[:, level]
    paired = np.isfinite(own) & np.isfinite(values[:, 0])
    if level and paired.any():
        return paired, own - values[:, 0]
    return np.isfinite(own), own - fitted


def standardised(descriptors: np.ndarray, mean: np.ndarray, width: np.ndarray) -> np.ndarray:
    """(S, D) of order 1."""
    return np.clip((descriptors - mean) / width, -FARTHEST, FARTHEST)


def _ridge(inputs: np.ndarray, values: np.ndarray, ridge: float) -> tuple[np.ndarray, float]:
    middle, shift = inputs.mean(0), float(values.mean())
    centred = inputs - middle
    normal = centred.T @ centred + ridge * np.eye(inputs.shape[1])
    slope = np.linalg.solve(normal, centred.T @ (values - shift))
    return slope, shift - float(middle @ slope)


def _size(residuals: np.ndarray) -> float:
    known = residuals[np.isfinite(residuals)]
    return max(float(known.std()), SMALLEST_SCALE) if len(known) else 1.0
