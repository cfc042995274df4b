import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from molsieve.potential import calibration

finite = st.floats(-100, 100, allow_nan=False)
positive = st.floats(0.01, 100)


@given(arrays(float, st.integers(1, 40), elements=finite), st.integers(0, 2**31), positive)
def test_scale_turns_with_errors_and_spreads(errors, seed, factor):
    stds = np.random.default_rng(seed).uniform(0.5, 2.0, errors.shape)
    scale = calibration.fit_scale(errors, stds)
    assert calibration.fit_scale(factor * errors, stds) == pytest.approx(factor * scale)
    assert calibration.fit_scale(errors, factor * stds) == pytest.approx(scale / factor)


def test_scale_of_known_spreads():
    rng = np.random.default_rng(0)
    stds = rng.uniform(0.1, 3.0, 20_000)
    errors = 2.5 * stds * rng.normal(size=stds.shape)
    assert calibration.fit_scale(errors, stds) == pytest.approx(2.5, rel=0.02)


def test_one_collapsed_spread_does_not_decide_the_scale():
    errors, stds = np.ones(1000), np.ones(1000)
    stds[0] = 1e-12
    assert calibration.fit_scale(errors, stds) < 40


@pytest.mark.parametrize(("errors", "stds"), [([], []), ([1.0], [0.0])])
def test_scale_without_data_is_refused(errors, stds):
    with pytest.raises(ValueError, match="calibrat"):
        calibration.fit_scale(np.array(errors), np.array(stds))


@given(arrays(float, st.integers(1, 60), elements=finite, unique=True), st.floats(0.05, 0.95))
def test_conformal_quantile_is_the_finite_sample_rank(scores, level):
    quantile = calibration.conformal_quantile(scores, level)
    below = int(np.sum(scores <= quantile))
    assert below >= (len(scores) + 1) * level - 1e-6 or math.isinf(quantile)
    if math.isinf(quantile):
        assert (len(scores) + 1) * level > len(scores)


def test_conformal_quantile_by_hand():
    scores = np.arange(1.0, 20.0)
    assert calibration.conformal_quantile(scores, 0.95) == 19.0
    assert calibration.conformal_quantile(scores, 0.5) == 10.0
    assert calibration.conformal_quantile(scores[:18], 0.95) == math.inf


def test_conformal_coverage_holds_on_exchangeable_draws():
    rng = np.random.default_rng(1)
    hits = []
    for _ in range(2000):
        draws = rng.standard_t(3, 20)
        hits.append(draws[-1] <= calibration.conformal_quantile(draws[:-1], 0.8))
    assert np.mean(hits) == pytest.approx(0.8, abs=0.03)


def test_clopper_pearson_by_the_published_example():
    # 10 hits of 100: [0.0490, 0.1762] (R's binom.test).
    errors = np.r_[np.zeros(10), np.full(90, 2.0)]
    share, low, high = calibration.coverage_with_interval(errors, np.ones(100))
    assert (share, low, high) == pytest.approx((0.1, 0.0490, 0.1762), abs=1e-4)


@given(st.integers(0, 30), st.integers(1, 30))
def test_coverage_interval_holds_its_share(hits, n):
    hits = min(hits, n)
    errors = np.r_[np.zeros(hits), np.full(n - hits, 2.0)]
    share, low, high = calibration.coverage_with_interval(errors, np.ones(n))
    assert 0 <= low <= share <= high <= 1
    assert (low == 0) == (hits == 0)
    assert (high == 1) == (hits == n)


def test_coverage_of_nothing_knows_nothing():
    share, low, high = calibration.coverage_with_interval(np.array([]), np.array([]))
    assert math.isnan(share) and (low, high) == (0.0, 1.0)
    assert calibration.binomial_interval(0, 0) == (0.0, 1.0)


def test_group_bootstrap_is_wider_when_groups_repeat_one_value():
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(20), 30)
    values = np.repeat(rng.normal(size=20), 30)
    _, low, high = calibration.group_bootstrap(values, groups, 0)
    _, low_alone, high_alone = calibration.group_bootstrap(values, np.arange(600), 0)
    assert high - low > 3 * (high_alone - low_alone)
    # Twenty independent draws: the standard error of the mean within the bootstrap's own noise.
    assert high - low == pytest.approx(2 * 1.96 * values[::30].std() / math.sqrt(20), rel=0.15)


def test_group_bootstrap_is_seeded_and_honest_about_one_group():
    values, groups = np.arange(16.0) ** 2, np.repeat(list("abcdefgh"), 2)
    first = calibration.group_bootstrap(values, groups, 3)
    assert first == calibration.group_bootstrap(values, groups, 3)
    assert first != calibration.group_bootstrap(values, groups, 4)
    assert calibration.group_bootstrap(values, ["a"] * 16, 3) == (
        values.mean(),
        -math.inf,
        math.inf,
    )


def test_group_bootstrap_of_other_statistics():
    values = np.array([3.0, -3.0])
    mae = calibration.group_bootstrap(values, np.array([0, 1]), 0, calibration.mean_absolute)
    rmse = calibration.group_bootstrap(values, np.array([0, 1]), 0, calibration.root_mean_square)
    assert mae == rmse == (3.0, 3.0, 3.0)


