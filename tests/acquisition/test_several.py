"""Acquisition with several goals: against brute force, and what must hold of every answer."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from molsieve.acquisition import several
from molsieve.acquisition.goals import Belief
from molsieve.acquisition.hypervolume import Undominated, hypervolume
from molsieve.acquisition.several import (
    SEVERAL_FUNCTIONS,
    drawn_utilities,
    expected_hypervolume_improvement,
    scalarised_thompson,
    standard_draws,
)
from molsieve.objective_settings import Goal

UP = Goal(direction="maximise", worst=0.0, ideal=1.0)
FRONT = np.array([[0.2, 0.8], [0.5, 0.5], [0.8, 0.2]])


def belief_of(mean, std, members=4, seed=0, goals=None):
    mean = np.asarray(mean, float)
    std = np.broadcast_to(np.asarray(std, float), mean.shape)
    deviations = np.random.default_rng(seed).normal(size=(members, *mean.shape))
    told = goals or {f"goal {d}": UP for d in range(mean.shape[1])}
    ids = np.array([f"c{k}" for k in range(len(mean))], object)
    return Belief(ids, mean, std, mean + std * deviations, np.ones(len(mean), bool), told)


def scores_of(function, belief, labelled=FRONT, depth=3, seed=1):
    return SEVERAL_FUNCTIONS[function](belief, labelled, depth, np.random.default_rng(seed))


def test_improvement_of_what_is_certain_by_hand():
    belief = belief_of([[0.5, 0.5], [0.6, 0.6], [1.0, 0.1], [-1.0, 5.0]], 0.0)
    told = scores_of("expected_hypervolume_improvement", belief, depth=1)
    assert told[1] == pytest.approx(0.6**2 - 0.5**2 - 2 * 0.1 * 0.2)
    assert told[[0, 3]].max() <= 0
    assert 0 < told[2] <= 0.02 + 1e-12


def test_expected_improvement_of_independent_goals_is_a_product():
    mean, std = np.array([0.4, 0.3]), np.array([0.4, 0.3])
    belief = belief_of(mean[None].repeat(2, axis=0), std, members=3000)
    z = mean / std
    alone = mean * norm.cdf(z) + std * norm.pdf(z)  # E[max(u, 0)], nothing labelled
    told = scores_of("expected_hypervolume_improvement", belief, np.empty((0, 2)), depth=1)
    assert told.max() == pytest.approx(alone.prod(), rel=0.04)


def test_expected_improvement_agrees_with_many_random_draws():
    rng = np.random.default_rng(5)
    belief = belief_of(rng.random((1, 3)) * 0.5, 0.3)
    front = rng.random((6, 3))
    errors = rng.multivariate_normal(np.zeros(3), belief.correlation, 4000)
    drawn = belief.mean + belief.std * errors
    before = hypervolume(front)
    each = [hypervolume(np.vstack([front, point])) - before for point in drawn]
    told = expected_hypervolume_improvement(belief, front, 1, np.random.default_rng(0))
    assert told[0] == pytest.approx(np.mean(each), abs=4 * np.std(each) / np.sqrt(1000))


def test_draws_follow_the_members_correlation():
    common = np.random.default_rng(0).normal(size=(6, 40, 1))
    mean = np.zeros((40, 2))
    opposed = Belief(
        np.arange(40), mean, mean + 0.1, mean + common * [0.1, -0.1], np.ones(40, bool),
        {"a": UP, "b": UP},
    )  # fmt: skip
    draws = standard_draws(opposed, np.random.default_rng(0))
    assert np.corrcoef(draws.T)[0, 1] == pytest.approx(-1.0)
    assert draws.std(axis=0) == pytest.approx([1.0, 1.0], abs=0.05)
    values = drawn_utilities(opposed, np.array([3]), draws)
    np.testing.assert_allclose(values[:, 0], 0.1 * draws)


def greedy_by_brute_force(belief, front, depth, seed):
    """Choices one after the other, every candidate's joint draws looked at each time."""
    rng = np.random.default_rng(seed)
    base = standard_draws(belief, rng)
    own_seed = int(rng.integers(2**32))
    points = [several._own_draws(belief, c, base, own_seed) for c in range(len(belief))]
    fronts = [front] * len(base)
    picks: list[int] = []
    gains: list[float] = []
    for _ in range(depth):
        gain = np.array(
            [
                np.mean([hypervolume(np.vstack([f, p])) - hypervolume(f)
                         for f, p in zip(fronts, own, strict=True)])
                for own in points
            ]
        )  # fmt: skip
        gain[picks] = -1
        picks.append(int(np.argmax(gain)))
        gains.append(gain[picks[-1]])
        fronts = [np.vstack([f, p]) for f, p in zip(fronts, points[picks[-1]], strict=True)]
    return picks, gains


