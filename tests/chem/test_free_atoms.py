"""Ground states of free atoms."""

import pytest
from ase.data import atomic_numbers, ground_state_magnetic_moments

from molsieve.chem.free_atoms import GROUND_STATE_MULTIPLICITY


@pytest.mark.parametrize("symbol", list(GROUND_STATE_MULTIPLICITY))
def test_multiplicity_agrees_with_ases_magnetic_moments(symbol):
    moment = ground_state_magnetic_moments[atomic_numbers[symbol]]
    assert GROUND_STATE_MULTIPLICITY[symbol] == moment + 1


def test_no_element_to_xenon_is_missing():
    numbers = sorted(atomic_numbers[symbol] for symbol in GROUND_STATE_MULTIPLICITY)
    assert numbers == list(range(1, 55))
