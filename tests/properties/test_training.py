import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from molsieve.potential import storage
from molsieve.properties.definitions import PROPERTIES
from molsieve.properties.descriptors import orbital_descriptors
from molsieve.properties.member_files import load_property_member
from molsieve.properties.model import PropertyArchitecture, PropertyModel
from molsieve.properties.training import initial_model, loss_of
from molsieve.properties.training_data import PropertyLoss, PropertySet
from molsieve.property_settings import Fidelity
from molsieve.section import CampaignError
from molsieve.tables import write_table
from tests.properties.conftest import BETTER, CHEAP, NAMES, train

SCRIPTS = Path(__file__).parents[2] / "scripts"


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
    nan = torch.nan
    labelled = torch.tensor([[[1.0, 2.0], [1.0, nan]], [[3.0, nan], [nan, 5.0]]])
    loss = PropertyLoss.of(labelled, torch.tensor([0.1, 0.2]), ((0, 1),), 2.0, 3.0)
    predicted = torch.tensor([[[1.1, 2.4], [3.0, 9.0]], [[1.2, 9.0], [9.0, 5.6]]])
    predicted.requires_grad_(True)
    # Squares by property, a mean over structures that have it: level 0: 1 and 0, 4. Level 1: of the
    # first structure the difference alone counts, the second has no label at level 0: 9.
    values = ((1 + 0) / 2 + 4 + 9) / 3
    gap, difference = (1 - 2) ** 2, (2 - 1) ** 2
    found = loss(predicted, labelled)
    assert float(found.detach()) == pytest.approx(values + 2 * gap + 3 * difference, rel=1e-4)
    (slope,) = torch.autograd.grad(found, predicted)
    assert slope.isfinite().all()
    assert slope[1, 1, 0] == 0


def test_pairs_weigh_no_more_than_others_in_what_levels_share():
    """Where the difference is right, a label at the better level as well changes nothing."""
    both = torch.tensor([[[1.0], [2.0]], [[3.0], [torch.nan]]])
    predicted = torch.tensor([[[1.5], [3.1]], [[2.5], [4.1]]])
    units = torch.ones(1)
    two = PropertyLoss.of(both, units, (), 0.0, 1.0)
    one = PropertyLoss.of(both[:, :1], units, (), 0.0, 1.0)
    assert float(two(predicted, both)) == pytest.approx(float(one(predicted[:1], both[:, :1])))


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


def test_a_campaigns_weights_are_in_its_loss(labelled, potential, two_levels):
    """S1 is one unit too high, T1 one too low, the better level's f one unit off the other's."""
    weights = {"gap_weight": 2.0, "fidelity": Fidelity(level="better", difference_weight=3.0)}
    settings = two_levels.model_copy(update=weights)
    found = PropertySet.from_tables(
        labelled.dataset, labelled.structures, [labelled.cheap, labelled.better], NAMES, 4.0
    )
    architecture = PropertyArchitecture.of(potential, settings, NAMES)
    loss = loss_of(PropertyModel(architecture), found, settings)
    units = torch.tensor([PROPERTIES[name].error_unit for name in NAMES])
    wrong = torch.tensor([[1.0, -1.0, 0.0], [1.0, -1.0, 1.0]]) * units
    told = loss((found.values + wrong).transpose(0, 1).nan_to_num(), found.values)
    assert float(told) == pytest.approx(2 / 3 + 2.0 * 4 + 3.0 * 1 / 3, rel=1e-3)


def test_a_warm_start_is_the_last_member_on_a_new_linear_fit(
    labelled, potential, settings, member_folders
):
    cheap = labelled.cheap.copy()
    cheap["triplet_energies_ev"] = [[t[0] + 2.0] for t in cheap["triplet_energies_ev"]]
    found = PropertySet.from_tables(
        labelled.dataset, labelled.structures, [cheap], NAMES, 4.0, describe=orbital_descriptors
    )
    architecture = PropertyArchitecture.of(potential, settings, NAMES)
    cold = initial_model(found, architecture, settings, 7, 0)
    warm = initial_model(found, architecture, settings, 7, 0, previous=member_folders[0])
    last = load_property_member(member_folders[0])[0]
    learned = {name for name, _ in last.named_parameters()}
    for name, values in warm.state_dict().items():
        source = last if name in learned else cold
        assert torch.equal(values, source.state_dict()[name]), name
    assert (warm.centre - last.centre)[0, 1] > 1.5
    moved = [
        not torch.equal(a, b) for a, b in zip(cold.parameters(), warm.parameters(), strict=True)
    ]
    assert any(moved)


def test_the_rules_script_begins_where_the_last_round_ended(
    labelled, potential, two_levels, tmp_path
):
    """By the files that the rule names: both levels in their order, and the previous member."""
    train_script = runpy.run_path(str(SCRIPTS / "train_property_member.py"))["train"]
    short = two_levels.model_copy(update={"max_epochs": 2})
    train(labelled, potential, short, tmp_path / "last")
    for name, rows in (("dataset", labelled.dataset), ("structures", labelled.structures)):
        write_table(rows, name, tmp_path / f"{name}.parquet")
    for level in ("cheap", "better"):
        write_table(getattr(labelled, level), "labels", tmp_path / f"{level}.parquet")
    inputs = SimpleNamespace(
        dataset=tmp_path / "dataset.parquet", structures=tmp_path / "structures.parquet",
        labels=str(tmp_path / "cheap.parquet"), fidelity=str(tmp_path / "better.parquet"),
        representation=[], previous=[str(tmp_path / "last/model.pt")],
    )  # fmt: skip
    params = SimpleNamespace(
        domain="oled", levels=[{"level_id": CHEAP}, {"level_id": BETTER}], seed=7,
        potential=potential.model_dump(mode="json"), properties=short.model_dump(mode="json"),
    )  # fmt: skip
    train_script(inputs, tmp_path / "now", params, 0, 1)
    train(labelled, potential, short, tmp_path / "same", previous=tmp_path / "last")
    train(labelled, potential, short, tmp_path / "cold")
    assert same(tmp_path / "now", tmp_path / "same")
    assert not same(tmp_path / "now", tmp_path / "cold")
