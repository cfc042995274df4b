"""Hypervolume and what a point adds to it: by hand, by inclusion-exclusion, by Monte Carlo."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from molsieve.acquisition.hypervolume import (
    DrawnFronts,
    Undominated,
    hypervolume,
    hypervolume_contributions,
)

STAIRS = np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]])


def by_inclusion_exclusion(points: np.ndarray) -> float:
    """Volume of the union of boxes [0, point], for a few points."""
    boxes = np.maximum(points, 0.0)
    return sum(
        (-1) ** (size + 1) * boxes[list(some)].min(axis=0).prod()
        for size in range(1, len(boxes) + 1)
        for some in combinations(range(len(boxes)), size)
    )


def sets_of_points(most=6):
    """Sets of points in two to four dimensions; a coarse grid, so that ties are common."""
    steps = st.integers(-2, 8).map(lambda n: n / 4)
    return st.integers(2, 4).flatmap(
        lambda d: st.integers(1, most).flatmap(lambda n: arrays(float, (n, d), elements=steps))
    )


def test_stairs_by_hand():
    assert hypervolume(STAIRS) == 6.0
    assert hypervolume(STAIRS, reference=1.0) == 1.0
    assert hypervolume_contributions(STAIRS).tolist() == [1.0, 1.0, 1.0]
    assert hypervolume(np.empty((0, 2))) == 0.0
    assert hypervolume(np.array([[np.nan, 9.0], [-1.0, 9.0]])) == 0.0


def test_what_a_point_adds_by_hand():
    boxes = Undominated.above(STAIRS)
    told = boxes.improvements(np.array([[2.0, 2.0], [2.5, 2.5], [4.0, 4.0], [0.5, 9.0], [-1, 9]]))
    assert told.tolist() == [0.0, 1.25, 10.0, 3.0, 0.0]


def test_a_reference_moves_everything():
    points = np.array([[2.0, 5.0], [4.0, 3.0]])
    moved = Undominated.above(points, np.array([1.0, 2.0])).improvements(np.array([[5.0, 6.0]]))
    assert moved == Undominated.above(points - [1.0, 2.0]).improvements(np.array([[4.0, 4.0]]))


@settings(max_examples=60, deadline=None)
@given(sets_of_points())
def test_volume_is_that_of_inclusion_and_exclusion(points):
    assert hypervolume(points) == pytest.approx(by_inclusion_exclusion(points), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(sets_of_points(8))
def test_what_points_add_is_the_difference_of_two_volumes(points):
    front, new = points[1:], points[0]
    expected = hypervolume(points) - (hypervolume(front) if len(front) else 0.0)
    boxes = Undominated.above(front) if len(front) else Undominated.above(points[:0])
    assert boxes.improvements(new) == pytest.approx(expected, abs=1e-12)
    assert boxes.without(new).improvements(new) == 0.0


@settings(max_examples=60, deadline=None)
@given(sets_of_points(), st.randoms(use_true_random=False))
def test_order_does_not_matter_and_dominated_points_add_nothing(points, random):
    shuffled = points[random.sample(range(len(points)), len(points))]
    volume = hypervolume(points)
    assert hypervolume(shuffled) == pytest.approx(volume, abs=1e-12)
    assert hypervolume(np.concatenate([points, points - 0.25])) == pytest.approx(volume, abs=1e-12)
    assert hypervolume(np.concatenate([points, points[:1] + 0.25])) >= volume


@settings(max_examples=40, deadline=None)
@given(sets_of_points())
def test_boxes_are_disjoint(points):
    boxes = Undominated.above(points)
    top = np.minimum(boxes.upper, 3.0)
    shared = np.minimum(top[:, None], top) - np.maximum(boxes.lower[:, None], boxes.lower)
    overlaps = np.maximum(shared, 0.0).prod(axis=2)
    assert overlaps.sum() == pytest.approx(np.trace(overlaps), abs=1e-12)


def test_volume_agrees_with_random_points():
    rng = np.random.default_rng(3)
    points = rng.random((40, 3))
    thrown = rng.random((20_000, 3))
    below = np.any((thrown[:, None] <= points).all(axis=2), axis=1).mean()
    assert hypervolume(points) == pytest.approx(below, abs=5 * np.sqrt(0.25 / len(thrown)))


def test_drawn_fronts_grow_apart():
    first = np.array([[3.0, 3.0], [0.5, 0.5]])
    fronts = DrawnFronts(Undominated.above(STAIRS), 2)
    assert fronts.mean_improvement(first) == pytest.approx((9.0 - 6.0) / 2)
    fronts.add(first)
    second = np.array([[4.0, 1.0], [4.0, 1.0]])
    assert fronts.mean_improvement(second) == pytest.approx(1.0)
    assert fronts.mean_improvement(first) == 0.0
