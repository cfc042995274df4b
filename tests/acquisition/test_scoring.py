"""Scores of a campaign with one goal: in utilities, over the best that is labelled."""

import numpy as np
import pytest
from scipy.stats import norm

from molsieve.acquisition.goals import utility
from molsieve.acquisition.scoring import Scored, score_several
from molsieve.campaign import Acquisition
from molsieve.domains.oled.goals import Objective
from molsieve.objective_settings import Goal
from tests.acquisition.emitters import PREDICTIONS, TABLES, labelled

NAME = "singlet_triplet_gap"
GAPS = PREDICTIONS[PREDICTIONS["objective"] == NAME]
DOWN = Goal(direction="minimise", worst=1.0, ideal=0.5)
GOALS = {  # and by how much a utility changes with an eV
    "minimise": (DOWN, 2.0),
    "maximise": (Goal(direction="maximise", worst=0.0, ideal=4.0), 0.25),
    "window": (Goal(direction="window", worst=0.4, window=(0.2, 0.3)), 2.5),
}


def scored(goal: Goal, known, **settings) -> Scored:
    return score_several(
        PREDICTIONS, GAPS["candidate_id"].to_numpy(object), TABLES[0], known,
        Objective(goals={NAME: goal}), Acquisition(**settings), 1, np.random.default_rng(0),
    )  # fmt: skip


@pytest.mark.parametrize(("goal", "slope"), GOALS.values(), ids=GOALS)
def test_a_spread_counts_as_the_utility_that_it_is(goal, slope):
    told = scored(goal, labelled(range(3)), function="upper_confidence_bound", beta=1.5)
    means = utility(GAPS["mean"].to_numpy(float), goal)
    np.testing.assert_allclose(told.means, means)
    np.testing.assert_allclose(told.scores, means + 1.5 * slope * GAPS["std"].to_numpy(float))


@pytest.mark.parametrize("places", [[3, 1, 8], []])
def test_improvement_is_over_the_best_label_else_over_the_best_prediction(places):
    """Against quantiles of each candidate's utility."""
    known = labelled(places) if places else labelled([0]).head(0)
    told = scored(DOWN, known, function="expected_improvement", improvement_margin=0.0)
    gaps = known[NAME].to_numpy(float) if places else GAPS["mean"].to_numpy(float)
    best = (1.0 - gaps.min()) / 0.5
    errors = norm.ppf((np.arange(4000) + 0.5) / 4000)
    drawn = GAPS["mean"].to_numpy(float)[:, None] + GAPS["std"].to_numpy(float)[:, None] * errors
    expected = np.maximum((1.0 - drawn) / 0.5 - best, 0.0).mean(axis=1)
    np.testing.assert_allclose(told.scores, expected, atol=2e-4)
    assert expected.max() > 0.01
