import json

import ase.build
import pytest
import torch

from molsieve.potential.calculator import CommitteeCalculator
from molsieve.potential.committee import Committee
from molsieve.potential.graphs import AtomsBatch
from molsieve.potential.storage import load_member
from molsieve.section import CampaignError
from tests.potential.conftest import LEVEL


@pytest.fixture(scope="module")
def committee(member_folders):
    return Committee.load(member_folders)


@pytest.fixture
def batch(tables_of_couples):
    return AtomsBatch.from_structures(tables_of_couples[1].iloc[:5])


def test_what_a_committee_says_of_itself(committee):
    assert len(committee) == 2
    assert committee.level_id == LEVEL
    assert committee.cutoff_angstrom == 3.5
    assert committee.elements == [1, 6, 8]


def test_shapes_and_members_disagree(committee, batch):
    output = committee(batch)
    atoms = len(batch.numbers)
    assert output.energies.shape == (2, 5) and output.energies.dtype == torch.float64
    assert output.forces.shape == (2, atoms, 3)
    assert output.features.shape == (5, 2 * 16)
    assert float(output.energy_std.min()) > 0 and float(output.forces_std.max()) > 0
    torch.testing.assert_close(output.energy_mean, output.energies.sum(0) / 2)


def test_without_forces_the_same_energies(committee, batch):
    output = committee(batch, forces=False)
    assert output.forces is None
    torch.testing.assert_close(output.energies, committee(batch).energies)


def test_a_batch_is_its_structures_one_by_one(committee, batch, tables_of_couples):
    together = committee(batch)
    start = 0
    for index in range(5):
        alone_batch = AtomsBatch.from_structures(tables_of_couples[1].iloc[[index]])
        alone = committee(alone_batch)
        end = start + len(alone_batch.numbers)
        torch.testing.assert_close(alone.energies[:, 0], together.energies[:, index])
        torch.testing.assert_close(
            alone.forces, together.forces[:, start:end], rtol=1e-4, atol=1e-4
        )
        torch.testing.assert_close(alone.features[0], together.features[index])
        start = end


@pytest.fixture
def bent(tables_of_couples):
    """Displaced molecules: at a planar one the norm of PaiNN's vectors has a kink."""
    structures = tables_of_couples[1]
    return AtomsBatch.from_structures(structures[structures["origin"] == "displaced"].iloc[:5])


def test_forces_by_finite_differences(committee, bent):
    batch, forces = bent, committee(bent).forces
    for atom, axis in ((0, 2), (7, 0)):
        step, energies = 2e-3, []
        for sign in (1, -1):
            positions = batch.positions.clone()
            positions[atom, axis] += sign * step
            energies.append(committee(batch.with_positions(positions), forces=False).energies)
        slope = (energies[0] - energies[1]).sum(1) / (2 * step)
        torch.testing.assert_close(forces[:, atom, axis], -slope, rtol=2e-2, atol=5e-3)


def test_differentiable_in_positions(committee, bent):
    batch = bent
    positions = batch.positions.clone().requires_grad_(True)
    output = committee(batch.with_positions(positions), create_graph=True)
    torch.testing.assert_close(
        output.forces.detach(), committee(batch).forces, rtol=1e-4, atol=1e-4
    )
    (gradient,) = torch.autograd.grad(output.energies[0].sum(), positions, retain_graph=True)
    torch.testing.assert_close(gradient, -output.forces[0].detach())
    variance = output.forces.var(0).sum()
    (slope,) = torch.autograd.grad(variance, positions)
    step = 1e-3
    moved = [batch.positions.clone() for _ in range(2)]
    moved[0][1, 1] += step
    moved[1][1, 1] -= step
    up, down = (float(committee(batch.with_positions(m)).forces.var(0).sum()) for m in moved)
    assert float(slope[1, 1]) == pytest.approx((up - down) / (2 * step), rel=5e-2, abs=1e-2)


def test_saved_weights_are_loaded(member_folders, committee, batch):
    model, description = load_member(member_folders[0])
    assert description["member"] == 0
    alone = Committee([model], [description])
    torch.testing.assert_close(alone(batch).energies[0], committee(batch).energies[0])
    assert not any(p.requires_grad for p in model.parameters())


def test_member_files_are_a_state_dict_and_json(member_folders):
    state = torch.load(member_folders[0] / "model.pt", weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    description = json.loads((member_folders[0] / "model.json").read_text())
    assert set(description["versions"]) == {"molsieve", "torch", "schnetpack"}
    assert description["level_id"] == LEVEL


def test_members_of_two_levels_are_no_committee(member_folders):
    (one, first), (two, second) = (load_member(folder) for folder in member_folders)
    with pytest.raises(ValueError, match="level_id"):
        Committee([one, two], [first, second | {"level_id": "another"}])


def test_strange_elements_are_flagged_not_refused(committee):
    structures = [ase.build.molecule(name) for name in ("H2O", "CH3Cl", "CH3OH")]
    batch = AtomsBatch.from_atoms(structures)
    assert committee.knows(batch).tolist() == [True, False, True]
    assert bool(torch.isfinite(committee(batch).energies).all())


def test_strange_charges_are_refused(committee):
    ion = ase.build.molecule("CH3OH")
    ion.info["charge_e"] = -1
    with pytest.raises(CampaignError, match="electronic_embedding"):
        committee(AtomsBatch.from_atoms([ion]))


def test_denormals_are_left_as_they_were(committee, batch):
    torch.set_flush_denormal(False)
    tiny = torch.tensor(1e-40)
    committee(batch)
    assert float(tiny + tiny) > 0
    torch.set_flush_denormal(True)
    try:
        committee(batch)
        assert float(tiny + tiny) == 0
    finally:
        torch.set_flush_denormal(False)


def test_calculator_is_the_committees_mean(member_folders, committee):
    atoms = ase.build.molecule("CH3OH")
    atoms.calc = CommitteeCalculator(member_folders)
    output = committee(AtomsBatch.from_atoms([atoms]))
    assert atoms.get_potential_energy() == pytest.approx(float(output.energy_mean[0]))
    assert atoms.get_forces() == pytest.approx(output.forces_mean.numpy(), abs=1e-6)
    assert atoms.calc.results["energy_std"] == pytest.approx(float(output.energy_std[0]))
    assert atoms.calc.results["forces_std"].shape == (6, 3)
    assert atoms.calc.results["in_domain"] is True
    before = atoms.get_potential_energy()
    atoms.positions[0, 0] += 0.3
    moved = atoms.get_potential_energy()
    assert abs(moved - before) > 1e-3
    output = committee(AtomsBatch.from_atoms([atoms]))
    assert moved == pytest.approx(float(output.energy_mean[0]))
