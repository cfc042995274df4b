"""Excited states: PySCF's own numbers, limits that are known, failures and flags."""

import dataclasses

import numpy as np
import pytest
from ase.build import molecule
from pydantic import ValidationError

from molsieve.engines import CalculationError, compute_label, excited_exchange, pyscf
from molsieve.engines.excited import (
    absorption_wavelength_nm,
    excited_states,
    frozen_orbitals,
)
from molsieve.engines.excited_character import Character
from molsieve.engines.excited_flags import flags
from molsieve.engines.scf_ladder import converge
from molsieve.levels import level_id, parse_level, resolved_level
from tests.engines.geometries import dft, system

EV_PER_HARTREE = 27.211386245988


def excited(functional="PBE0", basis="3-21G", excitations=None, **settings):
    exact = {"kernel_grid_level": None, "frozen_core": False, "residual_tolerance": 1e-6}
    asked = {"singlets": 2, "triplets": 2, **exact, **(excitations or {})}
    settings = {"grid_level": 0, **settings}
    return dft(functional=functional, basis=basis, excitations=asked, **settings)


def ground_state(level, name="H2O"):
    atoms = system(name)
    mf = pyscf.mean_field(pyscf.molecule(atoms, 0, 1, level.basis), level)
    converge(mf)
    return mf


@pytest.fixture(scope="module")
def formaldehyde():
    return compute_label(system("H2CO"), excited()).excited_states


