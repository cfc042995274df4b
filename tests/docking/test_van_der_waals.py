import numpy as np
import pytest

from molsieve.docking.van_der_waals import (
    DREIDING,
    VanDerWaalsError,
    pair_energies,
    pair_energy,
    pair_tables,
    radius_angstrom,
)
from molsieve.units import EV_PER_KCAL_PER_MOL


@pytest.mark.parametrize("symbol_number", [("C", 6), ("O", 8), ("Si", 14), ("H", 1)])
def test_the_well_is_where_the_paper_puts_it(symbol_number):
    symbol, number = symbol_number
    r0, d0, _ = DREIDING[symbol]
    energy = pair_energy(number, number)
    np.testing.assert_allclose(energy(np.array(r0)), -d0 * EV_PER_KCAL_PER_MOL, rtol=1e-12)
    distances = np.linspace(1.0, 10.0, 20001)
    assert abs(distances[np.argmin(energy(distances))] - r0) < 1e-3


def test_attraction_falls_off_as_the_sixth_power():
    energy = pair_energy(6, 8)
    ratio = energy(np.array(20.0)) / energy(np.array(40.0))
    np.testing.assert_allclose(ratio, 64.0, rtol=1e-6)


def test_softened_core_rises_to_the_nucleus_without_a_step():
    energy = pair_energy(1, 8)
    distances = np.linspace(0.0, energy.r0_angstrom, 4001)
    assert np.all(np.diff(energy(distances)) < 0)
    edge = 0.6 * energy.r0_angstrom
    below, above = energy(np.array([edge - 1e-7, edge + 1e-7]))
    np.testing.assert_allclose(below, above, atol=1e-5)


def test_tables_are_pair_by_pair():
    first, second = np.array([1, 6]), np.array([8, 14, 1])
    energies = pair_energies(np.full((2, 3), 3.1), *pair_tables(first, second))
    expected = [[float(pair_energy(a, b)(np.array(3.1))) for b in second] for a in first]
    np.testing.assert_allclose(energies, expected)


def test_an_element_without_parameters_is_named():
    with pytest.raises(VanDerWaalsError, match="Xe"):
        pair_energy(54, 8)


def test_radii_are_those_of_bondi():
    assert radius_angstrom(6) == pytest.approx(1.7)