def test_a_batch_is_the_greedy_one(monkeypatch):
    monkeypatch.setattr(several, "DRAWS", 16)
    rng = np.random.default_rng(2)
    belief = belief_of(rng.random((12, 2)), 0.2)
    told = expected_hypervolume_improvement(belief, FRONT, 4, np.random.default_rng(9))
    picks, gains = greedy_by_brute_force(belief, FRONT, 4, 9)
    order = np.argsort(-told, kind="stable")
    assert order[:4].tolist() == picks
    np.testing.assert_allclose(told[order[:4]], gains, rtol=1e-9)


def test_of_two_alike_only_one_is_wanted_first():
    belief = belief_of([[0.9, 0.9], [0.9, 0.9], [0.1, 1.2]], 1e-6)
    told = scores_of("expected_hypervolume_improvement", belief, depth=2)
    assert set(np.argsort(-told)[:2]) in ({0, 2}, {1, 2})


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(0, 8), st.floats(0, 1))
def test_improvements_are_never_negative_and_fall_with_a_larger_front(seed, goals, labelled, std):
    rng = np.random.default_rng(seed)
    belief = belief_of(rng.normal(0.3, 0.5, (6, goals)), std)
    front = rng.random((labelled, goals))
    told = expected_hypervolume_improvement(belief, front, 1, np.random.default_rng(1))
    more = np.concatenate([front, rng.random((2, goals))])
    later = expected_hypervolume_improvement(belief, more, 1, np.random.default_rng(1))
    assert (told >= -1e-12).all()
    assert later.max() <= told.max() + 1e-12


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_labelled_points_that_are_dominated_change_nothing(seed):
    rng = np.random.default_rng(seed)
    belief = belief_of(rng.random((5, 2)), 0.2)
    worse = np.concatenate([FRONT, FRONT - 0.1, [[np.nan, 5.0]]])[rng.permutation(7)]
    told = [expected_hypervolume_improvement(belief, f, 2, np.random.default_rng(1))
            for f in (FRONT, worse)]  # fmt: skip
    np.testing.assert_allclose(told[0], told[1], atol=1e-12)


@pytest.mark.parametrize("function", SEVERAL_FUNCTIONS)
def test_what_is_unknown_is_never_wanted_and_one_seed_gives_one_answer(function):
    belief = belief_of([[0.3, 0.3], [np.nan, 0.9], [0.4, 0.2]], 0.1)
    told = scores_of(function, belief)
    assert told[1] == -np.inf and np.isfinite(told[[0, 2]]).all()
    np.testing.assert_array_equal(told, scores_of(function, belief))


def test_thompson_is_not_led_by_what_lies_where_nobody_is():
    # One candidate of huge spread in one goal, worthless in the other, and a front.
    points = np.concatenate([FRONT, [[0.3, -0.2]]])
    belief = belief_of(points, np.array([[0.01, 0.01]] * 3 + [[30.0, 0.01]]))
    first = [int(np.argmax(scores_of("scalarised_thompson", belief, depth=1, seed=s)))
             for s in range(40)]  # fmt: skip
    assert set(first) == {0, 1, 2}


def test_thompson_takes_favourites_of_drawn_weights_from_the_front():
    front = np.array([[1.0, 0.05], [0.6, 0.6], [0.05, 1.0]])
    means = np.concatenate([front, front - 0.05, front - 0.2])
    belief = belief_of(means, 1e-9)
    first = [int(np.argmax(scores_of("scalarised_thompson", belief, depth=1, seed=s)))
             for s in range(60)]  # fmt: skip
    assert set(first) == {0, 1, 2}


def first_choices(belief, count):
    rng = np.random.default_rng(0)
    draws = [scalarised_thompson(belief, np.empty((0, 2)), 1, rng) for _ in range(count)]
    return np.argmax(draws, axis=1)


def test_thompson_draws_directions_evenly():
    """The second leads where the direction leaves the first goal by more than atan(0.1 / 0.5)."""
    chosen = first_choices(belief_of([[2.0, 0.1], [0.5, 1.0]], 1e-9), 2000)
    share = 1 - np.arctan2(0.1, 0.5) / (np.pi / 2)
    error = np.sqrt(share * (1 - share) / len(chosen))
    assert chosen.mean() == pytest.approx(share, abs=3 * error)


