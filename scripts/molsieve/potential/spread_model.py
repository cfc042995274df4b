"""From what a committee says of itself to a standard deviation: fitted, compared, the best kept.

A model is a sum of variances, ``std² = Σ w · input²`` with weights that are not negative: a scaled
committee spread has one input, "spread plus a floor" two (the floor's input is 1), a
heteroscedastic fit of several spreads as many as it has. The weights maximise the likelihood of
normal errors on the calibration part; intervals are ``± q · std``, ``q`` conformal.

Several sets of inputs compete on the calibration part, each fold of whole groups judged by weights
fitted on the others. The rule: the set that is listed first among those whose mean negative
log-likelihood is within one standard error (of the difference, by group) of the lowest (the
one-standard-error rule of Breiman, Friedman, Olshen, Stone, Classification and Regression Trees,
1984, 3.4.3). Sets are listed by preference: those that follow the structure throughout come before
those with a constant part, which says nothing of what lies outside the domain; a constant alone is
listed for comparison and never kept. With few groups the first of all is kept. Test data take no
part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from molsieve.potential.calibration import (
    STD_FLOOR_SHARE,
    fit_scale,
    interval_quantile,
    interval_score,
    normal_loss,
    rank_correlation,
    root_mean_square,
)

FLOOR = "floor"
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.68, 0.7, 0.8, 0.9, 0.95)
"""Coverages for which a quantile is kept; 0.68 and 0.95 are those of the intervals reported."""
MIN_GROUPS = 5
"""Below this many groups neither a fit of several weights nor a conformal quantile means much."""
MIN_COMPARED = 20
"""Below this many groups figures of measures are noise: the one preferred is kept unseen."""
FOLDS = 5
SMALLEST_STD = 1e-150
"""Its square is still a number."""

Inputs = Mapping[str, np.ndarray]
"""Name → (n,) spread in its own unit, squared where it enters; :data:`FLOOR` is always there."""


@dataclass(frozen=True)
class SpreadModel:
    """``std² = Σ weight · input²``, and the quantiles of ``|error| / std``.

    Attributes:
        measure: the inputs' names joined by "_".
        weights: by input; (unit of the error)² over (unit of the input)².
        smallest_std: no standard deviation is smaller.
        quantiles: by level of :data:`LEVELS`.
        conformal: whether conformal prediction vouches for a level's quantile.
    """

    measure: str
    weights: dict[str, float]
    smallest_std: float
    quantiles: dict[float, float]
    conformal: dict[float, bool]

    def std(self, inputs: Inputs) -> np.ndarray:
        """(n,) calibrated standard deviations.

        Raises:
            ValueError: an input is missing.
        """
        missing = [name for name in self.weights if name not in inputs]
        if missing:
            raise ValueError(
                f"the calibrated spread reads {', '.join(missing)}: evaluate the committee with "
                "forces, and keep the calibration's features"
            )
        variance = sum(w * np.square(inputs[name]) for name, w in self.weights.items())
        return np.maximum(np.sqrt(np.asarray(variance, np.float64)), self.smallest_std)

    def as_dict(self) -> dict[str, Any]:
        """What ``calibration.json`` holds."""
        return {
            "measure": self.measure,
            "weights": self.weights,
            "smallest_std": self.smallest_std,
            "quantiles": {f"{level:g}": q for level, q in self.quantiles.items()},
            "q68": self.quantiles[0.68],
            "q95": self.quantiles[0.95],
            "q68_conformal": self.conformal[0.68],
            "q95_conformal": self.conformal[0.95],
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> SpreadModel:
        """From :meth:`as_dict`; only the quantiles that are there."""
        quantiles = {float(k): float(v) for k, v in stored.get("quantiles", {}).items()}
        quantiles |= {0.68: float(stored["q68"]), 0.95: float(stored["q95"])}
        conformal = {0.68: bool(stored["q68_conformal"]), 0.95: bool(stored["q95_conformal"])}
        weights = {str(k): float(v) for k, v in stored["weights"].items()}
        smallest = float(stored["smallest_std"])
        return cls(str(stored["measure"]), weights, smallest, quantiles, conformal)


@dataclass(frozen=True)
class Comparison:
    """A measure's figures on the calibration part, each fold under the others' weights.

    Attributes:
        loss: mean negative log-likelihood of normal errors, nats an entry; what the rule reads.
        behind: how much it is above the lowest one, and the standard error of that by group.
        interval_score: mean of the 68 and 95 % intervals' scores, in the errors' unit.
        rank_correlation: Spearman's of the size of the error and the standard deviation.
    """

    measure: str
    loss: float
    behind: tuple[float, float]
    interval_score: float
    rank_correlation: float

    def as_dict(self) -> dict[str, Any]:
        """What ``calibration.json`` holds; an undefined correlation is null."""
        behind, error = self.behind
        return {
            "measure": self.measure,
            "loss": self.loss,
            "behind": behind,
            "behind_error": error,
            "interval_score": self.interval_score,
            "rank_correlation": None if np.isnan(self.rank_correlation) else self.rank_correlation,
        }


def fit_weights(inputs: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """(k,) weights ≥ 0 that maximise the likelihood of normal errors of variance ``inputs² @ w``.

    Turns with the units of errors and inputs. An input that is zero throughout gets weight 0.

    Args:
        inputs: (n, k) spreads; errors: (n,).
    """
    squares, target = np.square(inputs), np.square(errors)
    unit, level = squares.mean(0), float(target.mean())
    used = unit > 0
    weights = np.zeros(len(unit))
    if not used.any() or level == 0:
        return weights
    if used.sum() == 1:
        weights[used] = fit_scale(errors, inputs[:, used].ravel()) ** 2
        return weights
    shares = squares[:, used] / unit[used]
    ratios = target / level

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        variance = np.maximum(shares @ x, STD_FLOOR_SHARE**2)
        slope = (1 - ratios / variance) / variance
        value = float(np.mean(np.log(variance) + ratios / variance))
        return value, shares.T @ slope / len(ratios)

    start = np.full(shares.shape[1], 1 / shares.shape[1])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(start))
    weights[used] = found.x * level / unit[used]
    return weights


def fit_model(
    measure: Sequence[str], inputs: Inputs, errors: np.ndarray, groups: np.ndarray
) -> SpreadModel:
    """Weights of one set of inputs on all calibration entries, quantiles of their scores.

    With several inputs a fold's scores come from weights that have not seen it (cross-conformal
    prediction, Vovk, Ann. Math. Artif. Intell. 74, 9 (2015)), so that the fit's optimism does not
    narrow the intervals; the one weight of a single input cancels. With fewer than
    :data:`MIN_GROUPS` groups spreads are never scaled down and the quantiles are the normal ones.
    """
    columns = _columns(measure, inputs)
    weights = fit_weights(columns, errors)
    enough = len(np.unique(groups)) >= MIN_GROUPS
    if not enough:
        weights = np.maximum(weights, [0.0 if name == FLOOR else 1.0 for name in measure])
    smallest = _smallest(errors)
    model = SpreadModel(
        "_".join(measure), dict(zip(measure, weights.tolist(), strict=True)), smallest, {}, {}
    )
    scores, of = np.empty(0), np.empty(0)
    if enough:
        alone = len(measure) == 1
        stds = model.std(inputs) if alone else cross_fitted(measure, inputs, errors, groups)
        scores, of = np.abs(errors) / stds, groups
    told = [interval_quantile(scores, of, level) for level in LEVELS]
    # Where only the higher level lacks groups, its stand-in must not undercut the lower one.
    rising = np.maximum.accumulate([q for q, _ in told]).tolist()
    return SpreadModel(
        model.measure,
        model.weights,
        smallest,
        dict(zip(LEVELS, rising, strict=True)),
        {level: sure for level, (_, sure) in zip(LEVELS, told, strict=True)},
    )


def cross_fitted(
    measure: Sequence[str], inputs: Inputs, errors: np.ndarray, groups: np.ndarray
) -> np.ndarray:
    """(n,) standard deviations, each group's from weights fitted on the other folds."""
    columns = _columns(measure, inputs)
    found = np.empty(len(errors))
    for held in folds(groups):
        weights = fit_weights(columns[~held], errors[~held])
        found[held] = np.sqrt(np.square(columns[held]) @ weights)
    return np.maximum(found, _smallest(errors))


