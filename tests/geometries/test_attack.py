"""The adversarial attack: its gradient, its climb, its bounds, and whom it touches."""

from __future__ import annotations

from dataclasses import replace

import ase
import numpy as np
import pytest
import torch
from ase.data import covalent_radii

from molsieve.geometries import attack
from molsieve.geometries.attack import attack_batch, attack_objective
from molsieve.geometry_settings import Attack
from molsieve.potential.graphs import AtomsBatch
from molsieve.section import CampaignError
from tests.morse_committee import MorseCommittee

SETTINGS = Attack(steps=15, temperature_k=2000.0, max_displacement_angstrom=0.1)


def with_settings(**changes) -> Attack:
    return SETTINGS.model_copy(update=changes)


def test_objective_is_what_the_paper_says(minima):
    committee, batch, e_min = minima
    moved = replace(batch, positions=batch.positions * 1.02)
    objective, variance, above = attack_objective(
        committee, moved, e_min, with_settings(temperature_k=300.0)
    )
    output = committee(moved)
    for s in range(batch.n_structures):
        forces = output.forces[:, batch.structure == s].numpy()
        u = forces.var(axis=0, ddof=1).mean()
        rise = output.energies[:, s].mean().item() - e_min[s].item()
        assert variance[s].item() == pytest.approx(u)
        assert above[s].item() == pytest.approx(rise, abs=1e-9)
        assert objective[s].item() == pytest.approx(np.log(u) - rise / (8.617333e-5 * 300.0))


def test_attack_climbs_within_its_bounds(minima):
    committee, batch, e_min = minima
    result = attack_batch(committee, batch, e_min, SETTINGS, seed=1)
    assert result.accepted.all(), result.reasons
    assert (result.objective > result.objective_start).all()
    moved = (result.positions - batch.positions).norm(dim=1)
    assert moved.max() <= SETTINGS.max_displacement_angstrom + 1e-9
    assert moved.max() > 1e-3
    again = attack_objective(committee, replace(batch, positions=result.positions), e_min, SETTINGS)
    for mine, theirs in zip(
        (result.objective, result.variance, result.energy_above_minimum), again, strict=True
    ):
        assert torch.allclose(mine, theirs)


def test_attack_beats_a_random_displacement_of_equal_length(minima):
    committee, batch, e_min = minima
    result = attack_batch(committee, batch, e_min, SETTINGS, seed=1)
    length = (result.positions - batch.positions).norm(dim=1, keepdim=True)
    generator = torch.Generator().manual_seed(0)
    wins = 0
    for _ in range(20):
        way = torch.randn(length.shape[0], 3, generator=generator, dtype=torch.float64)
        place = batch.positions + length * way / way.norm(dim=1, keepdim=True)
        random = attack_objective(committee, replace(batch, positions=place), e_min, SETTINGS)[0]
        wins += int((result.objective > random).sum())
    assert wins >= 0.95 * 20 * batch.n_structures


def test_temperature_bounds_the_energy(minima):
    committee, batch, e_min = minima
    frozen, cold, hot = (
        attack_batch(committee, batch, e_min, with_settings(temperature_k=t, steps=60), 1)
        for t in (0.01, 300.0, 5e3)
    )
    assert cold.energy_above_minimum.mean() < hot.energy_above_minimum.mean()
    assert (cold.energy_above_minimum < 2.0).all()
    # Towards kT = 0 nothing but the minimum is plausible (turned and shifted, perhaps).
    assert (frozen.energy_above_minimum < 0.1 * cold.energy_above_minimum).all()


def test_energy_per_atom_lets_a_structure_hold_more(minima):
    committee, batch, e_min = minima
    moved = replace(batch, positions=batch.positions * 1.02)
    whole = attack_objective(committee, moved, e_min, SETTINGS)
    by_atom = attack_objective(committee, moved, e_min, with_settings(energy_per="atom"))
    hotter = SETTINGS.temperature_k * batch.sizes
    for s in range(batch.n_structures):
        same = with_settings(temperature_k=float(hotter[s]))
        expected = attack_objective(committee, moved, e_min, same)[0][s]
        assert by_atom[0][s].item() == pytest.approx(expected.item())
    assert torch.allclose(whole[2], by_atom[2])


def test_the_largest_atom_counts_where_that_is_asked(minima):
    committee, batch, e_min = minima
    settings = with_settings(spread_over="max")
    _, variance, _ = attack_objective(committee, batch, e_min, settings)
    spread = committee(batch).forces.var(0).mean(1)
    expected = [spread[batch.structure == s].max().item() for s in range(batch.n_structures)]
    assert variance.tolist() == pytest.approx(expected)


