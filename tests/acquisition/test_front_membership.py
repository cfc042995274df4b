"""What is expected of a front: how errors of goals go together, and who is drawn blindly."""

import numpy as np
import pytest
from scipy.stats import norm

from molsieve.acquisition.front_membership import DRAWS, expected_front
from molsieve.acquisition.goals import Belief
from molsieve.acquisition.hypervolume import hypervolume
from molsieve.objective_settings import Goal

UP = Goal(direction="maximise", worst=0.0, ideal=1.0)
FRONT = np.array([[0.5, 0.5]])
STD = 0.2


def belief_along(direction, mean=(0.4, 0.4)) -> Belief:
    """One candidate whose members lie on a line through the mean."""
    means = np.array([mean], float)
    offsets = np.array([-1.0, -0.5, 0.5, 1.0])[:, None, None]
    members = means + STD * offsets * np.asarray(direction)
    known = np.ones(1, dtype=bool)
    return Belief(np.arange(1), means, np.full((1, 2), STD), members, known, {"a": UP, "b": UP})


@pytest.mark.parametrize("direction", [(1.0, 1.0), (1.0, -1.0)])
def test_errors_of_the_goals_go_together_as_the_members_say(direction):
    """Against quantiles of the one error that both goals share."""
    errors = norm.ppf((np.arange(2000) + 0.5) / 2000)
    points = 0.4 + STD * errors[:, None] * direction
    better = (points > 0).all(axis=1) & (points > FRONT).any(axis=1)
    volumes = np.full(len(points), hypervolume(FRONT))
    volumes[better] = [hypervolume(np.vstack([FRONT, point])) for point in points[better]]
    told = expected_front(FRONT, belief_along(direction), np.random.default_rng(0))
    of_chance = 3 / np.sqrt(DRAWS)
    assert told.missed == pytest.approx(better.mean(), abs=of_chance * better.std())
    assert told.hypervolume_of_all == pytest.approx(volumes.mean(), abs=of_chance * volumes.std())


def test_who_has_no_prediction_is_drawn_from_labelled_and_predicted_alike():
    """Only the mean of the one that is predicted is on a front: a quarter of the draws."""
    labelled = np.array([[0.3, 0.3], [0.4, 0.4], [0.5, 0.5]])
    one = belief_along((1.0, -1.0), mean=(0.9, 0.9))
    nothing = np.full((1, 2), np.nan)
    two = Belief(
        np.arange(2),
        np.concatenate([one.mean, nothing]),
        np.concatenate([one.std, np.zeros((1, 2))]),
        np.concatenate([one.members, np.full((4, 1, 2), np.nan)], axis=1),
        np.array([True, False]),
        one.goals,
    )
    assert expected_front(labelled, one, np.random.default_rng(0)).missed == 1.0
    told = expected_front(labelled, two, np.random.default_rng(0))
    assert told.missed == pytest.approx(1.25, abs=3 * np.sqrt(0.25 * 0.75 / DRAWS))
