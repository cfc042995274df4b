"""The ASE calculator: finite differences, equality with batches, everyday use in ASE."""

import copy
import pickle

import ase.build
import ase.io
import numpy as np
import pytest
import torch
from ase import units
from ase.calculators.calculator import PropertyNotImplementedError
from ase.filters import FrechetCellFilter
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from ase.vibrations import Vibrations

from molsieve.potential import load_committee
from molsieve.potential.calculator import CommitteeCalculator
from molsieve.potential.graphs import AtomsBatch
from molsieve.section import CampaignError
from tests.finished_campaign import water
from tests.potential.random_members import random_committee


@pytest.fixture(scope="module")
def committee(results):
    return load_committee(results, device="cpu")


@pytest.fixture
def double_precision():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def crystal():
    """A displaced, sheared rock salt."""
    atoms = ase.build.bulk("NaCl", "rocksalt", a=5.4, cubic=True)
    strain = np.array([[0.02, 0.03, 0.0], [0.0, -0.01, 0.02], [0.01, 0.0, 0.0]])
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    atoms.rattle(0.1, seed=1)
    return atoms


def test_the_committees_prediction_under_ases_names(committee):
    atoms = water(0.1)
    atoms.calc = committee.calculator()
    found = committee.predict(atoms)
    assert atoms.get_potential_energy() == pytest.approx(found.energy[0])
    assert atoms.get_forces() == pytest.approx(found.forces)
    told = atoms.calc.results
    assert told["energy_std"] == pytest.approx(found.energy_std[0])
    assert told["energy_std_raw"] == pytest.approx(found.energy_std_raw[0])
    assert told["forces_std"] == pytest.approx(found.forces_std)
    assert told["forces_std_raw"] == pytest.approx(found.forces_std_raw)
    assert told["energy_members"].mean() == pytest.approx(told["energy"])
    assert told["forces_members"].mean(0) == pytest.approx(told["forces"], abs=1e-6)
    assert told["forces_members"].shape == (2, 3, 3)
    low, high = told["energy_interval_95"]
    assert low < told["energy"] < high
    assert told["calibrated"] == ("energy", "forces")
    assert told["in_domain"] is bool(found.in_domain[0])
    assert told["out_of_domain_reason"] == found.reasons[0]


def test_many_structures_one_by_one_are_the_batch(committee):
    structures = [water(0.1, seed) for seed in range(4)] + [ase.build.molecule("H2O2")]
    together = committee.predict(structures)
    calculator = committee.calculator()
    for s, atoms in enumerate(structures):
        atoms.calc = calculator
        assert atoms.get_potential_energy() == pytest.approx(together.energy[s], abs=1e-4)
        mine = together.structure == s
        assert atoms.get_forces() == pytest.approx(together.forces[mine], abs=1e-4)
        spread = calculator.results["forces_std"]
        assert spread == pytest.approx(together.forces_std[mine], rel=1e-3, abs=1e-4)


def test_forces_by_finite_differences(double_precision):
    atoms = crystal()
    atoms.calc = CommitteeCalculator(random_committee())
    forces, step = atoms.get_forces(), 1e-4
    for atom, axis in ((0, 0), (3, 1), (6, 2)):
        energies = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.calc = atoms.calc
            moved.positions[atom, axis] += sign * step
            energies.append(moved.get_potential_energy())
        slope = (energies[0] - energies[1]) / (2 * step)
        assert forces[atom, axis] == pytest.approx(-slope, rel=1e-5, abs=1e-6)


def test_stress_by_finite_differences_in_ases_order_and_sign(double_precision):
    atoms = crystal()
    atoms.calc = CommitteeCalculator(random_committee())
    stress, step = atoms.get_stress(), 1e-4
    assert stress.shape == (6,)
    for voigt, (i, j) in enumerate(((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))):
        energies = []
        for sign in (1, -1):
            strain = np.zeros((3, 3))
            strain[i, j] += sign * step / 2
            strain[j, i] += sign * step / 2
            moved = atoms.copy()
            moved.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
            moved.calc = atoms.calc
            energies.append(moved.get_potential_energy())
        slope = (energies[0] - energies[1]) / (2 * step) / atoms.get_volume()
        assert stress[voigt] == pytest.approx(slope, rel=1e-5, abs=1e-8)
    atoms.get_stress()
    results = atoms.calc.results
    members = results["stress_members"]
    assert members.shape == (3, 6) and members.mean(0) == pytest.approx(stress)
    assert results["stress_std_raw"] == pytest.approx(members.std(0, ddof=1))
    assert results["stress_std"] == pytest.approx(results["stress_std_raw"])


def test_a_molecule_has_no_stress(committee):
    for pbc in (False, (True, True, False)):
        atoms = water()
        atoms.set_cell([6, 6, 6])
        atoms.pbc = pbc
        atoms.calc = committee.calculator()
        with pytest.raises(PropertyNotImplementedError):
            atoms.get_stress()
        assert "stress" not in atoms.calc.results