@pytest.mark.parametrize(
    ("functional", "settings", "dense"),
    [
        ("PBE0", {}, True),
        ("CAM-B3LYP", {"excitations": {"method": "tddft"}}, False),  # streamed, from disk
        ("LDA,VWN", {}, True),
        ("PBE0", {"excitations": {"frozen_core": True, "highest_virtual_ev": 40.0}}, True),
        ("PBE", {"excitations": {"method": "tddft"}, "density_fitting": False}, True),
        pytest.param("CAM-B3LYP", {}, False, marks=pytest.mark.slow),
        pytest.param("PBE0", {"excitations": {"method": "tddft"}}, True, marks=pytest.mark.slow),
        pytest.param("HSE06", {}, True, marks=pytest.mark.slow),
        pytest.param("TPSS", {}, True, marks=pytest.mark.slow),
        pytest.param("PBE0", {"solvent": "IEF-PCM"}, True, marks=pytest.mark.slow),
        pytest.param(
            "PBE0",
            {"solvent": "C-PCM", "excitations": {"solvent_response": False}},
            True,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_fast_products_give_the_roots_of_pyscf(functional, settings, dense, monkeypatch):
    level = excited(functional, **settings)
    if not dense:
        monkeypatch.setattr(excited_exchange, "DENSE_BYTES", 0)
        if level.excitations.method == "tddft":
            monkeypatch.setattr(excited_exchange, "KEPT_SHARE", 0.0)
    mf = ground_state(level)
    states = excited_states(mf, level)
    frozen = frozen_orbitals(mf, level.excitations)
    assert len(frozen) == (4 if level.excitations.frozen_core else 0)  # the core, 3 virtuals
    if not level.excitations.solvent_response:
        mf = mf.undo_solvent()
    for singlet in (True, False):
        td = mf.TDA() if level.excitations.method == "tda" else mf.TDDFT()
        td.frozen = frozen or None
        td.singlet, td.nstates, td.conv_tol = singlet, 2, 1e-6
        td.kernel()
        ours = states.singlet_energies_ev if singlet else states.triplet_energies_ev
        np.testing.assert_allclose(ours, td.e * EV_PER_HARTREE, atol=1e-6)
        if singlet:
            strengths = td.oscillator_strength(gauge="length")
            np.testing.assert_allclose(states.oscillator_strengths, strengths, atol=1e-6)


@pytest.mark.slow
def test_the_approximations_of_the_default_cost_millielectronvolts():
    exact = compute_label(system("H2CO"), excited(basis="def2-SVP")).excited_states
    rough = {"kernel_grid_level": 0, "frozen_core": True, "residual_tolerance": 1e-4}
    level = excited(basis="def2-SVP", excitations=rough)
    fast = compute_label(system("H2CO"), level).excited_states
    np.testing.assert_allclose(fast.singlet_energies_ev, exact.singlet_energies_ev, atol=5e-3)
    np.testing.assert_allclose(fast.triplet_energies_ev, exact.triplet_energies_ev, atol=5e-3)
    truncated = excited(basis="def2-SVP", excitations={"highest_virtual_ev": 30.0})
    states = compute_label(system("H2CO"), truncated).excited_states
    change = states.singlet_energies_ev - exact.singlet_energies_ev
    assert (change > 0).all() and (change < 0.3).all()  # variational: less freedom, higher roots


def test_formaldehyde_has_the_states_it_is_known_for():
    label = compute_label(molecule("H2CO"), excited(basis="def2-SVP"))
    states = label.excited_states
    # Theoretical best estimates 3.97 and 3.57 eV (QUEST), n to π* and dark by symmetry.
    assert states.singlet_energies_ev[0] == pytest.approx(3.97, abs=0.25)
    assert states.triplet_energies_ev[0] == pytest.approx(3.57, abs=0.5)  # TDA hybrids: too low
    assert states.oscillator_strengths[0] < 1e-6
    assert all(states.root_converged) and len(states.root_converged) == 4
    assert np.isfinite(label.forces_ev_per_angstrom).all()
    assert absorption_wavelength_nm(4.0) == pytest.approx(309.96, abs=0.01)
    energy, dipole = states.singlet_energies_ev[1], states.transition_dipoles_e_angstrom[1]
    strength = 2 / 3 * energy / EV_PER_HARTREE * (dipole @ dipole) / 0.529177**2
    assert strength == pytest.approx(states.oscillator_strengths[1], rel=1e-4)


def test_charge_over_a_distance_shows_as_charge_transfer():
    # Ammonia gives an electron to fluorine 5 Å away: the nitrogen's hole, the fluorine's electron.
    atoms = molecule("NH3") + molecule("F2")
    atoms.positions[4:] += [0.0, 0.0, 5.0]
    level = excited("PBE", excitations={"triplets": 0, "singlets": 1})
    label = compute_label(atoms, level)
    states = label.excited_states
    assert states.hole_electron_distances_angstrom[0] > 4.0
    assert states.orbital_overlaps[0] < 0.1
    assert "s1_charge_transfer" in states.excitation_flags
    assert len(states.triplet_energies_ev) == 0


def test_rydberg_states_are_wide(formaldehyde):
    level = excited(basis="6-31++G", excitations={"triplets": 0})
    water = compute_label(system("H2O"), level).excited_states
    assert water.electron_spreads_angstrom[0] > 1.0
    assert "s1_rydberg" in water.excitation_flags
    assert "s1_rydberg" not in formaldehyde.excitation_flags
    # The π* orbital's thickness, not its length.
    assert formaldehyde.electron_widths_angstrom[0] < 0.6


@pytest.mark.parametrize(
    ("functional", "settings"),
    [("PBE0", {}), ("PBE0", {"density_fitting": False}), ("PBE", {"density_fitting": False})],
)
@pytest.mark.parametrize("method", ["tda", "tddft"])
def test_stretched_hydrogen_is_an_unstable_ground_state(functional, settings, method):
    atoms = molecule("H2")
    atoms.positions[1] = atoms.positions[0] + [0.0, 0.0, 2.5]
    level = excited(functional, excitations={"method": method}, **settings)
    with pytest.raises(CalculationError) as failure:
        compute_label(atoms, level)
    assert failure.value.kind == "unstable_ground_state"


def test_roots_that_do_not_converge_are_no_numbers(monkeypatch):
    monkeypatch.setattr("molsieve.engines.excited.MAX_ITERATIONS", 1)
    with pytest.raises(CalculationError) as failure:
        compute_label(system("H2O"), excited())
    assert failure.value.kind == "roots_not_converged"


def test_open_shells_and_atoms_have_no_roots_and_keep_their_energy():
    for name, charge, multiplicity in (("H2O", 1, 2), ("O", 0, 1)):
        atoms = system(name, charge, multiplicity)
        level = excited()
        plain = dft(functional="PBE0", basis="3-21G", grid_level=0)
        label = compute_label(atoms, level)
        assert label.excited_states is None
        assert label.energy_ev == pytest.approx(compute_label(atoms, plain).energy_ev, abs=1e-6)


def test_fewer_roots_than_asked_where_there_are_no_more():
    level = excited(basis="sto-3g", excitations={"singlets": 5, "triplets": 0})
    states = compute_label(system("H2"), level).excited_states
    assert len(states.singlet_energies_ev) == 1


@pytest.mark.slow
def test_exact_integrals_are_near(formaldehyde):
    exact = compute_label(system("H2CO"), excited(density_fitting=False)).excited_states
    energies = formaldehyde.singlet_energies_ev
    np.testing.assert_allclose(energies, exact.singlet_energies_ev, atol=2e-3)
    np.testing.assert_allclose(formaldehyde.orbital_overlaps, exact.orbital_overlaps, atol=1e-2)


def test_flags_say_what_they_mean():
    character = Character(np.array([0.3, 0.8]), np.zeros(2), np.array([1.5, 0.0]), np.ones(2) + 0.2)
    found = flags(np.array([3.0, 3.05]), np.array([3.1, 3.6]), character, -2.9)
    assert found == [
        "s1_s2_near_degenerate",
        "inverted_gap",
        "s1_charge_transfer",
        "s1_rydberg",
        "s1_above_ionisation",
    ]
    local = Character(np.array([0.8, 0.8]), np.zeros(2), np.array([1.1, 0.0]), np.full(2, 0.8))
    assert flags(np.array([3.0, 4.0]), np.array([2.0, 2.5]), local, -7.0) == []
    assert flags(np.array([]), np.array([2.0, 2.05]), local, -7.0) == ["t1_t2_near_degenerate"]


def test_levels_without_excitations_keep_their_identity():
    plain = parse_level({"engine": "pyscf", "functional": "PBE", "basis": "def2-SVP"})
    assert "excitations" not in resolved_level(plain)
    assert level_id(plain) != level_id(
        plain.model_copy(update={"excitations": excited().excitations})
    )


def test_settings_that_cannot_act_do_not_make_another_level():
    first = excited()
    changed = first.excitations.model_copy(update={"solvent_response": False})
    assert level_id(first) == level_id(first.model_copy(update={"excitations": changed}))
    exact = excited(density_fitting=False)
    changed = exact.excitations.model_copy(update={"frozen_core": True, "kernel_grid_level": 5})
    assert level_id(exact) == level_id(exact.model_copy(update={"excitations": changed}))
    named = excited(excitations={"kernel_grid_level": 0})
    assert level_id(first) == level_id(named)  # null: the ground state's, which is 0 here


def test_no_root_at_all_is_a_mistake():
    with pytest.raises(ValidationError, match="at least one root"):
        excited(excitations={"singlets": 0, "triplets": 0})


def test_states_are_columns_of_the_labels_table():
    from molsieve.labelling.worker import label_columns
    from molsieve.tables import SCHEMAS

    label = compute_label(system("H2CO"), excited(basis="sto-3g"))
    columns = label_columns(label)
    assert set(columns) <= set(SCHEMAS["labels"].names)
    assert len(columns["transition_dipoles_e_angstrom"]) == 6
    assert columns["excitation_flags"] == list(label.excited_states.excitation_flags)
    broken = dataclasses.replace(label.excited_states, singlet_energies_ev=np.array([np.nan]))
    with pytest.raises(CalculationError):
        label_columns(dataclasses.replace(label, excited_states=broken))


def test_an_optimised_geometry_has_the_states_of_its_minimum():
    level = excited("PBE", grid_level=2, geometry="optimised", fmax_ev_per_angstrom=0.1)
    label = compute_label(system("H2"), level)
    atoms = system("H2")
    assert np.abs(atoms.positions - label.final_positions_angstrom).max() > 0.01
    atoms.positions[:] = label.final_positions_angstrom
    there = compute_label(atoms, excited("PBE", grid_level=2)).excited_states
    energies = label.excited_states.singlet_energies_ev
    np.testing.assert_allclose(energies, there.singlet_energies_ev, atol=1e-5)
    before = compute_label(system("H2"), excited("PBE", grid_level=2)).excited_states
    assert abs(energies[0] - before.singlet_energies_ev[0]) > 0.01


@pytest.mark.parametrize("density_fitting", [True, False])
@pytest.mark.parametrize(("name", "number"), [("N2", 2), ("C2H4", 3)])
def test_no_low_root_of_another_symmetry_is_missed(name, number, density_fitting):
    # Davidson's method never leaves the symmetries of its start vectors.
    asked = {"singlets": number, "triplets": 0, "residual_tolerance": 1e-4}
    level = excited(excitations=asked, density_fitting=density_fitting)
    mf = pyscf.mean_field(pyscf.molecule(molecule(name), 0, 1, level.basis), level)
    converge(mf)
    found = excited_states(mf, level).singlet_energies_ev
    a = mf.TDA().get_ab()[0]
    size = a.shape[0] * a.shape[1]
    every = np.linalg.eigvalsh(a.reshape(size, size)) * EV_PER_HARTREE
    np.testing.assert_allclose(found, every[:number], atol=1e-3)


def test_a_degenerate_pair_does_not_depend_on_the_axes():
    level = excited(basis="sto-3g", excitations={"singlets": 6, "triplets": 0})
    turned = molecule("NH3")
    turned.rotate(50.0, (1.0, 2.0, 3.0))
    first, second = (compute_label(m, level).excited_states for m in (molecule("NH3"), turned))
    energies = first.singlet_energies_ev
    np.testing.assert_allclose(energies, second.singlet_energies_ev, atol=0.02)  # the grid turns
    pair = int(np.argmin(np.diff(energies)))
    assert energies[pair + 1] - energies[pair] < 0.02
    strengths = [s.oscillator_strengths[pair : pair + 2].sum() for s in (first, second)]
    assert strengths[0] == pytest.approx(strengths[1], abs=2e-3) and strengths[0] > 0.01
