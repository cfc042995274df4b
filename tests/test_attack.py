"""The adversarial attack: its gradient, its climb, its bounds, and whom it touches."""

from __future__ import annotations

from dataclasses import replace

import ase
import numpy as np
import pandas as pd
import pytest
import torch

from molsieve.attack import (
    attack_batch,
    attack_objective,
    attack_structures,
    choose_starts,
    own_minima,
    unsound,
)
from molsieve.campaign import Attack
from molsieve.chem.connectivity import bonds_of_geometry
from molsieve.chem.duplicates import distance_fingerprint, without_duplicates
from molsieve.chem.identities import atoms_from_row, structure_row
from molsieve.potential.committee import Committee
from molsieve.potential.graphs import AtomsBatch
from molsieve.potential.model import Architecture, EnergyModel
from molsieve.relax import relax_batch
from molsieve.tables import read_table
from tests.morse_committee import MorseCommittee, cluster

SETTINGS = Attack(steps=15, starts=8, temperature_k=2000.0, max_displacement_angstrom=0.1)
FORMULAS = ["COH", "C2H2O", "H3C", "CO2", "C3O2H2"]


@pytest.fixture(scope="module")
def minima():
    committee = MorseCommittee()
    batch = AtomsBatch.from_atoms([cluster(f, seed) for seed, f in enumerate(FORMULAS)])
    result = relax_batch(committee, batch, 1e-3, 200)
    assert result.converged.all()
    return committee, batch.with_positions(result.positions), result.energies.mean(0)


def test_gradient_agrees_with_finite_differences(minima):
    committee, batch, e_min = minima
    generator = torch.Generator().manual_seed(3)
    noise = 0.05 * torch.randn(batch.positions.shape, generator=generator, dtype=torch.float64)
    home = batch.positions + noise

    def value(positions):
        moved = replace(batch, positions=positions)
        return attack_objective(committee, moved, e_min, 1000.0)[0].sum()

    place = home.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(value(place), place)
    for atom, axis in ((0, 0), (4, 1), (9, 2), (13, 0)):
        step = torch.zeros_like(home)
        step[atom, axis] = 1e-5
        slope = (value(home + step) - value(home - step)).item() / 2e-5
        assert gradient[atom, axis].item() == pytest.approx(slope, rel=1e-4, abs=1e-5)


def test_objective_is_what_the_paper_says(minima):
    committee, batch, e_min = minima
    moved = replace(batch, positions=batch.positions * 1.02)
    objective, variance, above = attack_objective(committee, moved, e_min, 300.0)
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
    again = attack_objective(
        committee, replace(batch, positions=result.positions), e_min, SETTINGS.temperature_k
    )
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
        random = attack_objective(
            committee, replace(batch, positions=place), e_min, SETTINGS.temperature_k
        )[0]
        wins += int((result.objective > random).sum())
    assert wins >= 0.95 * 20 * batch.n_structures


def test_temperature_bounds_the_energy(minima):
    committee, batch, e_min = minima
    cold = attack_batch(
        committee, batch, e_min, SETTINGS.model_copy(update={"temperature_k": 300.0}), 1
    )
    hot = attack_batch(
        committee, batch, e_min, SETTINGS.model_copy(update={"temperature_k": 5e3}), 1
    )
    assert cold.energy_above_minimum.mean() < hot.energy_above_minimum.mean()
    assert (cold.energy_above_minimum < 2.0).all()


def test_same_seed_same_attack(minima):
    committee, batch, e_min = minima
    runs = [attack_batch(committee, batch, e_min, SETTINGS, seed) for seed in (1, 1, 2)]
    assert torch.equal(runs[0].positions, runs[1].positions)
    assert not torch.equal(runs[0].positions, runs[2].positions)


def test_starts_do_not_see_each_other(minima):
    committee, batch, e_min = minima
    first = batch.structure == 0
    alone = AtomsBatch(
        batch.numbers[first],
        batch.positions[first],
        batch.structure[first],
        batch.cell[:1],
        batch.pbc[:1],
        batch.charge[:1],
        batch.multiplicity[:1],
    )
    together = attack_batch(committee, batch, e_min, SETTINGS, seed=4)
    single = attack_batch(committee, alone, e_min[:1], SETTINGS, seed=4)
    assert torch.allclose(together.positions[first], single.positions, atol=1e-8)


def test_a_committee_of_one_mind_offers_no_attack(minima):
    _, batch, e_min = minima
    result = attack_batch(MorseCommittee(difference=0.0), batch, e_min, SETTINGS, seed=1)
    assert not result.accepted.any()
    assert torch.equal(result.positions, batch.positions)
    assert all(result.reasons)


def test_unsound_geometries_are_told():
    atoms = cluster("CO", 0)
    atoms.positions = [[0, 0, 0], [0, 0, 1.2]]
    bonds = bonds_of_geometry(atoms.numbers, atoms.positions)
    assert unsound(atoms.numbers, atoms.positions, bonds) is None
    assert unsound(atoms.numbers, atoms.positions * 0.5, bonds) == "two atoms too close"
    assert unsound(atoms.numbers, atoms.positions * 2.0, bonds) == "connectivity changed"


@pytest.fixture(scope="module")
def campaign_tables(minima):
    _, batch, _ = minima
    structures, dataset = [], []
    for s, formula in enumerate(FORMULAS):
        atoms = cluster(formula, s)
        atoms.positions = batch.positions[batch.structure == s].numpy()
        for copy, origin in enumerate(["displaced", "relaxed"]):
            placed = atoms.copy()
            placed.positions += 0.03 * (1 - copy) * np.sin(np.arange(3 * len(atoms))).reshape(-1, 3)
            row = structure_row(
                placed,
                species_id=f"s{s}",
                origin=origin,
                geometry_protocol_id="g",
                candidate_id=f"c{s}",
                role="oxidised",
            )
            structures.append(row)
            split = ["train", "train", "train", "calibration", "test"][s]
            dataset.append(
                {"structure_id": row["structure_id"], "candidate_id": f"c{s}", "split": split}
            )
    return pd.DataFrame(dataset), pd.DataFrame(structures)


