"""How far a structure lies from the training set, in the members' own representation.

The distance is that of the posterior variance of a linear model on the last features,
``d² = zᵀ (C + λ)⁻¹ z`` with ``z`` the features less their training mean and ``C`` their training
covariance ("last-layer prediction rigidity": Bigi, Chong, Ceriotti, Grasselli, Mach. Learn.: Sci.
Technol. 5, 045018 (2024); a Mahalanobis distance, regularised). Directions in which the
training set varies less than λ all count alike, so that only the others need be stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

RIDGE_SHARE = 1e-3
"""λ as a share of the largest variance of any direction."""
MAX_DIRECTIONS = 64


@dataclass(frozen=True)
class FeatureSpace:
    """The training set's features, as far as the distance needs them.

    Attributes:
        mean: (D,) of the training structures.
        directions: (k, D) orthonormal.
        variances: (k,) of the training structures along them.
        ridge: λ, the variance given to every other direction.
    """

    mean: np.ndarray
    directions: np.ndarray
    variances: np.ndarray
    ridge: float

    @classmethod
    def of(cls, features: np.ndarray) -> FeatureSpace:
        """From the (T, D) features of the training structures."""
        features = np.asarray(features, np.float64)
        mean = features.mean(0)
        _, singular, directions = np.linalg.svd(features - mean, full_matrices=False)
        variances = singular**2 / max(len(features) - 1, 1)
        ridge = RIDGE_SHARE * float(variances[0]) or 1.0
        kept = np.flatnonzero(variances > ridge)[:MAX_DIRECTIONS]
        return cls(mean, directions[kept], variances[kept], ridge)

    def distance(self, features: np.ndarray) -> np.ndarray:
        """(S,) distances of (S, D) features, without unit; about √D for the training set."""
        centred = np.asarray(features, np.float64) - self.mean
        along = np.square(centred @ self.directions.T)
        rest = np.maximum(np.square(centred).sum(1) - along.sum(1), 0)
        return np.sqrt((along / (self.variances + self.ridge)).sum(1) + rest / self.ridge)

    def as_dict(self) -> dict[str, Any]:
        """What ``calibration.json`` holds; seven digits, as single precision has."""

        def rounded(values: np.ndarray) -> Any:
            return [float(f"{v:.7g}") for v in values]

        return {
            "mean": rounded(self.mean),
            "directions": [rounded(row) for row in self.directions],
            "variances": rounded(self.variances),
            "ridge": self.ridge,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> FeatureSpace:
        """From :meth:`as_dict`."""
        mean = np.asarray(stored["mean"], np.float64)
        directions = np.asarray(stored["directions"], np.float64).reshape(-1, len(mean))
        return cls(mean, directions, np.asarray(stored["variances"]), float(stored["ridge"]))
