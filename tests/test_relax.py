"""Relaxation: converges, wastes no calls, does not mix structures, flags what explodes."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ase.build import molecule
from ase.optimize import BFGS
from hypothesis import given, settings
from hypothesis import strategies as st

from molsieve.chem import model_hessian as hessians
from molsieve.chem.model_hessian import (
    RIDGE_EV_PER_ANGSTROM2,
    inverse_model_hessian,
    model_hessian,
)
from molsieve.potential.graphs import AtomsBatch
from molsieve.relax import MAX_STEP_ANGSTROM, relax_batch
from molsieve.units import ANGSTROM_PER_BOHR, EV_PER_HARTREE
from tests.morse_committee import MorseCommittee, cluster

FMAX = 0.01


def some_clusters():
    return [cluster(s, seed) for seed, s in enumerate(["COH", "C2H2O", "H3C", "CO", "C3O2H2"])]


def largest_force(committee, batch, s):
    forces = committee(batch).forces.mean(0)[batch.structure == s]
    return torch.linalg.vector_norm(forces, dim=1).max().item()


def test_all_structures_reach_a_minimum_of_the_mean():
    committee, batch = MorseCommittee(), AtomsBatch.from_atoms(some_clusters())
    start = committee(batch).energies
    result = relax_batch(committee, batch, FMAX, 100)
    assert result.converged.all() and not result.failed.any()
    relaxed = batch.with_positions(result.positions)
    for s in range(batch.n_structures):
        force = largest_force(committee, relaxed, s)
        assert force <= FMAX
        assert force == pytest.approx(result.forces_max[s].item(), abs=1e-9)
    assert torch.allclose(committee(relaxed).energies, result.energies, atol=1e-9)
    assert torch.allclose(result.energies_start, start)
    assert (result.energies.mean(0) < start.mean(0)).all()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), company=st.permutations(range(5)), alone=st.integers(0, 4))
def test_company_does_not_change_a_result(seed, company, alone):
    committee = MorseCommittee()
    atoms = [cluster(s, seed + k) for k, s in enumerate(["COH", "C2H2O", "H3C", "CO", "C3O2H2"])]
    single = relax_batch(committee, AtomsBatch.from_atoms([atoms[alone]]), FMAX, 40)
    batch = AtomsBatch.from_atoms([atoms[k] for k in company])
    together = relax_batch(committee, batch, FMAX, 40)
    place = list(company).index(alone)
    found = together.positions[batch.structure == place]
    assert torch.allclose(found, single.positions, atol=1e-6)
    assert torch.allclose(together.energies[:, place], single.energies[:, 0], atol=1e-8)
    assert together.steps[place] == single.steps[0]


def test_converged_structures_leave_the_batch():
    committee = MorseCommittee()
    batch = AtomsBatch.from_atoms(some_clusters())
    committee.structures = 0
    result = relax_batch(committee, batch, FMAX, 100)
    assert len(set(result.steps.tolist())) > 1
    assert committee.structures == batch.n_structures + int(result.steps.sum())
    assert result.calls == 1 + int(result.steps.max())


@pytest.mark.parametrize("seats", [1, 2, 4])
def test_seats_are_refilled_and_change_no_result(seats):
    committee, batch = MorseCommittee(), AtomsBatch.from_atoms(some_clusters())
    together = relax_batch(committee, batch, FMAX, 100)
    committee.structures, largest = 0, 0

    def watched(seated):
        nonlocal largest
        largest = max(largest, seated.n_structures)
        return committee(seated)

    queued = relax_batch(watched, batch, FMAX, 100, at_once=seats)
    assert largest == seats
    assert torch.equal(queued.steps, together.steps)
    assert torch.allclose(queued.positions, together.positions, atol=1e-8)
    assert torch.allclose(queued.energies_start, together.energies_start)
    spent = batch.n_structures + int(together.steps.sum())
    assert committee.structures == spent
    # No seat is empty while someone waits: only the last ones to finish leave seats unused.
    assert queued.calls <= (spent + (seats - 1) * int(together.steps.max())) // seats + 1


def test_no_more_are_seated_than_their_inverse_hessians_have_room(monkeypatch):
    committee, batch = MorseCommittee(), AtomsBatch.from_atoms(some_clusters())
    together = relax_batch(committee, batch, FMAX, 100)
    seen = []

    def watched(seated):
        seen.append((seated.n_structures, int(seated.sizes.max())))
        return committee(seated)

    largest = int(batch.sizes.max())
    monkeypatch.setattr("molsieve.relax.SEATED_NUMBERS", 9 * largest**2)
    queued = relax_batch(watched, batch, FMAX, 100)
    assert all(count * width**2 <= largest**2 for count, width in seen)
    assert max(count for count, _ in seen) == 3  # the smallest three have room together
    assert torch.equal(queued.steps, together.steps)
    assert torch.allclose(queued.positions, together.positions, atol=1e-8)


def test_steps_are_counted_for_each_structure():
    batch = AtomsBatch.from_atoms(some_clusters())
    result = relax_batch(MorseCommittee(), batch, 1e-9, 3, at_once=2)
    assert result.steps.tolist() == [3] * batch.n_structures
    assert not result.converged.any() and not result.failed.any()


def test_a_broken_surface_fails_in_silence(capfd):
    generator = torch.Generator().manual_seed(0)

    def noise(batch):
        n, s = len(batch.positions), batch.n_structures
        forces = 1e3 * torch.randn((2, n, 3), generator=generator, dtype=torch.float64)
        forces[torch.rand(forces.shape, generator=generator) < 0.02] = torch.nan
        return SimpleNamespace(energies=torch.zeros((2, s), dtype=torch.float64), forces=forces)

    atoms = [cluster("C3O2H2", seed) for seed in range(20)]
    atoms[3].positions[1] = torch.nan
    atoms[4].positions[:] = 0.0
    result = relax_batch(noise, AtomsBatch.from_atoms(atoms), FMAX, 30)
    assert not result.converged.any() and result.failed[3]
    assert capfd.readouterr().err == "" and not result.energies.isnan().any()


def test_a_minimum_costs_one_call():
    committee, batch = MorseCommittee(), AtomsBatch.from_atoms(some_clusters())
    minimum = relax_batch(committee, batch, FMAX, 100).positions
    again = relax_batch(committee, batch.with_positions(minimum), FMAX, 100)
    assert again.calls == 1 and again.steps.sum() == 0
    assert torch.equal(again.positions, minimum)


def test_no_steps_evaluates_the_given_geometry():
    committee, batch = MorseCommittee(), AtomsBatch.from_atoms(some_clusters())
    result = relax_batch(committee, batch, FMAX, 0)
    assert torch.equal(result.positions, batch.positions)
    assert torch.equal(result.energies, committee(batch).energies)
    assert not result.converged.any() and not result.failed.any()


def test_equal_runs_give_equal_numbers():
    batch = AtomsBatch.from_atoms(some_clusters())
    first = relax_batch(MorseCommittee(), batch, FMAX, 60)
    second = relax_batch(MorseCommittee(), batch, FMAX, 60)
    assert torch.equal(first.positions, second.positions)
    assert torch.equal(first.energies, second.energies)


def test_no_atom_steps_further_than_allowed():
    committee, seen = MorseCommittee(), []

    def watched(batch):
        seen.append(batch.positions.clone())
        return committee(batch)

    relax_batch(watched, AtomsBatch.from_atoms([cluster("C3O2H2", 3)]), FMAX, 30)
    lengths = [(b - a).norm(dim=1).max().item() for a, b in itertools.pairwise(seen)]
    assert lengths and max(lengths) <= 2 * MAX_STEP_ANGSTROM + 1e-9


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_an_exploding_structure_is_flagged_and_harms_nobody(bad):
    committee = MorseCommittee()
    atoms = some_clusters()
    alone = relax_batch(committee, AtomsBatch.from_atoms([atoms[0], atoms[2]]), FMAX, 60)

    def sick(batch):
        output = committee(batch)
        ill = torch.bincount(batch.structure) == len(atoms[1])
        energies = torch.where(ill, bad, output.energies)
        return SimpleNamespace(energies=energies, forces=output.forces)

    batch = AtomsBatch.from_atoms(atoms[:3])
    result = relax_batch(sick, batch, FMAX, 60)
    assert result.failed.tolist() == [False, True, False]
    assert result.converged.tolist() == [True, False, True]
    healthy = batch.structure != 1
    assert torch.allclose(result.positions[healthy], alone.positions, atol=1e-6)


def test_atoms_that_fly_apart_are_flagged():
    def repelling(batch):
        positions = batch.positions.detach().requires_grad_(True)
        energy = -10.0 * (positions**2).sum()
        (gradient,) = torch.autograd.grad(energy, positions)
        return SimpleNamespace(energies=energy.detach().reshape(1, 1), forces=-gradient[None])

    result = relax_batch(repelling, AtomsBatch.from_atoms([cluster("CO", 1)]), FMAX, 200)
    assert result.failed.all() and torch.isfinite(result.positions).all()


def test_same_minimum_as_ase():
    committee = MorseCommittee(members=2)
    atoms = cluster("C2H2O", 5)
    mine = relax_batch(committee, AtomsBatch.from_atoms([atoms]), 1e-4, 300)
    from ase.calculators.calculator import Calculator, all_changes

    class Mean(Calculator):
        implemented_properties = ("energy", "forces")

        def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
            super().calculate(atoms, properties, system_changes)
            output = committee(AtomsBatch.from_atoms([atoms]))
            self.results["energy"] = output.energies.mean().item()
            self.results["forces"] = output.forces.mean(0).numpy()

    theirs = atoms.copy()
    theirs.calc = Mean()
    BFGS(theirs, logfile=None).run(fmax=1e-4, steps=500)
    assert mine.energies.mean().item() == pytest.approx(theirs.get_potential_energy(), abs=1e-5)


def padded(atoms_list):
    width = max(map(len, atoms_list))
    numbers = torch.zeros((len(atoms_list), width), dtype=torch.long)
    positions = torch.zeros((len(atoms_list), width, 3), dtype=torch.float64)
    for s, atoms in enumerate(atoms_list):
        numbers[s, : len(atoms)] = torch.tensor(atoms.numbers)
        positions[s, : len(atoms)] = torch.tensor(atoms.positions)
    cell = torch.zeros((len(atoms_list), 3, 3), dtype=torch.float64)
    pbc = torch.zeros((len(atoms_list), 3), dtype=torch.bool)
    return numbers, positions, cell, pbc


def test_model_hessian_is_symmetric_positive_and_blind_to_translation():
    benzene, water = molecule("C6H6"), molecule("H2O")
    hessian = model_hessian(*padded([benzene, water]))
    assert torch.allclose(hessian, hessian.transpose(1, 2))
    assert torch.linalg.eigvalsh(hessian).min() >= RIDGE_EV_PER_ANGSTROM2 - 1e-6
    shift = torch.tile(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64), (12,))
    assert torch.allclose(hessian[0] @ shift, RIDGE_EV_PER_ANGSTROM2 * shift, atol=1e-8)
    alone = model_hessian(*padded([water]))[0]
    assert torch.allclose(hessian[1, :9, :9], alone)
    padding = RIDGE_EV_PER_ANGSTROM2 * torch.eye(27, dtype=torch.float64)
    assert torch.allclose(hessian[1, 9:, 9:], padding)


def test_model_hessian_knows_stiff_from_soft():
    ethane = molecule("C2H6")
    hessian = model_hessian(*padded([ethane]))[0].numpy()
    axis = ethane.positions[1] - ethane.positions[0]
    stretch = np.zeros((8, 3))
    stretch[0], stretch[1] = -axis, axis
    twist = np.zeros((8, 3))
    top = [a for a in range(2, 8) if abs((ethane.positions[a] - ethane.positions[1]) @ axis) < 2.0]
    for a in top[:3]:
        twist[a] = np.cross(axis, ethane.positions[a] - ethane.positions[1])

    def stiffness(direction):
        unit = direction.ravel() / np.linalg.norm(direction)
        return unit @ hessian @ unit

    assert stiffness(stretch) > 5 * stiffness(twist)


def _values(points):
    """Length of the first two points, angle of the first three, dihedral of all four."""
    (a, b, c, d) = points
    first, axis, last = a - b, c - b, d - c
    cosine = first @ axis / (first.norm() * axis.norm())
    m, n = torch.linalg.cross(first, axis), torch.linalg.cross(last, axis)
    dihedral = torch.atan2((torch.linalg.cross(m, n) @ axis) / axis.norm(), m @ n)
    return torch.stack([first.norm(), torch.acos(cosine), dihedral])


def test_model_hessian_is_made_of_gradients_of_internal_coordinates():
    atoms = cluster("HOOH", 4, noise=0.1)
    atoms.positions = [[0.0, 0.9, 0.3], [0, 0, 0], [1.4, 0, 0], [1.6, 0.2, 0.9]]
    numbers, positions, cell, pbc = padded([atoms])
    rows = torch.func.jacrev(_values)(positions[0]).reshape(3, 12)
    distance = torch.cdist(positions, positions)
    decay = hessians._pair_decay(numbers, distance)[0]
    expected = RIDGE_EV_PER_ANGSTROM2 * torch.eye(12, dtype=torch.float64)
    for i, j in itertools.combinations(range(4), 2):
        unit = torch.zeros((4, 3), dtype=torch.float64)
        unit[i] = (positions[0, i] - positions[0, j]) / distance[0, i, j]
        unit[j] = -unit[i]
        stiffness = 0.45 / ANGSTROM_PER_BOHR**2 * EV_PER_HARTREE * decay[i, j]
        expected += stiffness * torch.outer(unit.flatten(), unit.flatten())
    mirrored = torch.func.jacrev(_values)(positions[0].flip(0)).reshape(3, 4, 3).flip(1)
    for row, stiffness in (
        (rows[1], 0.15 * decay[0, 1] * decay[1, 2]),
        (mirrored[1].flatten(), 0.15 * decay[1, 2] * decay[2, 3]),
        (rows[2], 0.010 * decay[0, 1] * decay[1, 2] * decay[2, 3]),
    ):
        expected += EV_PER_HARTREE * stiffness * torch.outer(row, row)
    assert torch.allclose(model_hessian(numbers, positions, cell, pbc)[0], expected, atol=1e-8)


@pytest.mark.parametrize("off_axis", [0.0, 0.01])
def test_a_nearly_straight_chain_bends_as_a_bent_one_does(off_axis):
    acetonitrile = molecule("CH3CN")
    nitrogen = acetonitrile.symbols.search("N")[0]
    first, last = acetonitrile.symbols.search("C")
    distances = acetonitrile.get_distances(nitrogen, [first, last])
    middle = (first, last)[int(np.argmin(distances))]
    axis = acetonitrile.positions[nitrogen] - acetonitrile.positions[middle]
    across = np.cross(axis, [0.3, 0.5, 0.8]) / np.linalg.norm(np.cross(axis, [0.3, 0.5, 0.8]))
    acetonitrile.positions[nitrogen] += off_axis * across
    hessian = model_hessian(*padded([acetonitrile]))[0]
    stiffest = torch.linalg.eigvalsh(model_hessian(*padded([molecule("HCN")]))[0]).max()
    # Nothing is stiffer than the triple bond, as a torsion over a straight angle would be.
    assert torch.linalg.eigvalsh(hessian).max() < 1.5 * stiffest
    for direction in (across, np.cross(across, axis / np.linalg.norm(axis))):
        sideways = torch.zeros((6, 3), dtype=torch.float64)
        sideways[middle] = torch.from_numpy(direction)
        assert sideways.flatten() @ hessian @ sideways.flatten() > 5.0


def test_inverse_of_the_model_hessian():
    structures = padded([molecule("C6H6"), molecule("CH3CN"), molecule("H2O")])
    product = inverse_model_hessian(*structures) @ model_hessian(*structures)
    assert torch.allclose(product, torch.eye(36, dtype=torch.float64).expand(3, -1, -1), atol=1e-9)


def test_model_hessian_sees_the_nearest_image():
    numbers, positions, cell, pbc = padded([molecule("N2")])
    cell[0] = 8.0 * torch.eye(3)
    wrapped = positions.clone()
    wrapped[0, 0, 2] += 8.0
    inside = model_hessian(numbers, positions, cell, ~pbc)
    assert torch.allclose(model_hessian(numbers, wrapped, cell, ~pbc), inside)
    assert not torch.allclose(model_hessian(numbers, wrapped, cell, pbc), inside)


def test_coinciding_atoms_are_flagged_or_parted_without_an_exception():
    atoms = cluster("C2H2O", 1)
    atoms.positions[1] = atoms.positions[0]
    batch = AtomsBatch.from_atoms([atoms, cluster("COH", 2)])
    result = relax_batch(MorseCommittee(), batch, FMAX, 100)
    assert result.converged[1] and not result.failed[1]
    assert torch.isfinite(result.positions).all()
    assert torch.isfinite(model_hessian(*padded([atoms]))).all()
