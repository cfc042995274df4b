import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molsieve.potential.baseline import element_counts, fit_baseline

ATOMS = {1: -13.6, 6: -1000.0, 8: -2000.0}


def test_counts():
    counts = element_counts([np.array([8, 1, 1]), np.array([6, 8])], [1, 6, 8])
    assert counts.tolist() == [[2, 0, 1], [0, 1, 1]]


def test_unknown_element_is_refused():
    with pytest.raises(ValueError, match="other than"):
        element_counts([np.array([8, 9])], [8])


@given(st.integers(0, 2**31), st.floats(-5, 5))
def test_recovers_additive_energies(seed, shift):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 12, size=(40, 3)).astype(float)
    truth = np.array([-13.6 + shift, -1000.0, -2000.0 - shift])
    fitted = fit_baseline(counts, counts @ truth, [1, 6, 8], ATOMS)
    assert np.abs(counts @ (fitted - truth)).max() < 1e-2


def test_collinear_compositions_fall_back_on_the_atoms():
    # CH2 units only: the sum of one C and two H is known, their ratio is the prior's.
    counts = np.array([[2.0, 1.0], [4.0, 2.0], [6.0, 3.0]])
    unit = -1000.0 - 2 * 13.6 - 12.0
    fitted = fit_baseline(counts, unit * np.array([1.0, 2.0, 3.0]), [1, 6], ATOMS)
    assert fitted[0] * 2 + fitted[1] == pytest.approx(unit, abs=1e-2)
    # The least change of both that explains the binding: -12 (2, 1) / 5.
    assert fitted - np.array([-13.6, -1000.0]) == pytest.approx([-4.8, -2.4], abs=1e-2)


def test_missing_free_atom_is_fitted():
    counts = np.array([[2.0, 1.0], [4.0, 2.0], [6.0, 2.0], [0.0, 3.0]])
    truth = np.array([-14.0, -900.0])
    fitted = fit_baseline(counts, counts @ truth, [1, 6], {1: -13.6})
    assert counts @ fitted == pytest.approx(counts @ truth, abs=1.0)
    assert fitted[1] == pytest.approx(-900.0, abs=0.5)


def test_offset_of_large_energies_keeps_its_millielectronvolts():
    counts = np.array([[30.0, 20.0], [31.0, 20.0], [30.0, 21.0], [28.0, 19.0]])
    truth = np.array([-13.6, -54321.0])
    fitted = fit_baseline(counts, counts @ truth, [1, 6], {1: -13.6, 6: -54321.0})
    assert np.abs(counts @ fitted - counts @ truth).max() < 1e-6
