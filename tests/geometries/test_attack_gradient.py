"""The attack's gradient by atoms and by strain, through the networks, and solids climbing."""

from __future__ import annotations

from dataclasses import replace

import ase
import ase.build
import numpy as np
import pytest
import torch

from molsieve.geometries.attack import attack_batch, attack_objective
from molsieve.geometries.climb import Deformation, VectorAdam, first_nudge
from molsieve.geometry_settings import Attack
from molsieve.potential.graphs import AtomsBatch
from molsieve.potential.kernels.network import NetworkWeights
from tests.potential.random_members import random_committee

SETTINGS = Attack(steps=8, temperature_k=3e4, max_displacement_angstrom=0.2, max_strain=0.01)


@pytest.fixture(params=["kernel", "torch"])
def committee(request, monkeypatch):
    """Three networks of random weights in double precision, evaluated either way."""
    torch.set_default_dtype(torch.float64)
    found = random_committee(3)
    if request.param == "torch":
        monkeypatch.setattr(NetworkWeights, "library", lambda self: None)
    elif found.stacked.network.library() is None:
        pytest.skip("no C compiler on this machine")
    yield found
    torch.set_default_dtype(torch.float32)


def solids() -> AtomsBatch:
    """Two small crystals, one of them skewed, their atoms displaced."""
    salt = ase.build.bulk("NaCl", "rocksalt", a=5.4)
    metal = ase.build.bulk("Si", "diamond", a=5.5, cubic=True)
    metal.set_cell(metal.cell.array @ [[1.02, 0.03, 0], [0, 1, 0.05], [0, 0, 0.98]], True)
    for seed, atoms in enumerate((salt, metal)):
        atoms.rattle(0.1, seed=seed)
    return AtomsBatch.from_atoms([salt, metal])


def molecules() -> AtomsBatch:
    found = [ase.build.molecule(name) for name in ("CH3CH2OH", "NH3")]
    for seed, atoms in enumerate(found):
        atoms.rattle(0.1, seed=seed)
    return AtomsBatch.from_atoms(found)


def check_gradient(committee, home, settings, strained):
    """Against central differences along random deformations."""
    e_min = committee(home).energies.mean(0).detach() - 0.3
    generator = torch.Generator().manual_seed(5)

    def drawn(shape):
        return 0.05 * torch.randn(shape, generator=generator, dtype=torch.float64)

    strain = drawn((home.n_structures, 3, 3)) * strained
    start = Deformation(drawn(home.positions.shape), (strain + strain.transpose(1, 2)) / 2)

    def value(deformation):
        return attack_objective(committee, deformation.of(home), e_min, settings)[0].sum()

    shift = start.shift.clone().requires_grad_(True)
    strain = start.strain.clone().requires_grad_(strained)
    wanted = [shift, strain] if strained else [shift]
    slopes = torch.autograd.grad(value(Deformation(shift, strain)), wanted)
    for _ in range(3):
        way = [drawn(slope.shape) for slope in slopes]
        if not strained:
            way.append(torch.zeros_like(start.strain))
        ends = [
            value(Deformation(start.shift + h * way[0], start.strain + h * way[1])).item()
            for h in (1e-4, -1e-4)
        ]
        expected = (ends[0] - ends[1]) / 2e-4
        found = sum((s * w).sum().item() for s, w in zip(slopes, way, strict=False))
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("over", ["mean", "max"])
def test_gradient_by_atoms(committee, over):
    settings = SETTINGS.model_copy(update={"spread_over": over})
    check_gradient(committee, molecules(), settings, strained=False)


@pytest.mark.parametrize("of", ["forces", "stress"])
def test_gradient_by_atoms_and_strain(committee, of):
    settings = SETTINGS.model_copy(update={"spread_of": of, "energy_per": "atom"})
    check_gradient(committee, solids(), settings, strained=True)


