"""The recovery ladder: every step reaches the plain number, and hard cases climb it for real."""

import pytest
from ase import Atoms

from molsieve.engines import CalculationError, compute_label, scf_ladder
from molsieve.engines.pyscf import mean_field, molecule
from tests.engines.geometries import dft, system


def water(**settings):
    level = dft(**settings)
    return mean_field(molecule(system("H2O"), 0, 1, level.basis), level)


@pytest.fixture(scope="module")
def plain():
    mf = water()
    assert scf_ladder.converge(mf) == 0
    return mf


@pytest.mark.parametrize("guess", scf_ladder.OTHER_GUESSES)
def test_other_guesses_give_the_same_energy(plain, guess):
    mf = water()
    assert scf_ladder._run(mf, scf_ladder._initial_guess(mf, guess))
    assert mf.e_tot == pytest.approx(plain.e_tot, abs=1e-8)


def test_a_shifted_start_leaves_no_shift_behind(plain):
    mf = water()
    assert scf_ladder._run(mf, scf_ladder._shifted_density(mf))
    assert mf.e_tot == pytest.approx(plain.e_tot, abs=1e-8)
    assert mf.level_shift == 0 and mf.damp == 0
    assert mf.mo_energy == pytest.approx(plain.mo_energy, abs=1e-4)


def test_second_order_gives_the_same_energy(plain):
    mf = water(max_cycles=4)
    assert not scf_ladder._run(mf, None)
    assert not mf.converged
    mf.max_cycle = 20
    assert scf_ladder._second_order(mf, scf_ladder._state(mf))
    assert mf.e_tot == pytest.approx(plain.e_tot, abs=1e-8)
    assert mf.mo_energy == pytest.approx(plain.mo_energy, abs=1e-4)


def test_the_coarse_start_is_no_part_of_the_number(plain):
    mf = water()
    assert scf_ladder._run(mf, None)
    assert mf.e_tot == pytest.approx(plain.e_tot, abs=1e-8)
    assert plain.grids.level == mf.grids.level


def test_a_bad_guess_in_few_cycles_climbs_to_the_same_energy(plain):
    """Step 0 starts from the bare core's density and runs out of cycles; a later one does not."""
    mf = water(max_cycles=5)
    guess = scf_ladder._initial_guess(mf, "1e")
    assert scf_ladder.converge(mf, guess) > 0
    assert mf.e_tot == pytest.approx(plain.e_tot, abs=1e-8)


def test_dissociating_salt_needs_the_ladder():
    """LiF at 6 Å: neutral and ionic determinants cross, DIIS jumps between them for ever."""
    salt = Atoms("LiF", [[0, 0, 0], [0, 0, 6.0]], info={"charge_e": 0, "multiplicity": 1})
    label = compute_label(salt, dft(max_cycles=30, scf_tolerance_hartree=1e-8))
    assert label.recovery_step > 0
    assert abs(label.forces_ev_per_angstrom).max() < 0.5
    near = Atoms("LiF", [[0, 0, 0], [0, 0, 1.6]], info=salt.info)
    # Ionic at this distance too: the bond costs what two ions' attraction is, and not a core hole.
    assert 2 < label.energy_ev - compute_label(near, dft()).energy_ev < 9


def test_no_step_converges_in_two_cycles():
    with pytest.raises(CalculationError, match="2 cycles") as caught:
        compute_label(system("H2O"), dft(max_cycles=2))
    assert caught.value.kind == "scf_not_converged"
