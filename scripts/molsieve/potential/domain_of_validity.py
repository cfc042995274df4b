"""Which structures lie outside of what the committee was calibrated on; the rate of false alarms.

A structure is flagged when its score lies above the limit: the conformal quantile of the scores of
the calibration structures, which are random draws from the pool. A further random draw is then
flagged with a probability of at most ``FALSE_ALARM_RATE`` (inductive conformal anomaly detection:
Laxhammar, Falkman, Ann. Math. Artif. Intell. 74, 67 (2015)). What share of structures from
elsewhere is caught depends on how far elsewhere is; no calibration data can promise that.

Several scores compete; the rule: the one with the highest rank correlation with the structure's
force error on the calibration part, ties to the first listed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from molsieve.potential.calibration import grouped_conformal_quantile, rank_correlation

FALSE_ALARM_RATE = 0.05
TINY = float(np.finfo(float).tiny)
SCORES = (
    "force_spread",
    "largest_force_spread",
    "feature_distance",
    "force_spread_times_feature_distance",
)
"""Mean and largest spread of an atom's force in the structure, eV/Å; distance from the training
set, see :mod:`molsieve.potential.feature_distance`; the product of the first and the third."""
FARTHER = 2.0
"""So many times the largest feature distance of the calibration is out of the domain by itself:
atoms torn apart feel no force, so that no spread of the forces tells them."""


@dataclass(frozen=True)
class DomainOfValidity:
    """The score, and where the domain ends.

    Attributes:
        measure: one of :data:`SCORES`.
        limit: a structure above it is out of the domain, in the score's unit.
        rate: the promised false-alarm rate, ``1 / (groups + 1)`` where there are too few
            calibration groups for :data:`FALSE_ALARM_RATE`.
        correlations: of each score with the force error, what the rule reads.
        structures, groups: of the calibration part.
        farthest: feature distance beyond which a structure is out of the domain whatever the
            measure says (:data:`FARTHER`); None: no such bound.
    """

    measure: str
    limit: float
    rate: float
    correlations: dict[str, float | None]
    structures: int
    groups: int
    farthest: float | None = None

    def relative_score(self, scores: Mapping[str, np.ndarray]) -> np.ndarray:
        """(S,) scores in units of the limit: above 1 is out of the domain.

        Raises:
            ValueError: the score is not there.
        """
        if self.measure not in scores:
            raise ValueError(
                f"the domain of validity reads {self.measure.replace('_', ' ')}: evaluate the "
                "committee with forces, and keep the calibration's features"
            )
        relative = np.asarray(scores[self.measure], np.float64) / self.limit
        if self.farthest is None or "feature_distance" not in scores:
            return relative
        return np.maximum(relative, np.asarray(scores["feature_distance"]) / self.farthest)

    def as_dict(self) -> dict[str, Any]:
        """What ``calibration.json`` holds."""
        return dict(vars(self))

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> DomainOfValidity:
        """From :meth:`as_dict`."""
        return cls(**{name: stored[name] for name in cls.__dataclass_fields__ if name in stored})


def fit_domain(
    scores: Mapping[str, np.ndarray], force_errors: np.ndarray, groups: np.ndarray
) -> DomainOfValidity:
    """The score that follows the error best, and its limit.

    Args:
        scores: name → (S,), of the calibration structures.
        force_errors: (S,) root mean square error of a structure's force components, eV/Å.
        groups: (S,).
    """
    correlations = {
        name: rank_correlation(force_errors, scores[name]) for name in SCORES if name in scores
    }
    measure = max(correlations, key=lambda name: np.nan_to_num(correlations[name], nan=-2.0))
    values, count = np.asarray(scores[measure], np.float64), len(np.unique(groups))
    limit = grouped_conformal_quantile(values, groups, 1 - FALSE_ALARM_RATE)
    rate = FALSE_ALARM_RATE
    if not np.isfinite(limit):
        limit, rate = float(values.max()), 1 / (count + 1)
    told = {name: None if np.isnan(c) else float(c) for name, c in correlations.items()}
    limit = max(limit, TINY)
    distance = scores.get("feature_distance")
    farthest = None if distance is None else max(FARTHER * float(np.max(distance)), TINY)
    return DomainOfValidity(measure, limit, rate, told, len(values), count, farthest)
