"""Acquisition functions: pure functions of arrays, each listed once in :data:`FUNCTIONS`.

Every function maps what the committee says about C candidates to scores (C,); the highest are
labelled first. The convention is maximisation of a utility. A candidate whose mean is NaN scores
-inf; a standard deviation that is NaN counts as zero. All take the same arguments:

| argument | shape | meaning |
|---|---|---|
| ``mean`` | (C,) | utility |
| ``std`` | (C,) | its calibrated standard deviation, same unit |
| ``members`` | (M, C) | utility by each committee member, spread calibrated |
| ``best`` | scalar | best utility labelled so far, finite |
| ``settings`` | | the campaign's ``acquisition`` section |
| ``rng`` | | the only source of chance |
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import norm

from molsieve.campaign import Acquisition

AcquisitionFunction = Callable[
    [np.ndarray, np.ndarray, np.ndarray, float, Acquisition, np.random.Generator], np.ndarray
]


def random(
    mean: np.ndarray,
    std: np.ndarray,
    members: np.ndarray,
    best: float,
    settings: Acquisition,
    rng: np.random.Generator,
) -> np.ndarray:
    """Uniform draws: the baseline every other function has to beat."""
    return _where_known(mean, rng.random(len(mean)))


def greedy(
    mean: np.ndarray,
    std: np.ndarray,
    members: np.ndarray,
    best: float,
    settings: Acquisition,
    rng: np.random.Generator,
) -> np.ndarray:
    """The mean itself."""
    return _where_known(mean, mean)


def epsilon_greedy(
    mean: np.ndarray,
    std: np.ndarray,
    members: np.ndarray,
    best: float,
    settings: Acquisition,
    rng: np.random.Generator,
) -> np.ndarray:
    """Each place of the ranking is random with probability ``epsilon``, else the best one left.

    Sutton, Barto, Reinforcement Learning, 2nd ed. (2018), section 2.2, applied place by place so
    that a batch of any size explores its share. The score is minus the place.
    """
    explore = rng.random(len(mean)) < settings.epsilon
    rankings = np.stack([_descending(mean), rng.permutation(len(mean))])
    return _where_known(mean, -_interleave(rankings, explore.astype(int)))


def thompson(
    mean: np.ndarray,
    std: np.ndarray,
    members: np.ndarray,
    best: float,
    settings: Acquisition,
    rng: np.random.Generator,
) -> np.ndarray:
    """Each place of the ranking goes to the favourite, among those left, of one drawn member.

    Thompson, Biometrika 25, 285 (1933); the committee stands for the posterior, a batch for
    parallel draws from it (Hernández-Lobato et al., ICML 2017). The score is minus the place.
    """
    rankings = np.stack([_descending(np.where(np.isnan(mean), np.nan, row)) for row in members])
    drawn = rng.integers(len(members), size=len(mean))
    return _where_known(mean, -_interleave(rankings, drawn))


def upper_confidence_bound(
    mean: np.ndarray,
    std: np.ndarray,
    members: np.ndarray,
    best: float,
    settings: Acquisition,
    rng: np.random.Generator,
) -> np.ndarray:
    """mean + beta std (Cox, John, IEEE Conf. Syst. Man Cybern. (1992), 1241)."""
    return _where_known(mean, mean + settings.beta * _spread(std))


def expected_improvement(
    mean: np.ndarray,
    std: np.ndarray,
    members: np.ndarray,
    best: float,
    settings: Acquisition,
    rng: np.random.Generator,
) -> np.ndarray:
    """E[max(u - best - margin, 0)] of a normal utility u.

    (mean - best - margin) Phi(z) + std phi(z), z = (mean - best - margin) / std: Jones, Schonlau,
    Welch, J. Global Optim. 13, 455 (1998), eq. 15, for maximisation.
    """
    gain, std = mean - best - settings.improvement_margin, _spread(std)
    z = _standardised(gain, std)
    expected = np.where(std > 0, gain * norm.cdf(z) + std * norm.pdf(z), gain)
    return _where_known(mean, np.maximum(expected, 0.0))


def probability_of_improvement(
    mean: np.ndarray,
    std: np.ndarray,
    members: np.ndarray,
    best: float,
    settings: Acquisition,
    rng: np.random.Generator,
) -> np.ndarray:
    """P(u > best + margin) of a normal utility u (Kushner, J. Basic Eng. 86, 97 (1964))."""
    gain, std = mean - best - settings.improvement_margin, _spread(std)
    return _where_known(
        mean, np.where(std > 0, norm.cdf(_standardised(gain, std)), (gain > 0).astype(float))
    )


def uncertainty(
    mean: np.ndarray,
    std: np.ndarray,
    members: np.ndarray,
    best: float,
    settings: Acquisition,
    rng: np.random.Generator,
) -> np.ndarray:
    """The standard deviation itself."""
    return _where_known(mean, _spread(std))


def diverse(
    mean: np.ndarray,
    std: np.ndarray,
    members: np.ndarray,
    best: float,
    settings: Acquisition,
    rng: np.random.Generator,
) -> np.ndarray:
    """No preference: the batch's spread over chemical space decides alone (``diversity.py``)."""
    return _where_known(mean, np.zeros(len(mean)))


FUNCTIONS: dict[str, AcquisitionFunction] = {
    function.__name__: function
    for function in (
        random,
        greedy,
        epsilon_greedy,
        thompson,
        upper_confidence_bound,
        expected_improvement,
        probability_of_improvement,
        uncertainty,
        diverse,
    )
}


def _where_known(mean: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(mean), -np.inf, scores)


def _spread(std: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(std), 0.0, std)


def _standardised(gain: np.ndarray, std: np.ndarray) -> np.ndarray:
    return gain / np.where(std > 0, std, 1.0)


def _descending(values: np.ndarray) -> np.ndarray:
    """Indices by falling value, NaN last, ties in order."""
    return np.argsort(-values, kind="stable")


def _interleave(rankings: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """Merge rankings: place p goes to the first candidate left of ranking ``sources[p]``.

    Args:
        rankings: (L, C) permutations of the candidates, best first.
        sources: (C,) numbers below L.

    Returns:
        (C,) the place of each candidate, 0 first.
    """
    places = np.full(rankings.shape[1], -1.0)
    left = [iter(ranking) for ranking in rankings.tolist()]
    for place, source in enumerate(sources.tolist()):
        candidate = next(c for c in left[source] if places[c] < 0)
        places[candidate] = place
    return places
