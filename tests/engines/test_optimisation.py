"""Relaxed geometries, the ASE calculator, and what importing the package costs."""

import subprocess
import sys

import numpy as np
import pytest

from molsieve.engines import CalculationError, compute_label, engine_version
from molsieve.engines.ase_calculator import LevelCalculator
from tests.engines.geometries import GFN2, dft, system


@pytest.mark.parametrize("level", [GFN2, dft()], ids=["tblite", "pyscf"])
def test_an_optimised_label_is_that_of_its_final_geometry(level):
    start = system("H2O", rattle=0.1)
    before = start.positions.copy()
    label = compute_label(start, level.model_copy(update={"geometry": "optimised"}))
    assert np.abs(label.forces_ev_per_angstrom).max() <= level.fmax_ev_per_angstrom
    np.testing.assert_array_equal(start.positions, before)
    again = start.copy()
    again.positions = label.final_positions_angstrom
    again.info = start.info
    assert compute_label(again, level).energy_ev == pytest.approx(label.energy_ev, abs=1e-5)
    assert label.energy_ev < compute_label(start, level).energy_ev
    bond = np.linalg.norm(label.final_positions_angstrom[1] - label.final_positions_angstrom[0])
    assert bond == pytest.approx(0.965, abs=0.015)


def test_too_few_steps_are_typed():
    level = GFN2.model_copy(update={"geometry": "optimised", "max_optimiser_steps": 1})
    with pytest.raises(CalculationError, match="after 1 steps") as caught:
        compute_label(system("CH3OH", rattle=0.1), level)
    assert caught.value.kind == "geometry_not_converged"


def test_a_single_point_has_no_final_positions():
    assert compute_label(system("H2O"), GFN2).final_positions_angstrom is None


def test_the_calculator_agrees_with_the_label():
    atoms = system("CH3OH")
    label = compute_label(atoms, GFN2)
    atoms.calc = LevelCalculator(GFN2)
    assert atoms.get_potential_energy() == pytest.approx(label.energy_ev, abs=1e-6)
    np.testing.assert_allclose(atoms.get_forces(), label.forces_ev_per_angstrom, atol=1e-5)
    np.testing.assert_allclose(atoms.get_dipole_moment(), label.dipole_e_angstrom, atol=1e-5)


def test_versions():
    assert engine_version(GFN2)[0].isdigit()
    assert engine_version(dft())[0].isdigit()


def test_an_error_survives_a_process_boundary():
    import pickle

    error = pickle.loads(pickle.dumps(CalculationError("timeout", "too slow")))
    assert (error.kind, error.message) == ("timeout", "too slow")


def test_importing_the_package_imports_no_engine():
    code = "import molsieve.engines, sys; print('pyscf' in sys.modules, 'tblite' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "False"]
