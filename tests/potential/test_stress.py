"""Crystals: stress, and the symmetries and limits of energy, forces and stress."""

from dataclasses import replace

import ase.build
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from molsieve.potential.graphs import AtomsBatch
from molsieve.potential.kernels.network import NetworkWeights
from tests.potential.random_members import random_committee


@pytest.fixture(autouse=True)
def double_precision():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(params=["kernel", "torch"])
def committee(request, monkeypatch):
    """By the C kernel of the whole network, and by torch's operations where there is none."""
    committee = random_committee(members=2)
    if request.param == "torch":
        monkeypatch.setattr(NetworkWeights, "library", lambda self: None)
    elif committee.stacked.network.library() is None:
        pytest.skip("no C compiler on this machine")
    return committee


def crystal(seed=0):
    """A displaced, sheared rock salt."""
    atoms = ase.build.bulk("NaCl", "rocksalt", a=5.4, cubic=True)
    strain = np.array([[0.02, 0.03, 0.0], [0.0, -0.01, 0.02], [0.01, 0.0, 0.0]])
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    atoms.rattle(0.1, seed=seed)
    return atoms


def strained(batch, strain):
    """Atoms and cell of the batch under ``r (1 + strain)``; strain (S, 3, 3)."""
    deformation = torch.eye(3) + strain
    positions = torch.einsum("ni,nij->nj", batch.positions, deformation[batch.structure])
    return replace(batch, positions=positions, cell=batch.cell @ deformation)


def test_stress_by_finite_differences(committee):
    batch = AtomsBatch.from_atoms([crystal(0), crystal(1)])
    stress = committee(batch).stress
    assert stress.shape == (2, 2, 3, 3)
    torch.testing.assert_close(stress, stress.mT)
    step = 1e-4
    for i, j in ((0, 0), (2, 2), (0, 1), (2, 0)):
        strain = torch.zeros(2, 3, 3)
        strain[:, i, j] += step / 2
        strain[:, j, i] += step / 2
        up, down = (committee(strained(batch, s)).energies for s in (strain, -strain))
        slope = (up - down) / (2 * step) / batch.volumes
        torch.testing.assert_close(stress[:, :, i, j], slope, rtol=1e-5, atol=1e-7)
    assert float(stress.abs().max()) > 1e-3


def test_forces_by_finite_differences(committee):
    batch = AtomsBatch.from_atoms([crystal()])
    forces = committee(batch).forces
    step = 1e-4
    for atom, axis in ((0, 2), (5, 0)):
        moved = [batch.positions.clone() for _ in range(2)]
        moved[0][atom, axis] += step
        moved[1][atom, axis] -= step
        up, down = (committee(batch.with_positions(m)).energies[:, 0] for m in moved)
        torch.testing.assert_close(
            forces[:, atom, axis], (down - up) / (2 * step), rtol=1e-5, atol=1e-7
        )


def test_energy_is_differentiable_in_the_cell(committee):
    """The gradient along a strain of cell and atoms is V times the stress."""
    batch = AtomsBatch.from_atoms([crystal(0), crystal(1)])
    strain = torch.zeros(2, 3, 3, requires_grad=True)
    output = committee(strained(batch, strain))
    (slope,) = torch.autograd.grad(output.energies[1].sum(), strain)
    expected = committee(batch).stress[1] * batch.volumes[:, None, None]
    torch.testing.assert_close(0.5 * (slope + slope.mT), expected)


def test_stress_and_forces_are_differentiable_in_the_cell(committee):
    batch = AtomsBatch.from_atoms([crystal()])

    def spread(strain, create_graph):
        output = committee(strained(batch, strain), create_graph=create_graph)
        return output.stress.var(0).sum() + 1e-3 * output.forces.var(0).sum()

    strain = torch.zeros(1, 3, 3, requires_grad=True)
    (slope,) = torch.autograd.grad(spread(strain, True), strain)
    step = 1e-4
    for i, j in ((1, 1), (0, 2)):
        moved = torch.zeros(1, 3, 3)
        moved[0, i, j] = step
        up, down = (float(spread(s, False)) for s in (moved, -moved))
        assert float(slope[0, i, j]) == pytest.approx((up - down) / (2 * step), rel=1e-4)
    assert float(slope.abs().max()) > 1e-4


