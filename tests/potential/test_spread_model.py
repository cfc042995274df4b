import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from molsieve.potential.spread_model import (
    FLOOR,
    LEVELS,
    SpreadModel,
    compare,
    cross_fitted,
    fit_best,
    fit_model,
    fit_weights,
    folds,
)

factors = st.floats(1e-3, 1e3)
seeds = st.integers(0, 2**31)


def draw(seed: int, n: int = 400, floor: float = 0.3):
    """Normal errors of standard deviation sqrt((2 u)² + floor²), another spread that is noise."""
    rng = np.random.default_rng(seed)
    spread = rng.gamma(2.0, size=n)
    inputs = {"spread": spread, "noise": rng.gamma(2.0, size=n), FLOOR: np.ones(n)}
    return inputs, np.hypot(2 * spread, floor) * rng.normal(size=n), np.arange(n)


@given(seeds, factors, factors)
@settings(max_examples=20, deadline=None)
def test_weights_turn_with_the_units(seed, error_unit, input_unit):
    inputs, errors, _ = draw(seed)
    columns = np.stack([inputs["spread"], inputs[FLOOR]], 1)
    first = fit_weights(columns, errors)
    units = np.array([input_unit, 1.0])
    second = fit_weights(columns * units, errors * error_unit)
    assert second * units**2 == pytest.approx(first * error_unit**2, rel=1e-2, abs=1e-6)


def test_weights_are_those_of_the_errors():
    inputs, errors, _ = draw(0, n=40_000)
    found = fit_weights(np.stack([inputs[k] for k in ("spread", "noise", FLOOR)], 1), errors)
    assert found == pytest.approx([4.0, 0.0, 0.09], abs=0.1)


def test_weights_agree_with_multiplicative_updates():
    """The same likelihood by another algorithm (Févotte, Idier, Neural Comput. 23, 2421 (2011))."""
    inputs, errors, _ = draw(1)
    squares = np.stack([inputs["spread"], inputs["noise"], inputs[FLOOR]], 1) ** 2
    weights = np.mean(errors**2) / squares.mean(0)
    for _ in range(5_000):
        variance = squares @ weights
        up = (squares * (errors**2 / variance**2)[:, None]).sum(0)
        weights *= np.sqrt(up / (squares / variance[:, None]).sum(0))
    assert fit_weights(np.sqrt(squares), errors) == pytest.approx(weights, rel=0.02, abs=2e-3)


def test_errors_without_spread_or_size_are_survived():
    assert fit_weights(np.zeros((5, 2)), np.ones(5)).tolist() == [0, 0]
    assert fit_weights(np.ones((5, 2)), np.zeros(5)).tolist() == [0, 0]
    some = {"a": np.array([0.0] * 9 + [1.0]), FLOOR: np.ones(10)}
    model = fit_model(("a", FLOOR), some, np.r_[np.zeros(9), 3.0], np.arange(10))
    assert np.isfinite(list(model.quantiles.values())).all() and np.isfinite(model.std(some)).all()


@pytest.mark.parametrize("seed", range(4))
def test_normal_errors_of_the_fitted_form_are_reliable(seed):
    inputs, errors, groups = draw(seed, n=4000)
    half = groups < 2000
    known = {name: values[half] for name, values in inputs.items()}
    model = fit_model(("spread", FLOOR), known, errors[half], groups[half])
    ratio = np.abs(errors) / model.std(inputs)
    for level in LEVELS:
        assert model.conformal[level]
        # Three standard errors of calibration and test part together.
        near = 3 * math.sqrt(level * (1 - level) * 2 / 2000)
        assert np.mean(ratio[~half] <= model.quantiles[level]) == pytest.approx(level, abs=near)
        assert model.quantiles[level] == pytest.approx(stats.norm.ppf(0.5 + level / 2), abs=0.2)


def test_marginal_coverage_is_promised_even_for_small_parts():
    """Heavy-tailed errors, 24 couples to calibrate on, one to judge, many times."""
    rng = np.random.default_rng(3)
    hits = []
    for _ in range(150):
        spread = rng.gamma(2.0, size=25)
        errors = spread * rng.standard_t(3, size=25)
        inputs = {"spread": spread, FLOOR: np.ones(25)}
        known = {name: values[:24] for name, values in inputs.items()}
        model = fit_model(("spread", FLOOR), known, errors[:24], np.arange(24))
        hits.append(np.abs(errors[24]) <= model.quantiles[0.68] * model.std(inputs)[24])
    assert np.mean(hits) > 0.68 - 3 * math.sqrt(0.68 * 0.32 / 150)
    assert np.mean(hits) < 0.85


