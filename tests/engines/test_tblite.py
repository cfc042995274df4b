"""Extended tight binding: slopes, symmetries, states, cells, failures."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from molsieve.engines import CalculationError, check_level, compute_label, open_engine
from molsieve.levels import TbliteLevel
from molsieve.section import CampaignError
from tests.engines.geometries import GFN2, slope, system

GFN1 = TbliteLevel(engine="tblite", method="GFN1-xTB", accuracy=0.01)


@pytest.mark.parametrize("level", [GFN1, GFN2], ids=["GFN1", "GFN2"])
@pytest.mark.parametrize(
    ("name", "charge", "multiplicity"),
    [("CH3OH", 0, 1), ("CH3", 0, 2), ("NH3", 1, 2), ("HCOOH", -1, 2)],
)
def test_forces_are_minus_the_slope_of_the_energy(level, name, charge, multiplicity):
    numerical, analytical = slope(system(name, charge, multiplicity), level)
    assert abs(analytical) > 0.05
    assert analytical == pytest.approx(numerical, abs=1e-4, rel=3e-5)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_rotation_and_permutation(seed):
    rng = np.random.default_rng(seed)
    atoms = system("CH3CHO")
    rotation = Rotation.random(random_state=rng).as_matrix()
    order = rng.permutation(len(atoms))
    turned = atoms[order]
    turned.info = atoms.info
    turned.positions = turned.positions @ rotation.T + rng.normal(size=3)
    before, after = compute_label(atoms, GFN2), compute_label(turned, GFN2)
    assert after.energy_ev == pytest.approx(before.energy_ev, abs=1e-6)
    np.testing.assert_allclose(
        after.forces_ev_per_angstrom,
        before.forces_ev_per_angstrom[order] @ rotation.T,
        atol=1e-4,
    )
    np.testing.assert_allclose(
        after.dipole_e_angstrom, rotation @ before.dipole_e_angstrom, atol=1e-4
    )


def test_size_consistency():
    water, methane = system("H2O"), system("CH4")
    far = methane.copy()
    far.positions += [60.0, 0.0, 0.0]
    together = compute_label(water + far, GFN2).energy_ev
    alone = compute_label(water, GFN2).energy_ev + compute_label(methane, GFN2).energy_ev
    assert together == pytest.approx(alone, abs=2e-4)


def test_free_atoms_are_above_the_molecule_and_feel_no_force():
    energies = {}
    for symbol, multiplicity in (("H", 2), ("C", 3), ("O", 3)):
        label = compute_label(Atoms(symbol, info={"multiplicity": multiplicity}), GFN2)
        assert np.abs(label.forces_ev_per_angstrom).max() < 1e-8
        energies[symbol] = label.energy_ev
    bound = compute_label(molecule("H2CO"), GFN2).energy_ev
    atomisation = 2 * energies["H"] + energies["C"] + energies["O"] - bound
    # Measured: 16.3 eV. GFN2 has no spin polarisation: its open-shell atoms lie several eV high.
    assert 16 < atomisation < 26


def test_charge_changes_the_energy_the_way_ionisation_does():
    neutral = compute_label(system("C6H6"), GFN2)
    cation = compute_label(system("C6H6", 1, 2), GFN2)
    assert 5 < cation.energy_ev - neutral.energy_ev < 16
    assert neutral.homo_ev < neutral.lumo_ev


def test_frontier_orbitals_of_an_atom_that_has_one_orbital():
    label = compute_label(Atoms("H", info={"multiplicity": 2}), GFN2)
    assert label.homo_ev == pytest.approx(-10.7, abs=0.2)
    assert label.lumo_ev is None


def test_stress_is_the_strain_derivative():
    crystal = bulk("Si")
    crystal.rattle(0.05, seed=1)
    strain, energies = 1e-3, []
    for sign in (1, -1):
        deformed = crystal.copy()
        deformed.set_cell(crystal.cell @ np.diag([1 + sign * strain, 1, 1]), scale_atoms=True)
        energies.append(compute_label(deformed, GFN2).energy_ev)
    label = compute_label(crystal, GFN2)
    numerical = (energies[0] - energies[1]) / (2 * strain * crystal.cell.volume)
    assert label.stress_ev_per_angstrom3[0, 0] == pytest.approx(numerical, abs=1e-5)
    assert label.dipole_e_angstrom is None


def test_the_last_wavefunction_changes_nothing_but_time():
    engine = open_engine(GFN2)
    engine.compute(system("CH3OH", rattle=0.1))
    warm = engine.compute(system("CH3OH"))
    cold = compute_label(system("CH3OH"), GFN2)
    assert warm.energy_ev == pytest.approx(cold.energy_ev, abs=1e-6)


@pytest.mark.parametrize(
    ("atoms", "kind", "words"),
    [
        (Atoms(), "bad_input", "no atoms"),
        (Atoms("U"), "bad_input", "No support"),
        (Atoms("O2"), "bad_input", "close"),
        (Atoms("H2", [[0, 0, 0], [0, 0, np.nan]]), "bad_input", "finite"),
        (Atoms("H", info={"multiplicity": 1}), "bad_input", "impossible"),
        (Atoms("H", info={"charge_e": 1}), "bad_input", "impossible"),
        (Atoms("He", cell=[5, 5, 5], pbc=[True, True, False]), "bad_input", "three directions"),
        (Atoms("He", pbc=True), "bad_input", "volume"),
    ],
)
def test_impossible_structures_are_typed(atoms, kind, words):
    with pytest.raises(CalculationError, match=words) as caught:
        compute_label(atoms, GFN2)
    assert caught.value.kind == kind


def test_too_few_iterations_are_typed():
    with pytest.raises(CalculationError) as caught:
        compute_label(system("H2O"), GFN2.model_copy(update={"max_iterations": 2}))
    assert caught.value.kind == "scf_not_converged"


def test_the_ladder_reaches_the_same_number():
    hard = GFN2.model_copy(update={"max_iterations": 1000})
    atoms = system("CH3CHO")
    plain = compute_label(atoms, hard)
    from molsieve.engines import tblite

    calculator = tblite._calculator(atoms, 0, 1, False, hard)
    calculator.set("mixer-damping", tblite.CAREFUL_MIXING)
    calculator.set("guess", tblite.EEQ_GUESS)
    careful = tblite._label(atoms, tblite._single_point(calculator, None), 1, False, 1)
    assert careful.energy_ev == pytest.approx(plain.energy_ev, abs=1e-6)


def test_elements_without_parameters_are_refused():
    check_level(GFN2, {"H", "C", "Rn"})
    with pytest.raises(CampaignError, match=r"'U'.*GFN2-xTB"):
        check_level(GFN2, {"H", "U"})