@pytest.mark.parametrize("of", ["forces", "stress"])
def test_a_solid_climbs_with_its_cell_within_its_bounds(committee, of):
    home = solids()
    settings = SETTINGS.model_copy(update={"spread_of": of})
    e_min = committee(home).energies.mean(0).detach()
    result = attack_batch(committee, home, e_min, settings, seed=2)
    assert (result.objective > result.objective_start)[result.accepted].all()
    assert result.accepted.any(), result.reasons
    deform = torch.linalg.solve(home.cell, result.cell)
    assert torch.allclose(deform, deform.transpose(1, 2), atol=1e-12)
    principal = torch.linalg.eigvalsh(deform - torch.eye(3)).abs().amax(1)
    assert (principal <= settings.max_strain + 1e-9).all()
    assert (principal[result.accepted] > 1e-4).all()
    carried = torch.bmm(home.positions.unsqueeze(1), deform[home.structure]).squeeze(1)
    back = torch.linalg.solve(
        deform[home.structure], (result.positions - carried).unsqueeze(1), left=False
    )
    assert back.norm(dim=2).max() <= settings.max_displacement_angstrom + 1e-9
    moved = replace(home, positions=result.positions, cell=result.cell)
    again = attack_objective(committee, moved, e_min, settings)
    assert torch.allclose(again[0][result.accepted], result.objective[result.accepted])
    still = attack_batch(committee, home, e_min, settings.model_copy(update={"max_strain": 0.0}), 2)
    assert torch.equal(still.cell, home.cell)


def test_stress_does_not_depend_on_how_the_cell_is_turned_or_repeated(committee):
    home = solids().chosen(torch.tensor([0]))
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)).double())[
        0
    ]
    turned = replace(home, positions=home.positions @ turn, cell=home.cell @ turn)
    atoms = ase.Atoms(
        home.numbers.numpy(), home.positions.numpy(), cell=home.cell[0].numpy(), pbc=True
    )
    large = AtomsBatch.from_atoms([atoms.repeat((2, 1, 1))])
    settings = SETTINGS.model_copy(update={"spread_of": "stress"})
    u = [
        attack_objective(committee, b, torch.zeros(1), settings)[1].item()
        for b in (home, turned, large)
    ]
    assert u[1:] == pytest.approx([u[0], u[0]], rel=1e-8)


def test_in_single_precision_the_climb_is_the_same_to_rounding():
    # One seed, both precisions of the same weights.
    single = random_committee(3)
    double = random_committee(3)
    for model in double.models:
        model.double()
    double = type(double)(double.models, double.descriptions)
    batch = molecules()
    e_min = double(batch).energies.mean(0).detach()
    results = []
    for committee, precision in ((single, torch.float32), (double, torch.float64)):
        torch.set_default_dtype(precision)
        results.append(attack_batch(committee, batch, e_min, SETTINGS, seed=1))
    torch.set_default_dtype(torch.float32)
    assert torch.allclose(results[0].positions, results[1].positions, atol=2e-3)
    assert torch.allclose(results[0].objective, results[1].objective, atol=1e-2)


def test_steps_turn_with_the_structure():
    generator = np.random.default_rng(1)
    slopes = torch.tensor(generator.normal(size=(4, 7, 3)))
    turn = torch.linalg.qr(torch.tensor(generator.normal(size=(3, 3))))[0]
    plain, turned = VectorAdam(0.02, 5), VectorAdam(0.02, 5)
    for slope in slopes:
        assert torch.allclose(plain.move(slope) @ turn, turned.move(slope @ turn), atol=1e-12)


def test_bounds_hold_and_leave_the_inside_alone():
    home = solids()
    nudge = first_nudge(home, 0.1, 0.01, seed=1)
    assert torch.allclose(nudge.strain, nudge.strain.transpose(1, 2)) and nudge.strain.any()
    bounded = nudge.bounded(0.1, 0.005)
    assert bounded.shift.norm(dim=1).max() <= 0.1 + 1e-12
    assert torch.linalg.eigvalsh(bounded.strain).abs().max() <= 0.005 + 1e-12
    inside = nudge.shift.norm(dim=1) < 0.1
    assert torch.equal(bounded.shift[inside], nudge.shift[inside])
    assert not first_nudge(molecules(), 0.1, 0.01, seed=1).strain.any()
