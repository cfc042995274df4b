"""Acquisition with several goals: which candidates would push the Pareto front most.

Every function maps a :class:`molsieve.acquisition.goals.Belief` about C candidates to scores (C,),
the highest labelled first; -inf where nothing is believed. Listed once, in
:data:`SEVERAL_FUNCTIONS`. All take the same arguments:

| argument | shape | meaning |
|---|---|---|
| ``belief`` | C, D | about the candidates that can be labelled |
| ``labelled`` | (L, D) | utilities of what is labelled |
| ``depth`` | | so many of the highest scores are chosen one after the other, each in view of those
|  |  | before it; what comes after them is told apart roughly, and ties are the caller's |
| ``rng`` | | the only source of chance |
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

import numpy as np
from scipy.stats import norm, qmc

from molsieve.acquisition.goals import Belief, utilities
from molsieve.acquisition.hypervolume import DrawnFronts, Undominated
from molsieve.acquisition.pareto import balance, on_front, reach

DRAWS = 128
"""Of a candidate's utilities: a power of two, as Sobol points want it."""
GROUPS = 8
"""Of draws that are alike: a close bound of a gain takes this many in place of all."""
REFINED = 200
SHORTLIST = 20
"""Times the choices: so many candidates by the coarse bound get the close one, and so many of those
are chosen from."""
IN_VIEW = 100
"""So many choices are made in view of those before: with four goals each takes seconds, and the
fronts of the draws grow with every one."""
CLOSE = 2
"""Times such a large batch: so many candidates are told their gain itself, no bound of it."""
CANDIDATES_AT_ONCE = 2000

SeveralFunction = Callable[[Belief, np.ndarray, int, np.random.Generator], np.ndarray]


def random(
    belief: Belief, labelled: np.ndarray, depth: int, rng: np.random.Generator
) -> np.ndarray:
    """Uniform draws: the baseline every other function has to beat."""
    return _where_known(belief, rng.random(len(belief)))


def greedy(
    belief: Belief, labelled: np.ndarray, depth: int, rng: np.random.Generator
) -> np.ndarray:
    """The balance of the means: heads for one end of the front, the one where all goals are met."""
    return _where_known(belief, balance(belief.mean_utilities))


def uncertainty(
    belief: Belief, labelled: np.ndarray, depth: int, rng: np.random.Generator
) -> np.ndarray:
    """The members' spread of the utilities, root mean square over the goals."""
    spread = belief.member_utilities.std(axis=0, ddof=1)
    return _where_known(belief, np.sqrt((spread**2).mean(axis=1)))


def diverse(
    belief: Belief, labelled: np.ndarray, depth: int, rng: np.random.Generator
) -> np.ndarray:
    """No preference: the batch's spread over chemical space decides alone (``diversity.py``)."""
    return _where_known(belief, np.zeros(len(belief)))


def scalarised_thompson(
    belief: Belief, labelled: np.ndarray, depth: int, rng: np.random.Generator
) -> np.ndarray:
    """Each place goes to the favourite, of one drawn member, by one drawn weighing of the goals.

    Weights are uniform on the positive part of the unit sphere and weigh by
    :func:`molsieve.acquisition.pareto.reach`, whose best over a set averages to its hypervolume:
    the Thompson sampling of Golovin, Zhang, ICML 2020. A distance to the best of every goal, as
    ParEGO has it (Knowles, IEEE Trans. Evol. Comput. 10, 50 (2006)), would depend on the farthest
    of all draws, which of a goal with wide spreads lies where nobody is. The score is minus the
    place; places after ``depth`` are in the order of
    :func:`molsieve.acquisition.pareto.balance`.
    """
    drawn = np.where(np.isnan(belief.mean), np.nan, belief.member_utilities)
    left = np.flatnonzero(np.isfinite(drawn).all(axis=(0, 2)))
    scores = np.full(len(belief), -np.inf)
    for place in range(min(depth, len(left))):
        member, direction = rng.integers(len(drawn)), rng.standard_normal(drawn.shape[2])
        weights = np.abs(direction) / np.linalg.norm(direction)
        favourite = int(np.argmax(reach(drawn[member, left], weights)))
        scores[left[favourite]] = -place
        left = np.delete(left, favourite)
    order = np.argsort(-balance(belief.mean_utilities[left]), kind="stable")
    scores[left[order]] = -float(depth) - np.arange(len(left))
    return scores


