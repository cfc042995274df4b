import json

import numpy as np
import pytest
import torch

from molsieve.potential import storage
from molsieve.properties.descriptors import orbital_descriptors
from molsieve.properties.member_files import load_property_member
from molsieve.properties.training_data import PropertyLoss, PropertySet
from molsieve.section import CampaignError
from tests.properties.conftest import BETTER, CHEAP, NAMES, train


def same(first, second):
    a, b = (torch.load(folder / "model.pt", weights_only=True) for folder in (first, second))
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_same_seed_same_member_to_the_last_bit(
    labelled, potential, settings, member_folders, tmp_path
):
    train(labelled, potential, settings, tmp_path)
    assert same(tmp_path, member_folders[0])
    assert not same(*member_folders)


@pytest.mark.parametrize("killed_after", [3, 7])
def test_a_resumed_run_is_the_uninterrupted_one(
    killed_after, labelled, potential, settings, member_folders, tmp_path
):
    train(labelled, potential, settings, tmp_path, stop_after_epochs=killed_after)
    assert not (tmp_path / "model.pt").exists()
    assert (tmp_path / storage.CHECKPOINT).exists() == (killed_after >= 5)
    train(labelled, potential, settings, tmp_path)
    assert same(tmp_path, member_folders[0])
    assert not (tmp_path / storage.CHECKPOINT).exists()


def test_the_checkpoint_of_other_labels_is_left_alone(
    labelled, potential, settings, member_folders, tmp_path
):
    other = labelled.cheap.copy()
    other["triplet_energies_ev"] = [[t[0] + 0.5] for t in other["triplet_energies_ev"]]
    changed = type(labelled)(**{**vars(labelled), "cheap": other})
    train(changed, potential, settings, tmp_path, stop_after_epochs=7)
    train(labelled, potential, settings, tmp_path)
    assert same(tmp_path, member_folders[0])


def test_it_learns_its_labels(labelled, potential, settings, tmp_path):
    longer = settings.model_copy(
        update={
            "max_epochs": 80,
            "patience_epochs": 80,
            "batch_size": 14,
            "optimiser": "adam",
            "learning_rate": 2e-2,
        }
    )
    dataset = labelled.dataset.assign(split="train")
    everything = type(labelled)(**{**vars(labelled), "dataset": dataset})
    plain = potential.model_copy(update={"bootstrap": False})
    summary = train(everything, plain, longer, tmp_path)
    assert summary["structures"] == 14
    found = PropertySet.from_tables(
        dataset,
        labelled.structures,
        [labelled.cheap],
        NAMES,
        potential.cutoff_angstrom,
        describe=orbital_descriptors,
    )
    model, _ = load_property_member(tmp_path)
    *inputs, truth = found.batch(torch.arange(len(found)))
    error = (model(*inputs)[0] - truth[:, 0]).abs().mean(0)
    spread = truth[:, 0].std(0)
    assert (error < 0.15 * spread).all(), (error, spread)


def test_labels_without_a_root_count_for_the_others(labelled, potential, settings, tmp_path):
    cheap = labelled.cheap.copy()
    cheap["root_converged"] = [[True, True, number % 2 == 0] for number in range(len(cheap))]
    summary = train(
        type(labelled)(**{**vars(labelled), "cheap": cheap}), potential, settings, tmp_path
    )
    counts = summary["labels"][CHEAP]
    assert counts["triplet_energy_ev"] == 4
    assert counts["singlet_energy_ev"] == counts["sqrt_oscillator_strength"] == 8


def test_nothing_to_train_on_is_said(labelled, potential, settings, tmp_path):
    cheap = labelled.cheap.assign(singlet_energies_ev=None, triplet_energies_ev=None)
    cheap["oscillator_strengths"] = None
    with pytest.raises(CampaignError, match="no training label tells any of singlet_energy_ev"):
        train(type(labelled)(**{**vars(labelled), "cheap": cheap}), potential, settings, tmp_path)


