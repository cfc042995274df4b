"""Acquisition functions against their limits, numerical integration and symmetry."""

import typing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.integrate import quad
from scipy.stats import norm

from molsieve.acquisition.functions import FUNCTIONS
from molsieve.acquisition.several import SEVERAL_FUNCTIONS
from molsieve.campaign import Acquisition

DETERMINISTIC = [
    "greedy",
    "upper_confidence_bound",
    "expected_improvement",
    "probability_of_improvement",
    "uncertainty",
    "diverse",
]
finite = st.floats(-5, 5)
spread = st.one_of(st.just(0.0), st.floats(1e-3, 3))


@st.composite
def beliefs(draw):
    n = draw(st.integers(1, 8))
    mean = draw(arrays(float, n, elements=finite))
    std = draw(arrays(float, n, elements=spread))
    members = mean + std * draw(arrays(float, (3, n), elements=st.floats(-2, 2)))
    return mean, std, members, draw(finite)


def score(name, mean, std, members, best, seed=0, **settings):
    return FUNCTIONS[name](
        mean, std, members, best, Acquisition(**settings), np.random.default_rng(seed)
    )


def test_every_function_of_the_campaign_file_is_listed():
    allowed = typing.get_args(Acquisition.model_fields["function"].annotation)
    assert set(allowed) == set(FUNCTIONS) | set(SEVERAL_FUNCTIONS)


@pytest.mark.parametrize("name", DETERMINISTIC)
@given(belief=beliefs(), seed=st.integers(0, 99))
def test_permuting_candidates_permutes_scores(name, belief, seed):
    mean, std, members, best = belief
    order = np.random.default_rng(seed).permutation(len(mean))
    scores = score(name, mean, std, members, best)
    permuted = score(name, mean[order], std[order], members[:, order], best)
    np.testing.assert_array_equal(permuted, scores[order])


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
@given(belief=beliefs())
def test_unknown_candidates_come_last_and_scores_are_numbers(name, belief):
    mean, std, members, best = belief
    mean, std, members = (
        np.append(mean, np.nan),
        np.append(std, np.nan),
        np.pad(members, ((0, 0), (0, 1)), constant_values=np.nan),
    )
    std[0] = np.nan
    scores = score(name, mean, std, members, best)
    assert scores.shape == mean.shape
    assert scores[-1] == -np.inf
    assert np.isfinite(scores[:-1]).all()


@given(belief=beliefs())
def test_confidence_bound_without_confidence_is_greedy(belief):
    np.testing.assert_array_equal(
        score("upper_confidence_bound", *belief, beta=0.0), score("greedy", *belief)
    )


@given(belief=beliefs(), beta=st.floats(0, 5))
def test_confidence_bound_rises_with_spread(belief, beta):
    mean, std, members, best = belief
    low = score("upper_confidence_bound", mean, std, members, best, beta=beta)
    high = score("upper_confidence_bound", mean, std + 1, members, best, beta=beta)
    np.testing.assert_allclose(high - low, beta, atol=1e-9)


@given(belief=beliefs())
def test_expected_improvement_of_the_certain_is_their_gain(belief):
    mean, std, members, best = belief
    scores = score("expected_improvement", mean, 0 * std, members, best)
    np.testing.assert_allclose(scores, np.maximum(mean - best, 0))
    nearly = score("expected_improvement", mean, 0 * std + 1e-9, members, best)
    np.testing.assert_allclose(nearly, scores, atol=1e-8)


@pytest.mark.parametrize("mean", [-1.0, 0.2, 0.9])
@pytest.mark.parametrize("std", [0.05, 0.7])
@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_expected_improvement_is_the_integral(mean, std, margin):
    best = 0.25
    integral, _ = quad(
        lambda u: max(u - best - margin, 0) * norm.pdf(u, mean, std),
        mean - 12 * std,
        mean + 12 * std,
        points=[best + margin],
        limit=200,
    )
    found = score(
        "expected_improvement",
        np.array([mean]),
        np.array([std]),
        np.array([[mean]]),
        best,
        improvement_margin=margin,
    )
    assert found[0] == pytest.approx(integral, abs=1e-9)


@given(belief=beliefs())
def test_probability_of_improvement_is_a_probability(belief):
    scores = score("probability_of_improvement", *belief)
    assert ((scores >= 0) & (scores <= 1)).all()


def test_probability_of_improvement_values():
    mean, std = np.array([1.0, 1.0, 2.0, 0.5]), np.array([0.0, 1.0, 0.0, 0.0])
    scores = score("probability_of_improvement", mean, std, mean[None], 1.0)
    np.testing.assert_allclose(scores, [0.0, 0.5, 1.0, 0.0])


@given(belief=beliefs())
def test_epsilon_greedy_without_epsilon_orders_like_greedy(belief):
    mean = belief[0]
    order = np.argsort(-score("epsilon_greedy", *belief, epsilon=0.0))
    assert (np.diff(mean[order]) <= 0).all()


def test_epsilon_greedy_explores_its_share_of_a_batch():
    mean = np.arange(2000.0)
    scores = score("epsilon_greedy", mean, 0 * mean, mean[None], 0.0, epsilon=0.3)
    batch = np.argsort(-scores)[:500]
    explored = np.mean(mean[batch] < 1500)
    assert 0.15 < explored < 0.3  # 0.3 x the share of random draws that fall below the top 500
    assert len(set(scores)) == len(scores)


def test_thompson_gives_each_member_its_share():
    n, rng = 3000, np.random.default_rng(4)
    members = rng.normal(size=(3, n))
    scores = score("thompson", members.mean(0), members.std(0), members, 0.0)
    batch = np.argsort(-scores)[:300]
    for member in members:
        favourites = np.argsort(-member)[:100]
        assert np.isin(favourites, batch).mean() > 0.7


def test_thompson_of_a_unanimous_committee_is_greedy():
    mean = np.random.default_rng(0).normal(size=50)
    scores = score("thompson", mean, 0 * mean, np.stack([mean] * 4), 0.0)
    np.testing.assert_array_equal(np.argsort(-scores), np.argsort(-mean))


@pytest.mark.parametrize("name", ["random", "epsilon_greedy", "thompson"])
def test_chance_comes_from_the_seed_only(name):
    rng = np.random.default_rng(1)
    mean, members = rng.normal(size=40), rng.normal(size=(3, 40))
    first, again, other = (
        score(name, mean, 0 * mean + 1, members, 0.0, seed, epsilon=0.5) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
