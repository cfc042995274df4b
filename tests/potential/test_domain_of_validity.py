import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molsieve.potential.domain_of_validity import (
    FALSE_ALARM_RATE,
    DomainOfValidity,
    fit_domain,
)


def scores(rng: np.random.Generator, n: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """A spread that the error follows, and a distance that it does not."""
    spread = rng.gamma(2.0, size=n)
    return {"force_spread": spread, "feature_distance": rng.gamma(2.0, size=n)}, spread


def test_false_alarms_come_at_the_promised_rate():
    rng = np.random.default_rng(0)
    alarms = []
    for _ in range(400):
        told, errors = scores(rng, 120)
        known = {name: values[:60] for name, values in told.items()}
        domain = fit_domain(known, errors[:60], np.arange(60))
        assert domain.measure == "force_spread" and domain.rate == FALSE_ALARM_RATE
        alarms.append(np.mean(domain.relative_score(told)[60:] > 1))
    # At most 5 %, and no less than what one structure of sixty-one takes off.
    assert 0.05 - 1 / 61 - 0.005 < np.mean(alarms) < 0.05 + 0.005


def test_false_alarms_of_grouped_structures_come_at_most_at_that_rate():
    rng = np.random.default_rng(1)
    alarms = []
    for _ in range(300):
        level = np.repeat(rng.gamma(2.0, size=50), 6)
        spread = level * rng.uniform(0.9, 1.1, size=300)
        domain = fit_domain(
            {"force_spread": spread[:240]}, level[:240], np.repeat(np.arange(40), 6)
        )
        alarms.append(np.mean(domain.relative_score({"force_spread": spread})[240:] > 1))
    assert np.mean(alarms) < 0.05 + 0.015


def test_what_lies_elsewhere_is_caught():
    rng = np.random.default_rng(2)
    told, errors = scores(rng, 200)
    domain = fit_domain(told, errors, np.arange(200))
    far = {name: 10 + values for name, values in told.items()}
    assert np.mean(domain.relative_score(far) > 1) == 1


def test_few_groups_promise_less():
    told, errors = scores(np.random.default_rng(3), 12)
    domain = fit_domain(told, errors, np.arange(12))
    assert domain.rate == pytest.approx(1 / 13)
    assert domain.limit == told[domain.measure].max()


@given(st.floats(1e-3, 1e3), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_the_relative_score_has_no_unit(unit, seed):
    told, errors = scores(np.random.default_rng(seed), 40)
    scaled = {name: unit * values for name, values in told.items()}
    first, second = (fit_domain(t, errors, np.arange(40)) for t in (told, scaled))
    assert second.relative_score(scaled) == pytest.approx(first.relative_score(told))


def test_torn_atoms_are_out_whatever_the_spread_of_their_forces():
    told, errors = scores(np.random.default_rng(5), 40)
    domain = fit_domain(told, errors, np.arange(40))
    farthest = told["feature_distance"].max()
    torn = dict.fromkeys(told, np.zeros(2)) | {"feature_distance": farthest * np.array([1.9, 2.1])}
    assert domain.measure == "force_spread"
    assert list(domain.relative_score(torn) > 1) == [False, True]


def test_a_stored_domain_is_the_domain():
    told, _ = scores(np.random.default_rng(4), 30)
    domain = fit_domain(told, np.ones(30), np.arange(30))
    assert DomainOfValidity.from_dict(json.loads(json.dumps(domain.as_dict()))) == domain
    with pytest.raises(ValueError, match="with forces"):
        domain.relative_score({})