def test_molecules_have_no_stress_and_spoil_none(committee):
    water, layer = ase.build.molecule("H2O"), crystal()
    layer.pbc = (True, True, False)
    assert committee(AtomsBatch.from_atoms([water, layer])).stress is None
    batch = AtomsBatch.from_atoms([water, crystal()])
    output = committee(batch)
    assert bool(output.stress[:, 0].isnan().all())
    alone = committee(AtomsBatch.from_atoms([crystal()]))
    torch.testing.assert_close(output.stress[:, 1], alone.stress[:, 0])
    torch.testing.assert_close(output.stress_mean[1], alone.stress_mean[0])
    torch.testing.assert_close(output.stress_std[1], alone.stress_std[0])
    positions = batch.positions.clone().requires_grad_(True)
    moved = committee(batch.with_positions(positions), create_graph=True)
    (slope,) = torch.autograd.grad(moved.stress[:, 1].square().sum(), positions)
    assert bool(slope.isfinite().all()) and float(slope[:3].abs().max()) == 0
    assert float(slope[3:].abs().max()) > 1e-4


def test_a_supercell_has_its_multiple_of_the_energy_and_the_same_stress(committee):
    atoms = crystal()
    single, double = (
        committee(AtomsBatch.from_atoms([a])) for a in (atoms, atoms.repeat((2, 1, 1)))
    )
    torch.testing.assert_close(double.energies, 2 * single.energies)
    torch.testing.assert_close(double.stress, single.stress)
    torch.testing.assert_close(double.forces, single.forces.repeat(1, 2, 1))


def test_moving_all_atoms_or_some_by_lattice_vectors_changes_nothing(committee):
    atoms = crystal()
    moved = atoms.copy()
    moved.positions += [0.3, -1.2, 7.0]
    moved.positions[[1, 4]] += moved.cell.array[0] - 2 * moved.cell.array[2]
    wrapped = atoms.copy()
    wrapped.wrap()
    first, *others = (committee(AtomsBatch.from_atoms([a])) for a in (atoms, moved, wrapped))
    for other in others:
        torch.testing.assert_close(other.energies, first.energies)
        torch.testing.assert_close(other.forces, first.forces)
        torch.testing.assert_close(other.stress, first.stress)


def test_a_turned_crystal_turns_forces_and_stress(committee):
    atoms = crystal()
    turn = Rotation.from_rotvec([0.3, -0.8, 1.1]).as_matrix()
    turned = atoms.copy()
    turned.positions = atoms.positions @ turn.T
    turned.cell = atoms.cell.array @ turn.T
    one, other = (committee(AtomsBatch.from_atoms([a])) for a in (atoms, turned))
    matrix = torch.from_numpy(turn)
    torch.testing.assert_close(other.energies, one.energies)
    torch.testing.assert_close(other.forces, one.forces @ matrix.T)
    torch.testing.assert_close(other.stress, matrix @ one.stress @ matrix.T)


def test_atoms_in_another_order(committee):
    atoms = crystal()
    order = np.random.default_rng(0).permutation(len(atoms))
    one, other = (committee(AtomsBatch.from_atoms([a])) for a in (atoms, atoms[order]))
    torch.testing.assert_close(other.energies, one.energies)
    torch.testing.assert_close(other.forces, one.forces[:, order])
    torch.testing.assert_close(other.stress, one.stress)


def test_atoms_out_of_reach_are_free_atoms(committee):
    """A crystal stretched beyond the cutoff: energies of lone atoms, no force, no stress."""
    atoms = crystal()
    atoms.set_cell(3 * atoms.cell.array, scale_atoms=True)
    output = committee(AtomsBatch.from_atoms([atoms]))
    lone = committee(AtomsBatch.from_atoms([ase.Atoms([z]) for z in (11, 17)]))
    torch.testing.assert_close(output.energies[:, 0], 4 * lone.energies.sum(1))
    assert float(output.forces.abs().max()) == float(output.stress.abs().max()) == 0
