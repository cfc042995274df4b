"""The committee inside torch-sim: its own checks, its own optimiser and integrators."""

import sys

import ase.build
import numpy as np
import pytest
import torch

from molsieve.potential import load_committee
from tests.finished_campaign import water
from tests.potential.random_members import random_committee

ts = pytest.importorskip("torch_sim", reason="torch-sim is optional")

from torch_sim.models.interface import validate_model_outputs  # noqa: E402

from molsieve.potential.torch_sim_model import CommitteeModel  # noqa: E402


@pytest.fixture(scope="module")
def committee(results):
    return load_committee(results, device="cpu")


def test_torch_sims_own_validation():
    model = CommitteeModel(random_committee(), compute_stress=True)
    validate_model_outputs(model, model.device, model.dtype)


def test_energies_forces_and_spreads_are_the_committees(committee):
    structures = [water(0.1, 1), ase.build.molecule("H2O2"), water()]
    model = committee.torch_sim_model()
    state = ts.initialize_state(structures, model.device, model.dtype)
    found, told = model(state), committee.predict(structures)
    for name in ("energy", "energy_std", "energy_std_raw", "forces", "forces_std"):
        assert found[name].numpy() == pytest.approx(getattr(told, name), abs=1e-6)
        assert found[name].dtype == torch.float64
    assert "stress" not in found
    assert not np.allclose(found["energy_std"], found["energy_std_raw"], rtol=0.05)


def test_stress_of_crystals_and_cells_in_columns():
    committee = random_committee()
    crystals = [
        ase.build.bulk("NaCl", "rocksalt", a=5.4),
        ase.build.bulk("MgO", "rocksalt", a=4.3),
    ]
    for seed, atoms in enumerate(crystals):
        atoms.set_cell(atoms.cell.array @ [[1, 0.04, 0], [0, 1.02, 0], [0, 0, 1]])
        atoms.rattle(0.05, seed=seed)
    model = CommitteeModel(committee, compute_stress=True)
    found = model(ts.initialize_state(crystals, model.device, model.dtype))
    for s, atoms in enumerate(crystals):
        atoms.calc = _calculator(committee)
        expected = atoms.get_stress(voigt=False)
        assert found["stress"][s].numpy() == pytest.approx(expected, rel=1e-4, abs=1e-6)
        assert found["energy"][s].item() == pytest.approx(atoms.get_potential_energy(), abs=1e-4)
    assert found["stress_std"].shape == (2, 3, 3) and bool((found["stress_std"] > 0).any())


def _calculator(committee):
    from molsieve.potential.calculator import CommitteeCalculator

    return CommitteeCalculator(committee)


def test_molecules_have_no_stress(committee):
    model = committee.torch_sim_model(compute_stress=True)
    found = model(ts.initialize_state([water(), water(0.1)], model.device, model.dtype))
    assert bool(found["stress"].isnan().all()) and found["stress"].shape == (2, 3, 3)


def test_relaxing_two_molecules_with_torch_sims_optimiser(committee):
    structures = [water(0.08, 3), water(0.08, 4)]
    final = ts.optimize(
        system=structures,
        model=committee.torch_sim_model(),
        optimizer=ts.optimizers.fire,
        convergence_fn=ts.generate_force_convergence_fn(0.02, include_cell_forces=False),
        max_steps=300,
    )
    assert float(final.forces.norm(dim=1).max()) < 0.02
    first, second = final.to_atoms()
    assert first.get_distance(0, 1) == pytest.approx(second.get_distance(0, 2), abs=0.01)
    assert float(final.energy[0] - final.energy[1]) == pytest.approx(0, abs=2e-3)


def test_dynamics_of_two_molecules_keeps_their_energies(committee):
    model = committee.torch_sim_model()
    state = ts.initialize_state([water(0.05, 1), water(0.05, 2)], model.device, model.dtype)
    start, step = ts.nve(model, dt=torch.tensor(0.00025), kT=torch.tensor(0.02), seed=1)
    now = start(state)
    total = _total(now)
    for _ in range(60):
        now = step(now)
    assert _total(now) == pytest.approx(total, abs=2e-3)
    assert not torch.allclose(now.positions, state.positions, atol=1e-3)


def _total(state):
    kinetic = state.momenta.square().sum(1) / (2 * state.masses)
    return torch.zeros(2, dtype=kinetic.dtype).index_add(0, state.system_idx, kinetic) + (
        state.energy
    )


def test_charges_are_given_to_the_model():
    committee = random_committee(members=2, electronic_embedding=True)
    structures = [water(), water()]
    model = CommitteeModel(committee, charge_e=[0, 1], multiplicity=[1, 2])
    state = ts.initialize_state(structures, model.device, model.dtype)
    energy = model(state)["energy"]
    assert float(energy[0]) != pytest.approx(float(energy[1]), abs=1e-3)
    both = CommitteeModel(committee, charge_e=1, multiplicity=2)(state)["energy"]
    assert both.numpy() == pytest.approx([float(energy[1])] * 2, abs=1e-4)
    with pytest.raises(ValueError, match="charge_e of 2 systems was given, the state has 1"):
        model(state[0])


def test_without_torch_sim_one_message_says_what_to_install(monkeypatch, committee):
    monkeypatch.setitem(sys.modules, "torch_sim.models.interface", None)
    monkeypatch.delitem(sys.modules, "molsieve.potential.torch_sim_model")
    with pytest.raises(ImportError, match="pip install torch-sim-atomistic"):
        committee.torch_sim_model()