@given(arrays(float, st.integers(3, 30), elements=st.floats(0.01, 10), unique=True))
def test_rank_correlation_extremes(spreads):
    signs = np.where(np.arange(len(spreads)) % 2, -1, 1)
    assert calibration.rank_correlation(signs * spreads, spreads) == pytest.approx(1)
    assert calibration.rank_correlation(signs / spreads, spreads) == pytest.approx(-1)


def test_rank_correlation_undefined():
    assert math.isnan(calibration.rank_correlation(np.ones(5), np.arange(5.0)))
    assert math.isnan(calibration.rank_correlation(np.arange(2.0), np.arange(2.0)))


@given(arrays(float, st.integers(1, 60), elements=finite, unique=True), st.floats(0.05, 0.95))
def test_grouped_quantile_of_single_entries_is_the_plain_one(scores, level):
    groups = np.arange(len(scores))
    grouped = calibration.grouped_conformal_quantile(scores, groups, level)
    assert grouped == calibration.conformal_quantile(scores, level)


@given(st.integers(0, 2**31), st.integers(5, 30), positive)
def test_grouped_quantile_turns_with_the_scores_and_not_with_names(seed, count, factor):
    rng = np.random.default_rng(seed)
    groups, scores = rng.integers(count, size=100), rng.gamma(2.0, size=100)
    found = calibration.grouped_conformal_quantile(scores, groups, 0.7)
    order = rng.permutation(100)
    renamed = calibration.grouped_conformal_quantile(scores[order], -groups[order], 0.7)
    assert renamed == found
    scaled = calibration.grouped_conformal_quantile(factor * scores, groups, 0.7)
    assert scaled == pytest.approx(factor * found)


def test_grouped_quantile_covers_new_groups_of_any_size():
    """Groups share a scale and differ in size: the entries are far from exchangeable."""
    rng = np.random.default_rng(4)
    shares = []
    for _ in range(600):
        scales, sizes = rng.gamma(1.0, size=26), rng.integers(1, 20, size=26)
        scores = [np.abs(s * rng.normal(size=n)) for s, n in zip(scales, sizes, strict=True)]
        groups = np.repeat(np.arange(25), sizes[:25])
        limit = calibration.grouped_conformal_quantile(np.concatenate(scores[:25]), groups, 0.8)
        shares.append(np.mean(scores[25] <= limit))
    # At least 0.8 (25 groups: at most 0.8 + 1/26 more), within three standard errors.
    error = np.std(shares) / math.sqrt(len(shares))
    assert 0.8 - 3 * error < np.mean(shares) < 0.8 + 1 / 26 + 3 * error


def test_interval_quantile_without_enough_groups_says_so():
    scores = np.arange(1.0, 13.0)
    groups = np.repeat(np.arange(4), 3)
    assert calibration.interval_quantile(scores, np.arange(12), 0.68) == (9.0, True)
    # Four groups vouch for at most 80 %; the twelve entries do not reach 95 % either.
    assert calibration.interval_quantile(scores, groups, 0.95) == (12.0, False)
    assert calibration.interval_quantile(scores / 100, groups, 0.95, scale=2.0) == (
        pytest.approx(2 * 1.959964),
        False,
    )
    assert calibration.interval_quantile([], [], 0.68)[0] == pytest.approx(0.9945, abs=1e-4)


@given(st.integers(0, 40), st.integers(1, 40))
def test_coverage_of_single_entries_has_scipys_exact_interval(successes, n):
    successes = min(successes, n)
    hits = np.arange(n) < successes
    share, low, high = calibration.coverage_by_group(hits, np.arange(n), seed=0)
    exact = stats.binomtest(successes, n).proportion_ci(method="exact")
    assert (share, low, high) == pytest.approx((successes / n, exact.low, exact.high))


def test_coverage_resamples_groups():
    rng = np.random.default_rng(6)
    groups = np.repeat(np.arange(30), 40)
    hits = np.repeat(rng.random(30) < 0.7, 40)
    _, low, high = calibration.coverage_by_group(hits, groups, seed=1)
    _, low_alone, high_alone = calibration.coverage_by_group(hits, np.arange(1200), seed=1)
    assert high - low > 4 * (high_alone - low_alone)
    # Certain entries: as wide as the binomial interval of thirty trials, not a point.
    told = calibration.coverage_by_group(np.ones(1200), groups, seed=1)
    assert told == (1.0, *calibration.binomial_interval(30, 30))
    assert calibration.coverage_by_group(np.arange(10) < 5, np.zeros(10), 0) == (0.5, 0.0, 1.0)


@given(st.floats(0.3, 3.0))
def test_proper_scores_prefer_the_truth(factor):
    errors = np.random.default_rng(7).normal(size=20_000)
    true, other = np.ones(20_000), np.full(20_000, factor)
    loss = [calibration.normal_loss(errors, std).mean() for std in (true, other)]
    score = [calibration.interval_score(errors, 1.96 * std, 0.95) for std in (true, other)]
    assert loss[0] <= loss[1] + 1e-3
    assert score[0] <= score[1] + 2e-2
