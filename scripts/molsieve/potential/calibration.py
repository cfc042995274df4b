"""Is the spread the error? Pure functions of arrays; no model, no table.

Everything here takes errors (prediction minus truth) and predicted standard deviations of the same
unit, one entry a value; ``groups`` say which entries are not independent of each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import stats

STD_FLOOR_SHARE = 1e-3
"""A standard deviation below this share of the set's root mean square counts as that."""


def floored(stds: np.ndarray) -> np.ndarray:
    """(n,) standard deviations, none so small that one value decides a ratio of millions."""
    stds = np.asarray(stds, dtype=np.float64)
    if stds.size == 0:
        return stds
    scale = math.sqrt(float(np.mean(stds**2)))
    return np.maximum(stds, max(STD_FLOOR_SHARE * scale, np.finfo(float).tiny))


def fit_scale(errors: np.ndarray, stds: np.ndarray) -> float:
    """The ``s`` by which spreads are multiplied: ``sqrt(mean((error / std)^2))``.

    The maximum-likelihood factor for normal errors ("variance scaling", Levi, Gispan, Giladi,
    Fetaya, Sensors 22, 5540 (2022)).

    Raises:
        ValueError: nothing to fit on, or a spread that is zero throughout with errors that are not.
    """
    errors, stds = _pair(errors, stds)
    if errors.size == 0:
        raise ValueError("no calibration value to fit a scale on")
    if not np.any(stds > 0):
        raise ValueError("every predicted standard deviation is zero: no scale can calibrate it")
    return math.sqrt(float(np.mean((errors / floored(stds)) ** 2)))


