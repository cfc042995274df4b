"""The expected number of unlabelled candidates in the top k: limits and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from molsieve.acquisition.membership import expected_unlabelled_in_top


def same(values: np.ndarray) -> np.ndarray:
    return values


def expected(labelled, mean, std, trusted=None, k=5, utility=same):
    mean = np.asarray(mean, float)
    trusted = np.ones(len(mean), bool) if trusted is None else np.asarray(trusted)
    return expected_unlabelled_in_top(
        np.asarray(labelled, float), mean, np.asarray(std, float), trusted, utility, k,
        np.random.default_rng(1),
    )  # fmt: skip


def test_certain_predictions_are_counted_exactly() -> None:
    found = expected([5.0, 3.0, 1.0], [4.0, 2.0], [0.0, 0.0])
    assert found.tolist() == [0.0, 1.0, 1.0, 2.0, 2.0]


def test_lower_is_better_where_the_utility_says_so() -> None:
    found = expected([5.0, 3.0, 1.0], [4.0, 2.0], [0.0, 0.0], utility=np.negative)
    assert found.tolist() == [0.0, 1.0, 1.0, 2.0, 2.0]


def test_one_uncertain_candidate_agrees_with_the_normal_distribution() -> None:
    found = expected([1.0, 0.0], [0.5], [0.4], k=2)
    assert found[0] == pytest.approx(norm.sf(1.0, 0.5, 0.4), abs=0.03)
    assert found[1] == pytest.approx(norm.sf(0.0, 0.5, 0.4), abs=0.03)


def test_ties_go_to_the_labelled() -> None:
    assert expected([0.0, 0.0], [0.0], [0.0], k=2).tolist() == [0.0, 0.0]


def test_a_candidate_without_prediction_has_the_chance_of_any() -> None:
    labelled = np.arange(99.0)
    found = expected(labelled, [np.nan], [np.nan], [False], k=10)
    assert found[9] == pytest.approx(0.1, abs=0.03)


def test_an_untrusted_prediction_never_counts_less_than_a_trusted_one() -> None:
    labelled = np.linspace(0, 1, 20)
    trusted = expected(labelled, [0.5, 0.6], [0.1, 0.1], [True, True])
    doubtful = expected(labelled, [0.5, 0.6], [0.1, 0.1], [False, False])
    assert (doubtful >= trusted).all()
    assert doubtful[4] > trusted[4]


@given(
    st.lists(st.floats(-2, 2), max_size=8),
    st.lists(st.tuples(st.floats(-2, 2), st.floats(0, 1), st.booleans()), max_size=8),
)
def test_never_more_than_k_or_than_there_are(labelled, candidates) -> None:
    mean, std, trusted = np.array(candidates, float).reshape(-1, 3).T
    found = expected(labelled, mean, std, trusted.astype(bool))
    assert (np.diff(found) >= -1e-12).all()
    assert (found <= np.minimum(np.arange(1, 6), len(mean)) + 1e-12).all()
    assert found[-1] >= min(5, len(labelled) + len(mean)) - len(labelled) - 1e-12