def expected_hypervolume_improvement(
    belief: Belief, labelled: np.ndarray, depth: int, rng: np.random.Generator
) -> np.ndarray:
    """E[hypervolume with the candidate − without] of normal, correlated values of the goals.

    Emmerich, Giannakoglou, Naujoks, IEEE Trans. Evol. Comput. 10, 421 (2006). The expectation is
    over :data:`DRAWS` scrambled Sobol points of the joint distribution, as in qEHVI (Daulton,
    Balandat, Bakshy, NeurIPS 2020), and a batch is chosen greedily: the score of the p-th choice is
    what it adds to the front and the draws of the p - 1 choices before it. Gains only fall as the
    front grows (hypervolume is submodular), so a candidate is looked at again only while its last
    known gain leads (Minoux, Optimization Techniques (1978), 234), which changes no choice. Chosen
    from are the ``SHORTLIST`` times ``depth`` candidates whose gain alone is bounded highest.
    Errors of different candidates are taken to be independent. Behind the first :data:`IN_VIEW`
    choices of a large batch the order is by the last known gain, in view of as many choices as it
    was looked at with; ties are the caller's.
    """
    base = standard_draws(belief, rng)
    front = labelled[on_front(labelled)]
    size = belief.mean.shape[1]
    boxes = Undominated.above(front if len(front) else np.empty((0, size)))
    bounds = _gains(belief, np.arange(len(belief)), base, boxes, _alike(base, 1))
    leading = np.argsort(-bounds, kind="stable")[: REFINED * depth]
    bounds[leading] = _gains(belief, leading, base, boxes, _alike(base, GROUPS))
    shortlist = leading[np.argsort(-bounds[leading], kind="stable")][: SHORTLIST * depth]
    if depth > IN_VIEW:
        shortlist = shortlist[: CLOSE * depth]
        exact = _gains(belief, shortlist, base, boxes, _alike(base, DRAWS))
        bounds = np.where(np.isfinite(bounds), 0.0, -np.inf)
        bounds[shortlist] = exact
    seed = int(rng.integers(2**32))
    return _greedy(belief, bounds, shortlist, boxes, base, min(depth, IN_VIEW), seed)


def _gains(
    belief: Belief,
    indices: np.ndarray,
    base: np.ndarray,
    boxes: Undominated,
    alike: np.ndarray,
) -> np.ndarray:
    """(I,) mean gain over the draws, of each group (G, n) of draws their best in every goal.

    With groups of one this is the expected gain, with larger ones an upper bound of it that costs
    as much less.
    """
    parts = np.array_split(indices, max(1, -(-len(indices) // CANDIDATES_AT_ONCE)))
    gains = [
        boxes.improvements(drawn_utilities(belief, part, base)[alike].max(axis=1)).mean(axis=0)
        for part in parts
    ]
    found = np.concatenate(gains)
    return np.where(np.isnan(belief.mean[indices]).any(axis=1), -np.inf, found)


def _alike(base: np.ndarray, count: int) -> np.ndarray:
    """(count, DRAWS / count) which draws are alike: halves by one goal after the other."""
    groups = np.arange(len(base))[None]
    goal = 0
    while len(groups) < count:
        order = np.argsort(base[groups, goal % base.shape[1]], axis=1, kind="stable")
        groups = np.take_along_axis(groups, order, axis=1).reshape(2 * len(groups), -1)
        goal += 1
    return groups


def _greedy(
    belief: Belief,
    bounds: np.ndarray,
    shortlist: np.ndarray,
    boxes: Undominated,
    base: np.ndarray,
    depth: int,
    seed: int,
) -> np.ndarray:
    """(C,) gains in view of the choices before, of the first ``depth`` choices.

    Of the others what is known to be no less than what they add, all of them scaled to come behind
    the last choice.

    Args:
        bounds: (C,) no less than the gain over what is labelled.
        shortlist: (I,) which candidates are chosen from.
    """
    scores = bounds.copy()
    queue = [(-bounds[index], int(index)) for index in shortlist if bounds[index] > 0]
    heapq.heapify(queue)
    fronts = DrawnFronts(boxes, len(base))
    chosen: list[int] = []
    looked_at = np.full(len(bounds), -1)
    while queue and len(chosen) < depth:
        _, index = heapq.heappop(queue)
        points = _own_draws(belief, index, base, seed)
        if looked_at[index] < len(chosen):
            scores[index] = min(scores[index], fronts.mean_improvement(points))
            looked_at[index] = len(chosen)
            if scores[index] > 0:
                heapq.heappush(queue, (-scores[index], index))
        else:
            fronts.add(points)
            chosen.append(index)
    others = np.ones(len(scores), dtype=bool)
    others[chosen] = False
    if chosen:
        below = np.nextafter(scores[chosen[-1]], -np.inf)
        scores[others] *= min(1.0, below / max(below, scores[others].max(initial=0.0)))
    return scores


def standard_draws(belief: Belief, rng: np.random.Generator) -> np.ndarray:
    """(DRAWS, D) standard normal draws with the belief's correlation between goals."""
    size = belief.mean.shape[1]
    uniform = qmc.Sobol(size, rng=rng).random(DRAWS)
    # The scrambled points lie in [0, 1).
    normal = norm.ppf(np.clip(uniform, 1e-9, 1 - 1e-9))
    values, vectors = np.linalg.eigh(belief.correlation)
    return normal @ (vectors * np.sqrt(np.maximum(values, 0.0))).T


def drawn_utilities(belief: Belief, indices: np.ndarray, base: np.ndarray) -> np.ndarray:
    """(DRAWS, C, D) utilities of some candidates at the standard draws (DRAWS, D)."""
    values = belief.mean[indices] + belief.std[indices] * base[:, None, :]
    return utilities(values, belief.goals)


def _own_draws(belief: Belief, index: int, base: np.ndarray, seed: int) -> np.ndarray:
    """(DRAWS, D) the candidate's draws in an order of its own: independent of other candidates'."""
    order = np.random.default_rng([seed, index]).permutation(len(base))
    return drawn_utilities(belief, np.array([index]), base[order])[:, 0]


SEVERAL_FUNCTIONS: dict[str, SeveralFunction] = {
    function.__name__: function
    for function in (
        random,
        greedy,
        uncertainty,
        diverse,
        scalarised_thompson,
        expected_hypervolume_improvement,
    )
}


def _where_known(belief: Belief, scores: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(belief.mean).any(axis=1), -np.inf, scores)
