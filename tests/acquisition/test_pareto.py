"""Fronts, and scalars of several utilities."""

from math import gamma

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from molsieve.acquisition.hypervolume import hypervolume
from molsieve.acquisition.pareto import (
    CONTRIBUTORS,
    balance,
    front_contributions,
    on_front,
    pareto_fronts,
    reach,
)
from molsieve.ranking_by_goals import _places

POINTS = arrays(float, st.tuples(st.integers(1, 12), st.integers(1, 4)),
                elements=st.integers(0, 4).map(float))  # fmt: skip


def test_scalars_by_hand():
    utilities = np.array([[1.0, 1.0], [0.0, 2.0], [np.nan, 1.0]])
    assert reach(utilities[1], np.array([0.6, 0.8])) == 0.0
    assert reach([[0.6, 1.6], [3.0, 0.4]], np.array([0.6, 0.8])).tolist() == [1.0, 0.5]
    assert balance(utilities)[:2].tolist() == pytest.approx([1.0, 0.05 / 0.55])
    assert np.isnan(balance(utilities)[2])


@settings(max_examples=60, deadline=None)
@given(POINTS)
def test_the_front_is_what_nothing_dominates(points):
    better = (points[:, None] >= points).all(axis=2) & (points[:, None] > points).any(axis=2)
    assert on_front(points).tolist() == (~better.any(axis=0)).tolist()
    assert on_front(points).tolist() == (pareto_fronts(points) == 1).tolist()


def test_who_has_an_unknown_utility_is_on_no_front():
    assert on_front(np.array([[np.nan, 9.0], [1.0, 1.0]])).tolist() == [False, True]
    assert on_front(np.empty((0, 2))).tolist() == []


def test_every_point_of_a_concave_front_is_best_in_some_direction():
    front = np.array([[1.0, 0.1], [0.4, 0.4], [0.1, 1.0]])
    weights = np.stack([np.linspace(0.01, 0.99, 99), np.linspace(0.99, 0.01, 99)], axis=1)
    assert {int(np.argmax(reach(front, w))) for w in weights} == {0, 1, 2}
    assert {int(np.argmax(front @ w)) for w in weights} == {0, 2}


@pytest.mark.parametrize("goals", [2, 3, 4])
def test_the_farthest_reach_over_all_directions_is_the_hypervolume(goals):
    rng = np.random.default_rng(goals)
    points = rng.random((6, goals))
    directions = np.abs(rng.standard_normal((4000, goals)))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    farthest = np.array([reach(points, w).max() for w in directions]) ** goals
    ball = np.pi ** (goals / 2) / gamma(goals / 2 + 1) / 2**goals  # its positive part
    error = ball * farthest.std() / np.sqrt(len(farthest))
    assert ball * farthest.mean() == pytest.approx(hypervolume(points), abs=4 * error)


def test_contributions_are_inside_of_each_front():
    points = np.array([[1.0, 3.0], [3.0, 1.0], [1.0, 1.0], [0.5, 2.0]])
    fronts = pareto_fronts(points)
    told = front_contributions(points, fronts)
    assert fronts.tolist() == [1, 1, 2, 2]
    assert told.tolist() == [2.0, 2.0, 0.5, 0.5]
    assert told[:2].sum() < hypervolume(points)


def test_fronts_of_many_candidates_and_unknown_values():
    """Against the definition, peeled front by front; nothing is nearer than what is unknown."""
    points = np.random.default_rng(0).normal(size=(400, 3)).round(1)
    points[np.random.default_rng(1).random(points.shape) < 0.05] = np.nan
    left, peeled = np.where(np.isnan(points), -np.inf, points), np.zeros(len(points), dtype=int)
    number = 0
    while (peeled == 0).any():
        number += 1
        open_ones = np.flatnonzero(peeled == 0)
        some = left[open_ones]
        better = (some[:, None] >= some).all(axis=2) & (some[:, None] > some).any(axis=2)
        peeled[open_ones[~better.any(axis=0)]] = number
    assert pareto_fronts(points).tolist() == peeled.tolist()
    assert pareto_fronts(np.empty((0, 2))).tolist() == []


def test_far_fronts_are_told_no_contributions():
    """Their time grows with the square of a front: 1.5 million candidates would take days."""
    points = np.random.default_rng(0).random((4000, 2))
    fronts = pareto_fronts(points)
    told = np.isfinite(front_contributions(points, fronts))
    assert told[fronts == 1].all() and 0 < told.sum() <= CONTRIBUTORS
    assert fronts[told].max() + 1 == fronts[~told].min()


def test_the_first_front_is_of_candidates_better_than_worst_by_every_goal():
    nobody = np.array([[0.5, -0.1], [-0.1, 0.5], [-0.2, 0.4]])
    assert _places(nobody)["pareto_front"].tolist() == [2, 2, 3]
    somebody = np.vstack([nobody, [[0.1, 0.1]]])
    assert _places(somebody)["pareto_front"].tolist() == [2, 2, 3, 1]
