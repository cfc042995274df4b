import numpy as np
import pandas as pd
import pytest

from molsieve.properties.definitions import PROPERTIES, label_values, same_unit_pairs
from tests.properties.conftest import CHEAP, label

VALUES = {
    "singlet_energies_ev": [3.0, 4.0],
    "triplet_energies_ev": [2.5],
    "oscillator_strengths": [0.04, 0.5],
    "root_converged": [True, True, True],
}


def told(**changes) -> pd.Series:
    rows = pd.DataFrame([label("s", CHEAP, VALUES | changes)])
    return label_values(rows).iloc[0]


def test_the_lowest_roots_of_a_label():
    row = told()
    assert row["singlet_energy_ev"] == 3.0
    assert row["triplet_energy_ev"] == 2.5
    assert row["sqrt_oscillator_strength"] == pytest.approx(0.2)


def test_an_inverted_gap_is_left_as_it_is():
    row = told(triplet_energies_ev=[3.2])
    assert row["triplet_energy_ev"] > row["singlet_energy_ev"]


@pytest.mark.parametrize(
    ("converged", "unknown"),
    [
        ([False, True, True], {"singlet_energy_ev", "sqrt_oscillator_strength"}),
        ([True, False, True], set()),
        ([True, True, False], {"triplet_energy_ev"}),
    ],
)
def test_only_converged_roots_count(converged, unknown):
    row = told(root_converged=converged)
    assert {name for name in PROPERTIES if np.isnan(row[name])} == unknown


@pytest.mark.parametrize("missing", [None, []])
def test_what_a_label_lacks_is_nan(missing):
    row = told(triplet_energies_ev=missing)
    assert np.isnan(row["triplet_energy_ev"])
    assert row["singlet_energy_ev"] == 3.0


def test_failed_labels_tell_nothing():
    assert told(status="failed")[list(PROPERTIES)].isna().all()


def test_energies_are_subtracted_strengths_are_not():
    assert same_unit_pairs(tuple(PROPERTIES)) == [(0, 1)]