def test_nothing_is_computed_twice_and_nothing_stale_is_returned(committee):
    calls = []

    class Counted(CommitteeCalculator):
        def calculate(self, *arguments):
            calls.append(1)
            super().calculate(*arguments)

    atoms = water(0.05)
    atoms.calc = Counted(committee)
    atoms.get_potential_energy(), atoms.get_forces(), atoms.get_potential_energy()
    assert len(calls) == 1
    atoms.positions[0, 0] += 0.1
    first = atoms.get_potential_energy()
    assert len(calls) == 2
    atoms.info["charge_e"] = -1
    with pytest.raises(CampaignError, match="charge"):
        atoms.get_potential_energy()
    atoms.info["charge_e"] = 0
    assert atoms.get_potential_energy() == pytest.approx(first)


def test_charge_and_spin_come_from_info():
    committee = random_committee(members=2, electronic_embedding=True)
    atoms = water()
    atoms.calc = CommitteeCalculator(committee)
    energies = {}
    for charge, multiplicity in ((0, 1), (1, 2), (0, 3)):
        atoms.info = {"charge_e": charge, "multiplicity": multiplicity}
        energies[charge, multiplicity] = atoms.get_potential_energy()
        alone = committee(AtomsBatch.from_atoms([atoms])).energy_mean
        assert energies[charge, multiplicity] == pytest.approx(float(alone[0]))
    assert len({round(e, 4) for e in energies.values()}) == 3


def test_optimiser_ends_where_the_level_does(committee, tmp_path):
    """GFN2-xTB's water: 0.959 Å, 107.2°; a training set of twenty leaves the angle uncertain."""
    atoms = water(0.05)
    atoms.calc = committee.calculator()
    with BFGS(atoms, logfile=None, trajectory=str(tmp_path / "w.traj")) as optimiser:
        assert optimiser.run(fmax=0.02, steps=100)
    assert atoms.get_distance(0, 1) == pytest.approx(0.959, abs=0.03)
    assert atoms.get_angle(1, 0, 2) == pytest.approx(107.2, abs=12)
    last = ase.io.read(tmp_path / "w.traj")
    assert last.get_potential_energy() == pytest.approx(atoms.get_potential_energy())


def test_dynamics_keeps_the_energy(committee):
    atoms = water(0.05)
    atoms.calc = committee.calculator()
    start = atoms.get_total_energy()
    kinetic = []
    dynamics = VelocityVerlet(atoms, timestep=0.25 * units.fs)
    dynamics.attach(lambda: kinetic.append(atoms.get_kinetic_energy()))
    dynamics.run(60)
    assert atoms.get_total_energy() == pytest.approx(start, abs=2e-3)
    assert max(kinetic) > 5e-3


def test_vibrations_of_a_minimum(committee, tmp_path):
    """Three modes, and six of no energy: translations and rotations cost nothing."""
    atoms = water()
    atoms.calc = committee.calculator()
    BFGS(atoms, logfile=None).run(fmax=1e-3, steps=100)
    vibrations = Vibrations(atoms, name=str(tmp_path / "vib"), delta=0.005)
    vibrations.run()
    wavenumbers = vibrations.get_frequencies()
    assert np.all(np.abs(wavenumbers[:6]) < 150)
    assert 600 < wavenumbers[6].real < 2000 and np.all(wavenumbers[7:].real > 3000)


def test_cell_filter_relaxes_a_cell():
    atoms = crystal()
    atoms.calc = CommitteeCalculator(random_committee())
    before, start = np.abs(atoms.get_stress()).max(), atoms.get_potential_energy()
    BFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=1e-3, steps=15)
    assert np.abs(atoms.get_stress()).max() < before
    assert atoms.get_potential_energy() < start


def test_copies_and_pickles(committee):
    atoms = water(0.05)
    atoms.calc = committee.calculator()
    energy = atoms.get_potential_energy()
    assert copy.deepcopy(atoms.calc).committee is committee
    again = pickle.loads(pickle.dumps(atoms))
    assert again.get_potential_energy() == energy
    again.positions[0] += 0.1
    assert again.get_forces().shape == (3, 3)
    assert atoms.get_potential_energy() == energy


def test_files_of_ase_take_what_they_know(committee, tmp_path):
    atoms = water(0.05)
    atoms.calc = committee.calculator()
    atoms.get_forces()
    properties = atoms.get_properties(["energy", "forces"])
    assert properties["energy"] == atoms.calc.results["energy"]
    for name in ("w.extxyz", "w.db", "w.json", "w.traj"):
        ase.io.write(tmp_path / name, atoms)
        again = ase.io.read(tmp_path / name)
        assert again.get_forces() == pytest.approx(atoms.get_forces(), abs=1e-6)