def conformal_quantile(scores: np.ndarray, level: float) -> float:
    """Split-conformal quantile: the ``ceil((n + 1) level)``-th smallest score, inf when n is short.

    An exchangeable new score lies at or below it with probability at least ``level`` (Vovk,
    Gammerman, Shafer, Algorithmic Learning in a Random World, 2005; Lei et al., J. Am. Stat. Assoc.
    113, 1094 (2018)).

    Args:
        scores: (n,) nonconformity scores, e.g. ``|error| / std``.
        level: wanted coverage, in (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level {level} is not between 0 and 1")
    scores = np.sort(np.asarray(scores, dtype=np.float64))
    # The small slack keeps (n + 1) * level = 19.000000000000004 from asking for the 20th.
    rank = math.ceil((len(scores) + 1) * level - 1e-9)
    return float(scores[rank - 1]) if rank <= len(scores) else math.inf


def grouped_conformal_quantile(scores: np.ndarray, groups: np.ndarray, level: float) -> float:
    """Conformal quantile where not the entries but the groups are exchangeable; inf when short.

    Entries share their group's weight ``1 / (K + 1)`` evenly, the rest lies at infinity: a random
    entry of a new group is at or below it with probability at least ``level`` ("HCP": Lee, Barber,
    Willett, arXiv:2306.06342; see also Dunn, Wasserman, Ramdas, J. Am. Stat.
    Assoc. 118, 2491 (2023)). With groups of one entry it is :func:`conformal_quantile`.

    Args:
        scores: (n,) nonconformity scores; groups: (n,) names, K of them.
        level: wanted coverage, in (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level {level} is not between 0 and 1")
    scores = np.asarray(scores, dtype=np.float64).ravel()
    _, index, count = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    order = np.argsort(scores)
    weights = 1 / ((len(count) + 1) * count[index][order]) if len(scores) else scores
    rank = int(np.searchsorted(np.cumsum(weights), level - 1e-9))
    return float(scores[order][rank]) if rank < len(scores) else math.inf


def interval_quantile(
    scores: np.ndarray, groups: np.ndarray, level: float, scale: float = 1.0
) -> tuple[float, bool]:
    """What a standard deviation is multiplied by, and whether conformal prediction vouches for it.

    Where there are too few groups for the level (95 % needs 19): the conformal quantile of the
    entries, the largest score where they are too few as well, and never less than ``scale`` times
    the normal quantile.
    """
    scores = np.asarray(scores, dtype=np.float64).ravel()
    quantile = grouped_conformal_quantile(scores, groups, level)
    if math.isfinite(quantile):
        return quantile, True
    normal = scale * float(stats.norm.ppf(0.5 + level / 2))
    entrywise = conformal_quantile(scores, level)
    largest = float(scores.max()) if scores.size else normal
    return max(entrywise if math.isfinite(entrywise) else largest, normal), False


def coverage_by_group(
    hits: np.ndarray, groups: np.ndarray, seed: int, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Share of hits and its interval: exact where entries are their own groups, else resampled.

    The cluster bootstrap knows no doubt where every entry is a hit (or none is); the interval is
    then the binomial one of as many trials as there are groups. With one group: 0 to 1.

    Args:
        hits: (n,) bool; groups: (n,) names.

    Returns:
        share, low, high; ``nan, 0, 1`` for no entry.
    """
    hits = np.asarray(hits, dtype=np.float64).ravel()
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    counts, sums = np.bincount(index), np.bincount(index, hits)
    share = float(hits.mean()) if hits.size else math.nan
    if hits.size == len(counts) or share in (0.0, 1.0):
        return share, *binomial_interval(
            round(share * len(counts)) if hits.size else 0, len(counts), confidence
        )
    if len(counts) == 1:
        return share, 0.0, 1.0
    return group_bootstrap(
        np.arange(len(counts)),
        np.arange(len(counts)),
        seed,
        lambda drawn: float(sums[drawn].sum() / counts[drawn].sum()),
        confidence,
    )


def normal_loss(errors: np.ndarray, stds: np.ndarray) -> np.ndarray:
    """(n,) negative log-likelihood of each error under a normal of its standard deviation."""
    errors, stds = _pair(errors, stds)
    return np.log(stds) + 0.5 * np.square(errors / stds) + 0.5 * math.log(2 * math.pi)


def interval_score(errors: np.ndarray, half_widths: np.ndarray, level: float) -> float:
    """Mean width of the intervals plus ``2 / (1 - level)`` times what truth lies outside by.

    Proper: no other interval has a lower expectation than the true central one (Gneiting, Raftery,
    J. Am. Stat. Assoc. 102, 359 (2007), eq. 43). In the errors' unit.
    """
    errors, half_widths = _pair(errors, half_widths)
    outside = np.maximum(np.abs(errors) - half_widths, 0)
    return float(np.mean(2 * half_widths + 2 / (1 - level) * outside))


def coverage_with_interval(
    errors: np.ndarray, half_widths: np.ndarray, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Share of ``|error| <= half_width`` and its :func:`binomial_interval`.

    Entries of one group are not independent: reduce them to one a group, or use
    :func:`group_bootstrap` on the hits.

    Returns:
        share, low, high; ``nan, 0, 1`` for no entry.
    """
    errors, half_widths = _pair(errors, half_widths)
    n, hits = errors.size, int(np.sum(np.abs(errors) <= half_widths))
    return hits / n if n else math.nan, *binomial_interval(hits, n, confidence)


def binomial_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided interval of a share of independent entries; 0 to 1 for no entry.

    Exact (Clopper, Pearson, Biometrika 26, 404 (1934)).
    """
    tail = (1 - confidence) / 2
    low = float(stats.beta.ppf(tail, successes, n - successes + 1)) if successes else 0.0
    high = float(stats.beta.ppf(1 - tail, successes + 1, n - successes)) if successes < n else 1.0
    return low, high


def mean_absolute(values: np.ndarray) -> float:
    """Mean absolute value."""
    return float(np.mean(np.abs(values)))


def root_mean_square(values: np.ndarray) -> float:
    """Root mean square."""
    return math.sqrt(float(np.mean(np.square(values))))


def group_bootstrap(
    values: np.ndarray,
    groups: np.ndarray,
    seed: int,
    statistic: Callable[[np.ndarray], float] = lambda values: float(np.mean(values)),
    confidence: float = 0.95,
    samples: int = 1000,
) -> tuple[float, float, float]:
    """A statistic and its percentile interval, groups drawn with replacement.

    The cluster bootstrap (Davison, Hinkley, Bootstrap Methods and their Application, 1997, 3.8):
    couples, not structures, are the independent draws. With one group there is no interval to be
    had: infinite ends.

    Args:
        values: (n,) entries; groups: (n,) names.

    Returns:
        statistic, low, high; ``nan, -inf, inf`` for no entry.
    """
    values, groups = np.asarray(values), np.asarray(groups)
    if values.size == 0:
        return math.nan, -math.inf, math.inf
    names, index = np.unique(groups, return_inverse=True)
    if len(names) == 1:
        return statistic(values), -math.inf, math.inf
    members = [values[index == g] for g in range(len(names))]
    rng = np.random.default_rng(seed)
    draws = rng.integers(len(names), size=(samples, len(names)))
    found = [statistic(np.concatenate([members[g] for g in draw])) for draw in draws]
    tail = (1 - confidence) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    return statistic(values), float(low), float(high)


def rank_correlation(errors: np.ndarray, stds: np.ndarray) -> float:
    """Spearman's rank correlation of ``|error|`` with the spread, ties averaged; nan if undefined.

    For a perfectly calibrated normal spread it is well below 1: errors are random draws.
    """
    errors, stds = _pair(errors, stds)
    if errors.size < 3 or np.ptp(np.abs(errors)) == 0 or np.ptp(stds) == 0:
        return math.nan
    return float(stats.spearmanr(np.abs(errors), stds).statistic)


def _pair(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.asarray(first, np.float64).ravel(), np.asarray(second, np.float64).ravel()
    if first.shape != second.shape:
        raise ValueError(f"{first.size} values and {second.size}: they must be paired")
    return first, second