def folds(groups: np.ndarray) -> list[np.ndarray]:
    """Masks of at most :data:`FOLDS` parts of about as many whole groups, by the names' order."""
    _, index = np.unique(groups, return_inverse=True)
    count = min(FOLDS, int(index.max()) + 1)
    return [index % count == fold for fold in range(count)]


def compare(
    measures: Sequence[Sequence[str]], inputs: Inputs, errors: np.ndarray, groups: np.ndarray
) -> list[Comparison]:
    """The figures of every set of inputs, in the given order."""
    stds = [cross_fitted(measure, inputs, errors, groups) for measure in measures]
    losses = [normal_loss(errors, std) for std in stds]
    best = min((loss for m, loss in zip(measures, losses, strict=True) if _may_win(m)), key=np.mean)
    return [
        Comparison(
            "_".join(measure),
            float(loss.mean()),
            _difference(loss - best, groups),
            _interval_score(errors, std, groups),
            rank_correlation(errors, std),
        )
        for measure, loss, std in zip(measures, losses, stds, strict=True)
    ]


def _may_win(measure: Sequence[str]) -> bool:
    return tuple(measure) != (FLOOR,)


def _difference(losses: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """Mean of differences of losses and its standard error, groups being independent."""
    _, index = np.unique(groups, return_inverse=True)
    sums, counts = np.bincount(index, losses), np.bincount(index)
    mean = float(losses.mean())
    residual = sums - mean * counts
    k = len(counts)
    error = np.sqrt(k / (k - 1) * np.sum(residual**2)) / len(losses) if k > 1 else np.inf
    return mean, float(error)


def _interval_score(errors: np.ndarray, stds: np.ndarray, groups: np.ndarray) -> float:
    scores = np.abs(errors) / stds
    widths = [(interval_quantile(scores, groups, p)[0] * stds, p) for p in (0.68, 0.95)]
    return float(np.mean([interval_score(errors, width, p) for width, p in widths]))


def fit_best(
    measures: Sequence[Sequence[str]],
    plain: Sequence[str],
    inputs: Inputs,
    errors: np.ndarray,
    groups: np.ndarray,
) -> tuple[SpreadModel, list[Comparison]]:
    """The model that the rule keeps (see the module), and every measure's figures.

    With fewer than :data:`MIN_COMPARED` groups, that of the first measure; with fewer than
    :data:`MIN_GROUPS`, that of ``plain``, and no figures.
    """
    count = len(np.unique(groups))
    if count < MIN_GROUPS:
        return fit_model(plain, inputs, errors, groups), []
    known = [m for m in measures if all(name in inputs for name in m)]
    figures = compare(known, inputs, errors, groups)
    kept = next(
        measure
        for measure, figure in zip(known, figures, strict=True)
        if count < MIN_COMPARED or (_may_win(measure) and figure.behind[0] <= figure.behind[1])
    )
    return fit_model(kept, inputs, errors, groups), figures


def _columns(measure: Sequence[str], inputs: Inputs) -> np.ndarray:
    return np.stack([np.asarray(inputs[name], np.float64) for name in measure], axis=1)


def _smallest(errors: np.ndarray) -> float:
    """No standard deviation is below a share of the root mean square error."""
    return max(STD_FLOOR_SHARE * root_mean_square(errors), SMALLEST_STD)
