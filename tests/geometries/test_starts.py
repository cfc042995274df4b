"""Where searches start: training species at the committee's minima."""

from __future__ import annotations

import ase
import pytest
import torch

from molsieve.geometries.starts import choose_starts, own_minima
from molsieve.potential.graphs import AtomsBatch
from tests.morse_committee import MorseCommittee


def test_a_start_that_falls_into_another_molecule_is_attacked_where_it_is():
    committee = MorseCommittee()
    bound, apart = (ase.Atoms("CO", [[0, 0, 0], [0, 0, d]]) for d in (1.5, 2.2))
    given = AtomsBatch.from_atoms([bound, apart])
    batch, e_min = own_minima(committee, given)
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


def test_data_starts_where_it_was_labelled_against_the_energy_of_its_minimum():
    committee = MorseCommittee()
    given = AtomsBatch.from_atoms([ase.Atoms("CO", [[0, 0, 0], [0, 0, d]]) for d in (1.5, 1.55)])
    minima, e_min = own_minima(committee, given)
    batch, same = own_minima(committee, given, "data")
    assert torch.equal(batch.positions, given.positions)
    assert torch.equal(same, e_min)
    assert (committee(batch).energies.mean(0) > e_min).all()
    assert not torch.equal(minima.positions, given.positions)


def test_starts_may_be_conformers_or_any_labelled_geometry(campaign_tables):
    dataset, structures = campaign_tables
    data = choose_starts(dataset, structures, 10, [1, 0], "data")
    assert sorted(data["species_id"]) == ["s0", "s0", "s1", "s1", "s2", "s2"]
    other = structures.copy()
    other.loc[other["origin"] != "relaxed", "conformer"] = 1
    conformers = choose_starts(dataset, other, 10, [1, 0], "conformers")
    assert sorted(zip(conformers["species_id"], conformers["conformer"], strict=True)) == [
        (f"s{s}", c) for s in range(3) for c in range(2)
    ]
    once = choose_starts(dataset, structures, 10, [1, 0], "conformers")
    assert (once["origin"] == "relaxed").all() and len(once) == 3
