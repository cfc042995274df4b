import numpy as np
import pytest

from molsieve.properties.linear import FARTHEST, fit_linear, standardised


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    descriptors = rng.normal([5.0, -3.0], [2.0, 0.1], size=(200, 2))
    low = 3.0 + 0.5 * descriptors[:, 0]
    high = low + 0.4 - 2.0 * descriptors[:, 1]
    values = np.stack([low, high], axis=1)[:, :, None] + rng.normal(0, 0.01, (200, 2, 1))
    return descriptors, values


def predicted(start, descriptors):
    inputs = standardised(descriptors, start.mean, start.width)
    return np.einsum("sd,lpd->slp", inputs, start.weights) + start.centre


def test_a_line_is_found_at_each_level(data):
    start = fit_linear(*data)
    np.testing.assert_allclose(predicted(start, data[0]), data[1], atol=0.08)
    assert start.scale[0] < 0.03


def test_few_better_labels_shift_and_hardly_tilt(data):
    descriptors, values = data
    values = values.copy()
    values[2:, 1] = np.nan
    start = fit_linear(descriptors, values)
    tilt = np.abs(start.weights[1] - start.weights[0]).sum()
    full = np.abs(np.diff(fit_linear(*data).weights, axis=0)).sum()
    assert tilt < 0.75 * full
    shift = np.diff(predicted(start, descriptors)[:2] - values[:2], axis=1).mean()
    assert shift == pytest.approx(0.0, abs=1e-6)


def test_what_neither_level_tells_of_descriptors_does_not_blur_their_difference(data):
    descriptors, values = data
    rng = np.random.default_rng(1)
    values = values + rng.normal(0, 1.0, (200, 1, 1))  # the same of both levels
    values[12:, 1] = np.nan
    found = predicted(fit_linear(descriptors, values), descriptors)
    expected = 0.4 - 2.0 * descriptors[:, 1]
    assert np.abs((found[:, 1] - found[:, 0])[:, 0] - expected).mean() < 0.15


def test_without_descriptors_it_is_the_mean(data):
    start = fit_linear(np.zeros((200, 0)), data[1])
    np.testing.assert_allclose(start.centre[:, 0], data[1][..., 0].mean(0))
    assert start.weights.shape == (2, 1, 0)


def test_a_property_that_no_label_tells_is_harmless():
    start = fit_linear(np.ones((4, 1)), np.full((4, 1, 1), np.nan))
    assert np.isfinite(start.centre).all()
    assert start.scale.tolist() == [1.0]


def test_a_descriptor_far_from_training_is_held_back(data):
    start = fit_linear(*data)
    far = standardised(np.array([[1e6, 0.0]]), start.mean, start.width)
    assert far[0, 0] == FARTHEST
