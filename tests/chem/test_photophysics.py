"""Rates by hand and in their limits."""

import numpy as np
import pytest

from molsieve.chem.photophysics import (
    radiative_rate_per_s,
    reverse_crossing_rate_per_s,
    wavelength_nm,
)


def test_emission_of_hydrogens_lyman_alpha():
    """2p → 1s: f = 0.4162 of absorption, g = 1 : 3, A = 6.268e8 s⁻¹ (NIST) at 121.567 nm."""
    energy = 1239.841984 / 121.567
    assert radiative_rate_per_s(0.41620, energy) / 3 == pytest.approx(6.2649e8, rel=2e-3)
    assert wavelength_nm(energy) == pytest.approx(121.567)


def test_the_way_back_is_fastest_where_nothing_stands_in_it():
    gaps = np.linspace(-0.6, 0.6, 241)
    rates = reverse_crossing_rate_per_s(gaps, 1.0, 0.2, 298.15)
    assert gaps[rates.argmax()] == pytest.approx(-0.2)
    assert (np.diff(rates[gaps >= -0.2]) < 0).all()


def test_the_way_back_by_hand():
    # 2π/ħ V² / sqrt(4πλkT) exp(-(0.1 + 0.2)² / 4λkT), V = 1 cm⁻¹
    barrier = 0.09 / (4 * 0.2 * 8.617333e-5 * 300)
    expected = 2 * np.pi / 6.582120e-16 * 1.239842e-4**2 * np.exp(-barrier)
    expected /= np.sqrt(4 * np.pi * 0.2 * 8.617333e-5 * 300)
    told = reverse_crossing_rate_per_s(0.1, 1.0, 0.2, 300.0)
    assert told == pytest.approx(expected, rel=1e-5)
    assert reverse_crossing_rate_per_s(0.1, 2.0, 0.2, 300.0) == pytest.approx(4 * expected)


def test_forward_and_back_are_in_detailed_balance():
    back, forth = (reverse_crossing_rate_per_s(g, 1.0, 0.3, 350.0) for g in (0.2, -0.2))
    assert back / forth == pytest.approx(np.exp(-0.2 / (8.617333262e-5 * 350)))
