import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molsieve.potential.feature_distance import RIDGE_SHARE, FeatureSpace


def features(seed: int, count: int = 80, width: int = 12) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, width)) @ np.diag(10.0 ** -np.linspace(0, 3, width)) + 3.0


def test_distance_is_the_regularised_mahalanobis_distance():
    train = features(0)
    space = FeatureSpace.of(train)
    covariance = np.cov(train.T)
    # Directions below the ridge all get it instead of their own variance.
    values, vectors = np.linalg.eigh(covariance)
    ridge = RIDGE_SHARE * values[-1]
    weights = 1 / np.where(values > ridge, values + ridge, ridge)
    z = (features(1) - train.mean(0)) @ vectors
    assert space.distance(features(1)) == pytest.approx(np.sqrt((z**2 * weights).sum(1)))


@given(st.integers(0, 99), st.floats(0.1, 10.0))
@settings(max_examples=20, deadline=None)
def test_distance_knows_no_unit_origin_or_axes(seed, unit):
    rng = np.random.default_rng(seed)
    train, new = features(seed), features(seed + 1)
    rotation, _ = np.linalg.qr(rng.normal(size=(12, 12)))
    told = FeatureSpace.of(train).distance(new)
    turned = FeatureSpace.of(unit * train @ rotation + 5.0)
    assert turned.distance(unit * new @ rotation + 5.0) == pytest.approx(told, rel=1e-6)


def test_training_data_are_near_and_others_far():
    space = FeatureSpace.of(features(0))
    inside = space.distance(features(0))
    assert np.median(inside) < np.sqrt(12)
    assert (space.distance(features(2) + 10.0) > 3 * inside.max()).all()
    assert space.distance(features(0).mean(0)[None]) == pytest.approx(0, abs=1e-9)


def test_a_stored_space_is_the_space():
    space = FeatureSpace.of(features(3))
    again = FeatureSpace.from_dict(json.loads(json.dumps(space.as_dict(), allow_nan=False)))
    assert again.distance(features(4)) == pytest.approx(space.distance(features(4)), rel=1e-4)


def test_identical_structures_make_a_space():
    same = np.ones((6, 4))
    assert FeatureSpace.of(same).distance(np.array([[1.0, 1, 1, 1], [2, 1, 1, 1]])).tolist() == [
        0.0,
        1.0,
    ]