def test_two_levels_are_told_apart(labelled, potential, two_levels, tmp_path):
    longer = two_levels.model_copy(update={"max_epochs": 20})
    summary = train(labelled, potential, longer, tmp_path)
    assert summary["labels"][BETTER]["singlet_energy_ev"] == 2
    model, description = load_property_member(tmp_path)
    assert description["level_ids"] == [CHEAP, BETTER]
    found = PropertySet.from_tables(
        labelled.dataset,
        labelled.structures,
        [labelled.cheap, labelled.better],
        NAMES,
        4.0,
        describe=orbital_descriptors,
    )
    *inputs, _ = found.batch(torch.arange(len(found)))
    cheap, better = model(*inputs)
    assert (cheap - better).abs().max() > 1e-3


def test_a_warm_start_begins_where_the_last_round_ended(
    labelled, potential, settings, member_folders, tmp_path
):
    summary = train(labelled, potential, settings, tmp_path, previous=member_folders[0])
    assert summary["epochs"] == round(potential.warm_epochs * settings.max_epochs)
    first = json.loads((member_folders[0] / "model.json").read_text())["training"]["history"]
    warm = json.loads((tmp_path / "model.json").read_text())["training"]["history"]
    assert warm[0][0] < first[0][0]


def test_a_member_of_another_shape_is_no_start(
    labelled, potential, settings, member_folders, tmp_path
):
    other = settings.model_copy(update={"pooling": "mean"})
    with pytest.raises(CampaignError, match=r"potential.warm_start: .*another architecture"):
        train(labelled, potential, other, tmp_path, previous=member_folders[0])


def test_the_loss_of_known_errors():
    shares = torch.tensor([[1.0, 0.5], [0.5, 0.0]])
    loss = PropertyLoss(torch.tensor([0.1, 0.2]), shares, ((0, 1),), 2.0, 3.0)
    nan = torch.nan
    labelled = torch.tensor([[[1.0, 2.0], [1.0, nan]], [[3.0, nan], [nan, nan]]])
    predicted = torch.tensor([[[1.1, 2.4], [3.0, 9.0]], [[1.2, 9.0], [9.0, 9.0]]])
    predicted.requires_grad_(True)
    # Squares: level 0: 1 and 0 of the first, 4 of the second; level 1: 4 of the first.
    values = ((1 + 0) / 2 / 1.0 + 4 / 2 / 0.5 + 4 / 2 / 0.5 + 0) / 4
    gaps = ((1 - 2) ** 2 / 2 / 0.5 + 0) / 2
    levels = ((2 - 1) ** 2 / 2 / 0.5 + 0) / 2
    found = loss(predicted, labelled)
    assert float(found.detach()) == pytest.approx(values + 2 * gaps + 3 * levels, rel=1e-4)
    (slope,) = torch.autograd.grad(found, predicted)
    assert slope.isfinite().all()
    assert slope[1, 1].abs().sum() == 0


def test_groups_are_drawn_whole(labelled, potential):
    found = PropertySet.from_tables(
        labelled.dataset, labelled.structures, [labelled.cheap], NAMES, 4.0
    )
    drawn = found.draw(np.random.default_rng(0))
    times = np.bincount(drawn, minlength=len(found))
    for group in set(found.groups):
        assert len(set(times[found.groups == group])) == 1
    assert times.max() > 1
    assert times.min() == 0


def test_shared_features_are_those_of_the_energy_member(labelled, potential, settings, tmp_path):
    from molsieve.potential.model import Architecture, EnergyModel

    torch.manual_seed(5)
    energy = EnergyModel(Architecture.of(potential))
    description = storage.describe(Architecture.of(potential), [1], [[0, 1]], CHEAP, 1, 0, energy)
    storage.save_member(energy, description, tmp_path / "energy")
    kept = energy.representation.state_dict()
    for kind in ("frozen", "finetuned"):
        chosen = settings.model_copy(update={"representation": kind})
        train(labelled, potential, chosen, tmp_path / kind, energy_member=tmp_path / "energy")
        found = load_property_member(tmp_path / kind)[0].representation.state_dict()
        unchanged = all(torch.equal(found[name], kept[name]) for name in kept)
        assert unchanged == (kind == "frozen")
