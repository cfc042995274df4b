import ase.build
import numpy as np
import pytest
import torch

from molsieve.potential.graphs import AtomsBatch
from molsieve.properties import committee as room
from molsieve.properties.committee import PropertyCommittee
from molsieve.properties.member_files import load_property_member
from molsieve.section import CampaignError
from tests.properties.conftest import BETTER, CHEAP, NAMES, train


@pytest.fixture(scope="module")
def committee(member_folders):
    return PropertyCommittee.load(member_folders)


@pytest.fixture(scope="module")
def batch():
    names = ("H2CO", "CH3CHO", "HCN", "C2H4", "H2O")
    return AtomsBatch.from_atoms([ase.build.molecule(name) for name in names])


def test_values_by_name_and_member(committee, batch):
    told = committee(batch)
    assert tuple(told) == NAMES
    assert all(values.shape == (2, 5) and values.dtype == torch.float64 for values in told.values())
    first, second = told["singlet_energy_ev"]
    assert (first - second).abs().min() > 0


def test_chunks_do_not_matter(committee, batch, monkeypatch):
    whole = committee(batch)
    monkeypatch.setattr(room, "CHUNK_ATOM_PAIRS", 60)
    parts = committee(batch)
    for name in NAMES:
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-4, atol=1e-5)


def test_a_crystal_has_no_property(committee):
    with pytest.raises(CampaignError, match="not for periodic structures"):
        committee(AtomsBatch.from_atoms([ase.build.bulk("Si")]))


def test_predictions_are_at_the_better_level(labelled, potential, two_levels, batch, tmp_path):
    train(labelled, potential, two_levels.model_copy(update={"max_epochs": 15}), tmp_path / "0")
    both = PropertyCommittee.load([tmp_path / "0"])
    assert both.level_id == BETTER
    better, cheap = both(batch), both(batch, CHEAP)
    assert (better["singlet_energy_ev"] - cheap["singlet_energy_ev"]).abs().max() > 1e-3


def test_members_of_different_levels_are_no_committee(committee):
    other = [*committee.descriptions[:1], {**committee.descriptions[1], "level_ids": [BETTER]}]
    with pytest.raises(ValueError, match="share their level_ids"):
        PropertyCommittee(committee.models, other)


@pytest.mark.parametrize("content", [b"", b"not a zip archive"])
def test_broken_weights_are_named(member_folders, tmp_path, content):
    (tmp_path / "model.json").write_text((member_folders[0] / "model.json").read_text())
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"model.pt is broken: no state dict in it"):
        load_property_member(tmp_path)


def test_an_energy_member_is_no_property_member(tmp_path):
    (tmp_path / "model.json").write_text('{"format": 1}')
    with pytest.raises(ValueError, match="not a member of format 'properties 1'"):
        load_property_member(tmp_path)


def test_no_files_no_committee(member_folders):
    assert PropertyCommittee.of_files([]) is None
    files = [folder / "model.pt" for folder in member_folders]
    assert len(PropertyCommittee.of_files(files)) == 2
    assert len(PropertyCommittee.of_files(str(files[0]))) == 1