def test_same_seed_same_attack(minima):
    committee, batch, e_min = minima
    runs = [attack_batch(committee, batch, e_min, SETTINGS, seed) for seed in (1, 1, 2)]
    assert torch.equal(runs[0].positions, runs[1].positions)
    assert not torch.equal(runs[0].positions, runs[2].positions)


def test_starts_do_not_see_each_other(minima):
    committee, batch, e_min = minima
    first, alone = batch.structure == 0, batch.chosen(torch.tensor([0]))
    together = attack_batch(committee, batch, e_min, SETTINGS, seed=4)
    single = attack_batch(committee, alone, e_min[:1], SETTINGS, seed=4)
    assert torch.allclose(together.positions[first], single.positions, atol=1e-8)


def test_a_committee_of_one_mind_offers_no_attack(minima):
    _, batch, e_min = minima
    result = attack_batch(MorseCommittee(difference=0.0), batch, e_min, SETTINGS, seed=1)
    assert not result.accepted.any()
    assert torch.equal(result.positions, batch.positions)
    assert all(result.reasons)


def test_groups_change_nothing(minima, monkeypatch):
    committee, batch, e_min = minima
    together = attack_batch(committee, batch, e_min, SETTINGS, seed=4)
    monkeypatch.setattr(attack, "GROUP_ATOMS", 6)
    grouped = attack_batch(committee, batch, e_min, SETTINGS, seed=4)
    assert torch.allclose(together.positions, grouped.positions, atol=1e-8)


def test_a_committee_of_one_is_refused(minima):
    _, batch, e_min = minima
    with pytest.raises(CampaignError, match="one member"):
        attack_batch(MorseCommittee(members=1), batch, e_min, SETTINGS, seed=1)


def test_molecules_have_no_stress_to_climb(minima):
    committee, batch, e_min = minima
    with pytest.raises(CampaignError, match="not periodic"):
        attack_batch(committee, batch, e_min, with_settings(spread_of="stress"), seed=1)


def test_permuted_turned_and_shifted_structures_have_the_same_objective(minima):
    committee, batch, e_min = minima
    settings = with_settings(spread_over="max")
    order = torch.argsort(
        torch.rand(len(batch.numbers), generator=torch.Generator().manual_seed(2))
    )
    order = order[torch.argsort(batch.structure[order], stable=True)]
    turn, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))
    other = replace(
        batch,
        numbers=batch.numbers[order],
        positions=(batch.positions * 1.03 @ turn + 5.0)[order],
    )
    here = replace(batch, positions=batch.positions * 1.03)
    for mine, theirs in zip(
        attack_objective(committee, here, e_min, settings),
        attack_objective(committee, other, e_min, settings),
        strict=True,
    ):
        assert torch.allclose(mine, theirs, atol=1e-8)


def test_a_bond_that_breaks_is_refused_or_flagged():
    committee = MorseCommittee(difference=0.1, size=0.8)
    # Hardly bonded; beyond the inflection the members differ more the longer the bond.
    bond = 1.2 * (covalent_radii[6] + covalent_radii[8])
    batch = AtomsBatch.from_atoms([ase.Atoms("CO", [[0, 0, 0], [0, 0, bond - 0.05]])])
    e_min = committee(batch).energies.mean(0)
    settings = with_settings(temperature_k=1e6, max_displacement_angstrom=0.5)
    kept = attack_batch(committee, batch, e_min, settings, seed=3)
    settings = settings.model_copy(update={"changed_bonds": "keep"})
    free = attack_batch(committee, batch, e_min, settings, seed=3)
    length = [(r.positions[1] - r.positions[0]).norm().item() for r in (kept, free)]
    assert length[0] < bond <= length[1]
    assert kept.rebonded.tolist() == [False] and free.rebonded.tolist() == [True]
    assert free.objective > kept.objective


def test_atoms_never_come_too_close():
    committee = MorseCommittee(difference=0.1)
    atoms = ase.Atoms("CO", [[0, 0, 0], [0, 0, 1.0]])
    batch = AtomsBatch.from_atoms([atoms])
    e_min = committee(batch).energies.mean(0)
    settings = with_settings(
        temperature_k=1e7, max_displacement_angstrom=0.4, step_size_angstrom=0.002, steps=60
    )
    result = attack_batch(committee, batch, e_min, settings, seed=3)
    assert (result.positions[1] - result.positions[0]).norm() >= 0.7 * (
        covalent_radii[6] + covalent_radii[8]
    )
