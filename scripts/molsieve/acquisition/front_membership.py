"""Who belongs on the front: with several goals, the figures that the stop rule reads."""

from __future__ import annotations

from dataclasses import dataclass

import moocore
import numpy as np

from molsieve.acquisition.goals import Belief, utilities
from molsieve.acquisition.hypervolume import Undominated, hypervolume
from molsieve.acquisition.pareto import on_front

DRAWS = 256
REACH = np.arange(-4.0, 4.5, 0.5)
"""In standard deviations: where a candidate may lie, to leave out those that cannot matter."""


@dataclass(frozen=True)
class ExpectedFront:
    """What labelling everything is expected to add to what is labelled.

    Attributes:
        labelled: candidates on the front of the labelled ones, better than worst by every goal.
        size: expected number on the front of all; missed: of those without a label.
        hypervolume: of the labelled; hypervolume_of_all: expected, of all.
    """

    labelled: int
    size: float
    missed: float
    hypervolume: float
    hypervolume_of_all: float

    @property
    def missed_hypervolume(self) -> float:
        """Expected share of the hypervolume that is still to be found; 0 where there is none."""
        if self.hypervolume_of_all <= 0:
            return 0.0
        return max(0.0, 1.0 - self.hypervolume / self.hypervolume_of_all)


def expected_front(labelled: np.ndarray, belief: Belief, rng: np.random.Generator) -> ExpectedFront:
    """Draw the utilities of all that is unlabelled, and see who is on the front each time.

    Labelled values are known, each unlabelled candidate is drawn from a normal about its
    prediction with calibrated standard deviations and the goals' correlation, independently of
    other candidates (ASSUME). Who is worse than worst by a goal is on no front: it adds nothing to
    the hypervolume either. A candidate that is not trusted also gets the mean of a candidate drawn
    from all, and counts if either is on the front, so that it counts at least as much as one of
    which nothing is known. Ties go to the labelled.

    Args:
        labelled: (L, D) utilities.
        belief: about the U candidates that can still be labelled; NaN where there is no prediction.
    """
    known = labelled[~np.isnan(labelled).any(axis=1)]
    good = known[(known > 0).all(axis=1)]
    front = good[on_front(good)]
    matters = _can_matter(front, belief)
    blind = _Blind.among(known, belief)
    covariance_root = np.linalg.cholesky(belief.correlation + 1e-9 * np.eye(len(belief.goals)))
    mean, std = belief.mean[matters], belief.std[matters]
    counts = np.zeros(3)
    for _ in range(DRAWS):
        errors = rng.standard_normal(mean.shape) @ covariance_root.T
        points = utilities(mean + std * errors, belief.goals)
        owners = np.concatenate([np.full(len(front), -1), matters, blind.owners])
        points = np.concatenate([front, points, blind.drawn(rng)])
        counts_at_all = (points > 0).all(axis=1)
        points, owners = points[counts_at_all], owners[counts_at_all]
        if len(points):
            best = moocore.is_nondominated(points, maximise=True, keep_weakly=False)
            open_ones = len(np.unique(owners[best & (owners >= 0)]))
            volume = hypervolume(points[best])
            counts += [open_ones, (best & (owners < 0)).sum() + open_ones, volume]
    missed, size, volume = (float(c) for c in counts / DRAWS)
    return ExpectedFront(len(front), size, missed, hypervolume(front), volume)


def _can_matter(front: np.ndarray, belief: Belief) -> np.ndarray:
    """Indices of the candidates that may lie beyond the front, within four standard deviations."""
    reach = np.full(belief.mean.shape, -np.inf)
    for step in REACH:
        reach = np.fmax(reach, utilities(belief.mean + step * belief.std, belief.goals))
    boxes = Undominated.above(front if len(front) else np.empty((0, belief.mean.shape[1])))
    return np.flatnonzero(boxes.improvements(reach) > 0)


@dataclass(frozen=True)
class _Blind:
    """The means that candidates which are not trusted may take.

    ``means``: (N, D) utilities of all; ``owners``: (B,) the candidates.
    """

    means: np.ndarray
    owners: np.ndarray

    @classmethod
    def among(cls, labelled: np.ndarray, belief: Belief) -> _Blind:
        """Of the labelled and the predicted alike."""
        predicted = belief.mean_utilities
        means = np.concatenate([labelled, predicted[~np.isnan(predicted).any(axis=1)]])
        owners = np.flatnonzero(~belief.trusted) if len(means) else np.empty(0, dtype=int)
        return cls(means, owners)

    def drawn(self, rng: np.random.Generator) -> np.ndarray:
        """(B, D) the mean that each of them takes in one draw."""
        return self.means[rng.integers(max(1, len(self.means)), size=len(self.owners))]
