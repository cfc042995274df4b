"""Who belongs in the top k: the figure that the stop rule reads."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

DRAWS = 2000
DRAWN_AT_ONCE = 5_000_000
"""Numbers held in memory at a time."""


def expected_unlabelled_in_top(
    labelled: np.ndarray,
    mean: np.ndarray,
    std: np.ndarray,
    trusted: np.ndarray,
    utility: Callable[[np.ndarray], np.ndarray],
    largest_k: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Expected number of the top k candidates that are unlabelled, for k = 1..largest_k.

    Monte Carlo: labelled values are known, each unlabelled one is drawn from a normal about its
    prediction with its calibrated standard deviation (independently; ASSUME errors of different
    candidates are uncorrelated), and of each draw's top k those without a label are counted. A
    candidate whose prediction is not trusted also gets a draw from the best estimates of all and
    keeps the better one, so that it counts at least as much as one of which nothing is known (k/N).
    Ties go to the labelled: inside a window nothing beats a candidate that is known to be inside.

    Args:
        labelled: (L,) labelled values, in the objective's unit.
        mean, std: (U,) predictions of the unlabelled; NaN where there is none.
        trusted: (U,) bool, False for a prediction out of the committee's domain or none at all.
        utility: values (any shape) to utilities of the same shape, higher is better.

    Returns:
        (largest_k,), element k - 1 between 0 and min(k, U).
    """
    known = utility(np.asarray(labelled, float))
    n_known, n_open = len(known), len(mean)
    doubtful = np.flatnonzero(~trusted)
    population = np.concatenate([known, utility(mean[np.isfinite(mean)])])
    total = np.zeros(largest_k)
    chunk = max(1, DRAWN_AT_ONCE // max(n_known + n_open, 1))
    for first in range(0, DRAWS, chunk):
        draws = min(chunk, DRAWS - first)
        drawn = utility(mean + std * rng.standard_normal((draws, n_open)))
        drawn = np.where(np.isnan(drawn), -np.inf, drawn)
        if len(doubtful) and len(population):
            blind = rng.choice(population, size=(draws, len(doubtful)))
            drawn[:, doubtful] = np.maximum(drawn[:, doubtful], blind)
        drawn = np.nextafter(drawn, -np.inf)
        every = np.concatenate([np.broadcast_to(known, (draws, n_known)), drawn], axis=1)
        total += _unlabelled_in_top(every, n_known, largest_k).sum(axis=0)
    return total / DRAWS


def _unlabelled_in_top(utilities: np.ndarray, n_known: int, largest_k: int) -> np.ndarray:
    """(draws, largest_k) number of unlabelled candidates (columns from n_known on) in the top k."""
    k = min(largest_k, utilities.shape[1])
    top = np.argpartition(-utilities, k - 1, axis=1)[:, :k] if k else utilities[:, :0].astype(int)
    order = np.argsort(-np.take_along_axis(utilities, top, axis=1), axis=1, kind="stable")
    open_ones = np.take_along_axis(top, order, axis=1) >= n_known
    counts = np.cumsum(open_ones, axis=1, dtype=float)
    missing = largest_k - k
    return (
        np.pad(counts, ((0, 0), (0, missing)), mode="edge")
        if k
        else np.zeros((len(top), largest_k))
    )
