"""Which cell is computed: repeats, copies, boxes, charges."""

import math

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from hypothesis import given
from hypothesis import strategies as st

from molsieve.engines.base import CalculationError, Label
from molsieve.engines.cells import (
    WIDTH_TOLERANCE_ANGSTROM,
    calculated_cell,
    in_a_box,
    label_of_given_cell,
    repeats,
    widths,
)
from molsieve.levels import TbliteLevel
from tests.engines.crystals import abw, quartz

numbers = st.floats(-8, 8, allow_nan=False)


def test_widths_of_a_hexagonal_cell_are_no_lengths_of_its_vectors():
    cell = quartz().cell.array
    assert widths(cell) == pytest.approx([4.916 * math.sqrt(3) / 2] * 2 + [5.4054])


@given(st.lists(numbers, min_size=9, max_size=9), st.floats(1, 30))
def test_a_repeated_cell_is_wide_enough_and_no_wider(entries, least):
    cell = np.reshape(entries, (3, 3))
    if abs(np.linalg.det(cell)) < 1:
        return
    times = np.array(repeats(cell, least))
    assert (widths(cell * times[:, None]) >= least - 1.01 * WIDTH_TOLERANCE_ANGSTROM).all()
    fewer = widths(cell) * (times - 1)
    assert ((fewer < least) | (times == 1)).all()


def test_without_the_rule_a_cell_stays_as_it_is():
    assert repeats(abw().cell.array, None) == (1, 1, 1)
    assert repeats(abw().cell.array, 10) == (2, 2, 2)


def test_a_flat_cell_is_refused():
    with pytest.raises(CalculationError, match="volume"):
        repeats(np.diag([5.0, 5.0, 0.0]), 10)


def test_copies_have_their_own_charge_and_unpaired_electrons():
    level = TbliteLevel(engine="tblite", min_cell_angstrom=9, charged_cells=True)
    atoms = Atoms("H", cell=[5, 10, 4], pbc=True)
    repeated, charge, multiplicity, copies = calculated_cell(atoms, -1, 2, level)
    assert (len(repeated), charge, multiplicity, copies) == (6, -6, 7, 6)


def test_a_charged_cell_is_refused_with_what_to_do():
    atoms = Atoms("H", cell=[5, 10, 4], pbc=True)
    with pytest.raises(CalculationError, match=r"\+1 e.*charged_cells: true") as caught:
        calculated_cell(atoms, 1, 1, TbliteLevel(engine="tblite"))
    assert caught.value.kind == "bad_input"


def test_the_label_of_one_copy():
    forces = np.arange(12.0).reshape(4, 3)
    label = label_of_given_cell(Label(10.0, forces, dispersion_energy_ev=-1.0), 2)
    assert (label.energy_ev, label.dispersion_energy_ev) == (5.0, -0.5)
    np.testing.assert_allclose(label.forces_ev_per_angstrom, (forces[:2] + forces[2:]) / 2)


def test_a_molecule_stands_in_the_middle_of_a_box_that_stays_when_it_moves_a_little():
    atoms = molecule("C6H6")
    box = in_a_box(atoms, 4.0)
    assert not box.pbc.any()
    walls = np.concatenate([box.positions, box.cell.array.diagonal() - box.positions])
    assert walls.min() >= 4.0
    moved = atoms.copy()
    moved.rattle(0.01, seed=1)
    moved.positions += 7.0
    np.testing.assert_array_equal(in_a_box(moved, 4.0).cell.array, box.cell.array)
    assert in_a_box(atoms, 4.0, times=2.0).cell.array[0, 0] >= 2 * (box.cell.array[0, 0] - 1)