def test_the_rule_keeps_what_explains_the_errors():
    inputs, errors, groups = draw(5)
    measures = [("noise",), ("spread",), ("spread", FLOOR), (FLOOR,)]
    model, figures = fit_best(measures, ("noise",), inputs, errors, groups)
    assert model.measure in ("spread", "spread_floor")
    loss = {figure.measure: figure.loss for figure in figures}
    assert loss["spread_floor"] < loss["floor"] < loss["noise"]
    assert json.loads(json.dumps([figure.as_dict() for figure in figures], allow_nan=False))


def test_within_one_standard_error_the_preferred_measure_stays():
    inputs, errors, groups = draw(6, floor=0.0)
    for order in ([("spread",), ("spread", FLOOR)], [("spread", FLOOR), ("spread",)]):
        model, _ = fit_best(order, ("spread",), inputs, errors, groups)
        assert model.measure == "_".join(order[0])


def test_a_constant_is_never_kept():
    inputs, errors, groups = draw(7)
    flat = np.abs(errors).max() * np.random.default_rng(0).normal(size=len(errors))
    model, figures = fit_best([("noise",), (FLOOR,)], ("noise",), inputs, flat, groups)
    assert model.measure == "noise" and figures[1].loss < figures[0].loss


def test_few_groups_compare_nothing():
    inputs, errors, _ = draw(8, n=60)
    order = [("spread", FLOOR), ("spread",)]
    model, _ = fit_best(order, ("noise",), inputs, errors, np.repeat(np.arange(6), 10))
    assert model.measure == "spread_floor"
    model, figures = fit_best(order, ("noise",), inputs, errors / 100, np.repeat(np.arange(4), 15))
    assert (model.measure, figures) == ("noise", [])
    # Too little to scale spreads down by, and nothing that conformal prediction could vouch for.
    assert model.weights == {"noise": 1.0} and not any(model.conformal.values())
    assert model.quantiles[0.95] == pytest.approx(1.96, abs=0.001)


@given(seeds, st.integers(5, 40))
@settings(max_examples=20, deadline=None)
def test_quantiles_rise_with_the_level(seed, count):
    inputs, errors, _ = draw(seed, n=120)
    groups = np.random.default_rng(seed).integers(count, size=120)
    values = list(fit_model(("spread", FLOOR), inputs, errors, groups).quantiles.values())
    assert values == sorted(values)


def test_folds_keep_groups_whole():
    groups = np.array(list("abcdefgabcdefg"))
    masks = folds(groups)
    assert len(masks) == 5 and np.sum(masks, axis=0).tolist() == [1] * 14
    assert all(set(groups[m]).isdisjoint(groups[~m]) for m in masks)


def test_the_standard_error_counts_groups():
    inputs, errors, _ = draw(9, n=100)
    measures = [("spread",), ("noise",)]
    alone = compare(measures, inputs, errors, np.arange(100))[1].behind
    four = {name: np.tile(values, 4) for name, values in inputs.items()}
    copies = compare(measures, four, np.tile(errors, 4), np.tile(np.arange(100), 4))[1].behind
    assert copies == pytest.approx(alone, rel=1e-6)


def test_a_stored_model_is_the_model():
    inputs, errors, groups = draw(10)
    model = fit_model(("spread", FLOOR), inputs, errors, groups)
    again = SpreadModel.from_dict(json.loads(json.dumps(model.as_dict())))
    assert again.std(inputs) == pytest.approx(model.std(inputs))
    assert again.quantiles == pytest.approx(model.quantiles)
    with pytest.raises(ValueError, match="reads spread"):
        model.std({FLOOR: np.ones(3)})


def test_a_fold_is_judged_by_weights_that_have_not_seen_it():
    inputs, errors, groups = draw(11, n=100)
    measure = ("spread", FLOOR)
    before = cross_fitted(measure, inputs, errors, groups)
    for held in folds(groups):
        other = np.where(held, 10 * errors, errors)
        after = cross_fitted(measure, inputs, other, groups)
        assert after[held] == pytest.approx(before[held])
        assert np.all(after[~held] > before[~held])