def test_a_start_that_falls_into_another_molecule_is_attacked_where_it_is():
    committee = MorseCommittee()
    bound, apart = (ase.Atoms("CO", [[0, 0, 0], [0, 0, d]]) for d in (1.5, 2.2))
    given = AtomsBatch.from_atoms([bound, apart])
    batch, e_min = own_minima(committee, given, [bound, apart])
    assert not torch.allclose(batch.positions[:2], given.positions[:2], atol=1e-3)
    assert torch.equal(batch.positions[2:], given.positions[2:])
    here = committee(batch, forces=False).energies.mean(0)
    assert e_min.numpy() == pytest.approx(here.numpy(), abs=1e-9)


def test_starts_are_training_species_at_their_relaxed_geometry(campaign_tables):
    dataset, structures = campaign_tables
    starts = choose_starts(dataset, structures, 10, [1, 0])
    assert sorted(starts["species_id"]) == ["s0", "s1", "s2"]
    assert (starts["origin"] == "relaxed").all()
    assert len(choose_starts(dataset, structures, 2, [1, 0])) == 2
    chosen = {tuple(choose_starts(dataset, structures, 1, [s, 0])["species_id"]) for s in range(9)}
    assert len(chosen) > 1


def test_attack_writes_new_geometries_of_training_species(campaign_tables, tmp_path):
    dataset, structures = campaign_tables
    out = tmp_path / "attack.parquet"
    counts = attack_structures(dataset, structures, MorseCommittee(), SETTINGS, 1, 0, out)
    rows = read_table(out, "structures")
    assert counts == {"starts": 3, "accepted": 3, "duplicates": 0}
    assert set(rows["species_id"]) == {"s0", "s1", "s2"}
    assert (rows["origin"] == "attack").all()
    relaxed = structures[structures["origin"] == "relaxed"].set_index("species_id")
    for row in rows.to_dict("records"):
        assert row["parent_structure_id"] == relaxed.loc[row["species_id"], "structure_id"]
        atoms, parent = atoms_from_row(row), atoms_from_row(relaxed.loc[row["species_id"]])
        assert (
            unsound(
                atoms.numbers, atoms.positions, bonds_of_geometry(parent.numbers, parent.positions)
            )
            is None
        )
    assert not set(rows["structure_id"]) & set(structures["structure_id"])
    once_more = tmp_path / "again.parquet"
    attack_structures(dataset, structures, MorseCommittee(), SETTINGS, 1, 0, once_more)
    pd.testing.assert_frame_equal(rows, read_table(once_more, "structures"))


def test_no_training_species_gives_an_empty_table(campaign_tables, tmp_path):
    dataset, structures = campaign_tables
    dataset = dataset[dataset["split"] != "train"]
    counts = attack_structures(
        dataset, structures, MorseCommittee(), SETTINGS, 1, 0, tmp_path / "attack.parquet"
    )
    assert counts["starts"] == 0
    assert read_table(tmp_path / "attack.parquet", "structures").empty


def test_fingerprint_is_blind_to_permutation_rotation_and_translation():
    atoms = cluster("C2H2O", 1)
    row = structure_row(atoms, species_id="s", origin="attack", geometry_protocol_id="g")
    turned = atoms[[1, 0, 3, 2, 4]]
    turned.rotate(37, (1, 2, 3))
    turned.translate((1, 2, 3))
    same = structure_row(turned, species_id="s", origin="attack", geometry_protocol_id="g")
    assert np.allclose(distance_fingerprint(row), distance_fingerprint(same), atol=1e-4)
    atoms.positions[0] += 0.2
    other = structure_row(atoms, species_id="s", origin="attack", geometry_protocol_id="g")
    assert [
        r is row
        for r in without_duplicates([row, same, other], pd.DataFrame([]).assign(species_id=[]))
    ] == [True, False]


@pytest.fixture
def painn_committee():
    """Three small PaiNN members of random weights, in double precision."""
    architecture = Architecture(8, 2, 8, 4.0, False)
    models = []
    for member in range(3):
        torch.manual_seed(member)
        models.append(EnergyModel(architecture).eval().double())
    told = {
        "level_id": "x",
        "architecture": architecture.as_dict(),
        "elements": [1, 6, 8],
        "charges_and_multiplicities": [[0, 1]],
    }
    torch.set_default_dtype(torch.float64)
    yield Committee(models, [told] * 3)
    torch.set_default_dtype(torch.float32)


def test_gradient_through_painn_agrees_with_finite_differences(painn_committee):
    batch = AtomsBatch.from_atoms([cluster("COH", 1), cluster("C2H2O", 2)])
    e_min = painn_committee(batch).energies.mean(0) - 0.1

    def value(positions):
        moved = replace(batch, positions=positions)
        return attack_objective(painn_committee, moved, e_min, 1000.0)[0].sum()

    place = batch.positions.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(value(place), place)
    for atom, axis in ((0, 0), (2, 1), (4, 2), (7, 0)):
        step = torch.zeros_like(batch.positions)
        step[atom, axis] = 1e-5
        slope = (value(batch.positions + step) - value(batch.positions - step)).item() / 2e-5
        assert gradient[atom, axis].item() == pytest.approx(slope, rel=1e-4, abs=1e-5)
    result = attack_batch(painn_committee, batch, e_min, SETTINGS, seed=1)
    assert (result.objective > result.objective_start)[result.accepted].all()
    assert result.accepted.any()
