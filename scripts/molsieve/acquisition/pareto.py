"""Who dominates whom: Pareto fronts of candidates, and one order of all of them.

A candidate dominates another one if it is at least as good by every goal and better by one. All
utilities are maximised.
"""

from __future__ import annotations

import moocore
import numpy as np

from molsieve.acquisition.hypervolume import hypervolume_contributions

AUGMENTATION = 0.05
"""rho of the augmented Chebyshev function, as Knowles (2006) has it."""
CONTRIBUTORS = 1000
"""So many candidates of the first fronts are told what they add to their front."""


def balance(utilities: np.ndarray) -> np.ndarray:
    """One scalar of several utilities (…, D): that of the goal which is met worst, mostly.

    min_d u_d + rho sum_d u_d, the augmented Chebyshev function of Knowles, IEEE Trans. Evol.
    Comput. 10, 50 (2006), eq. 2, with equal weights, for maximisation from the reference point 0.

    Returns:
        (…,), scaled to 1 where every utility is 1.
    """
    utilities = np.asarray(utilities, float)
    size = utilities.shape[-1]
    worst = utilities.min(axis=-1) + AUGMENTATION * utilities.sum(axis=-1)
    return worst / (1 + AUGMENTATION * size)


def reach(utilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(…,) how far in the direction of ``weights`` (D,) each of ``utilities`` (…, D) dominates.

    min_d u_d / w_d. In polar coordinates a set's hypervolume above the reference point 0 is the
    integral of its farthest reach to the power of D over all directions (Golovin, Zhang, ICML 2020,
    arXiv 2006.04655): the best over random directions serves the hypervolume. Every point of a
    Pareto front is best in some direction, also where the front is concave, which no weighted sum
    can promise.
    """
    return (np.asarray(utilities, float) / weights).min(axis=-1)


def on_front(utilities: np.ndarray) -> np.ndarray:
    """(C,) whether each of ``utilities`` (C, D) is dominated by none; one with NaN never is."""
    known = ~np.isnan(utilities).any(axis=1)
    front = np.zeros(len(utilities), dtype=bool)
    if known.any():
        best = moocore.is_nondominated(utilities[known], maximise=True, keep_weakly=True)
        front[known] = best
    return front


def front_contributions(utilities: np.ndarray, fronts: np.ndarray) -> np.ndarray:
    """(C,) hypervolume that each front (C,) would lose without each of its own candidates.

    Inside of its front only: what a candidate of front 3 adds to front 1 is nothing. For the first
    fronts, as long as they hold at most :data:`CONTRIBUTORS` candidates together, since the time
    grows with the square of a front; NaN behind them.
    """
    lost = np.full(len(utilities), np.nan)
    numbers, sizes = np.unique(fronts, return_counts=True)
    for front in numbers[np.cumsum(sizes) <= CONTRIBUTORS]:
        mine = fronts == front
        lost[mine] = hypervolume_contributions(utilities[mine])
    return lost


def pareto_fronts(objectives: np.ndarray) -> np.ndarray:
    """The Pareto front of each point, all objectives maximised: 1 is dominated by none.

    Front n holds what only points of fronts before n dominate (non-dominated sorting, as moocore
    has it: under a second for 10^5 points of four goals).

    Args:
        objectives: (C, D); NaN counts as worst of all.

    Returns:
        (C,) integers from 1; equal points share a front.
    """
    objectives = np.asarray(objectives, float)
    if not len(objectives):
        return np.zeros(0, dtype=int)
    # A number below all others, not -inf, with which moocore 0.3.2 sorts three columns wrongly.
    lowest = np.nanmin(objectives, initial=0.0) - 1.0
    known = np.where(np.isnan(objectives), lowest, objectives)
    return np.asarray(moocore.pareto_rank(known, maximise=True), dtype=int) + 1