def test_thompson_asks_one_member_at_a_time():
    """One in four of them says that the second is better than the first."""
    belief = belief_of([[0.5, 0.5], [0.3, 0.3]], 0.0)
    members = belief.members.copy()
    members[:, 1] = [[0.9, 0.9], [0.1, 0.1], [0.1, 0.1], [0.1, 0.1]]
    chosen = first_choices(replace(belief, members=members), 600)
    assert chosen.mean() == pytest.approx(0.25, abs=3 * np.sqrt(0.25 * 0.75 / 600))


def test_thompson_places_are_a_ranking_of_all():
    belief = belief_of(np.random.default_rng(0).random((9, 3)), 0.1)
    told = scalarised_thompson(belief, np.empty((0, 3)), 4, np.random.default_rng(0))
    assert sorted(-told) == list(range(9))


SPACE, START, BATCH, ROUNDS = 100, 10, 5, 5


def shares_of(function, seed):
    """Share of a space's hypervolume that is labelled: a Gaussian process, its exact posterior."""
    rng = np.random.default_rng([8, seed])
    places = rng.random((SPACE, 2))
    apart = ((places[:, None] - places) ** 2).sum(axis=2)
    kernel = 0.95 * np.exp(-apart / 0.18) + 0.05 * np.eye(SPACE)
    mixed = np.linalg.cholesky([[1.0, -0.5, 0.0], [-0.5, 1.0, 0.0], [0.0, 0.0, 1.0]]).T
    values = 0.2 + 0.3 * np.linalg.cholesky(kernel) @ rng.standard_normal((SPACE, 3)) @ mixed
    known, shares = list(range(START)), []
    for _ in range(ROUNDS):
        left = np.setdiff1d(np.arange(SPACE), known)
        solved = np.linalg.solve(kernel[np.ix_(known, known)], kernel[np.ix_(known, left)])
        mean = 0.2 + solved.T @ (values[known] - 0.2)
        spread = kernel[np.ix_(left, left)] - kernel[np.ix_(left, known)] @ solved
        errors = np.linalg.cholesky(spread) @ rng.standard_normal((8, len(left), 3)) @ mixed
        std = 0.3 * np.sqrt(np.diag(spread))[:, None].repeat(3, axis=1)
        belief = belief_of(mean, std)
        belief = replace(belief, members=mean + 0.3 * errors)
        scores = SEVERAL_FUNCTIONS[function](belief, values[known], BATCH, rng)
        known += left[np.argsort(-scores, kind="stable")[:BATCH]].tolist()
        shares.append(hypervolume(values[known]) / hypervolume(values))
    return np.mean(shares)


def test_a_calibrated_belief_beats_chance():
    area = {
        function: np.mean([shares_of(function, seed) for seed in range(8)])
        for function in ("random", "scalarised_thompson", "expected_hypervolume_improvement")
    }
    assert area["expected_hypervolume_improvement"] > area["random"] + 0.1
    assert area["scalarised_thompson"] > area["random"] + 0.05


def test_a_window_is_best_inside():
    window = Goal(direction="window", worst=0.5, window=(2.0, 2.5))
    belief = belief_of([[2.2, 0.5], [3.0, 0.5], [1.8, 0.5]], 1e-9, goals={"s1": window, "f": UP})
    assert belief.mean_utilities[:, 0].tolist() == pytest.approx([1.0, 0.0, 0.6])


def test_behind_what_is_chosen_in_view_the_order_is_by_gain(monkeypatch):
    monkeypatch.setattr(several, "IN_VIEW", 2)
    mean = np.random.default_rng(0).random((40, 2)) * 0.9
    belief = belief_of(mean, 0.1)
    base = standard_draws(belief, np.random.default_rng(1))
    one_each = np.arange(len(base))[:, None]
    alone = several._gains(belief, np.arange(40), base, Undominated.above(FRONT), one_each)
    told = scores_of("expected_hypervolume_improvement", belief, depth=20)
    first, behind = np.argsort(-told, kind="stable")[:2], np.argsort(-told, kind="stable")[2:]
    assert told[behind].max() < told[first].min()
    wanted = behind[told[behind] > 0]
    # Their own gain itself, or what is left of it beside the first two.
    assert len(np.unique(told[wanted])) == len(wanted) > 20
    assert (told[wanted] <= alone[wanted] + 1e-12).all()
    assert np.isclose(told[wanted], alone[wanted], rtol=1e-9).sum() > 10
