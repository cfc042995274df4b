import json

import numpy as np
import pandas as pd
import pytest
import torch

from molsieve.potential import schedules, storage, training, training_data
from molsieve.potential.graphs import GraphBatch
from molsieve.potential.training import train_member
from molsieve.potential.training_data import TrainingData, batches, loss_terms
from molsieve.section import CampaignError
from tests.potential.conftest import LEVEL


def weights(folder):
    return torch.load(folder / "model.pt", weights_only=True)


def same(first, second):
    a, b = weights(first), weights(second)
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def train(tables_of_couples, atom_energies, settings, folder, seed=7, member=0, **more):
    return train_member(
        *tables_of_couples, atom_energies, settings, LEVEL, seed, member, folder, **more
    )


@pytest.fixture
def data(tables_of_couples, settings):
    return TrainingData.from_tables(*tables_of_couples, settings.cutoff_angstrom, "cpu")


def test_same_seed_same_member_to_the_last_bit(
    tables_of_couples, atom_energies, settings, member_folders, tmp_path
):
    train(tables_of_couples, atom_energies, settings, tmp_path)
    assert same(tmp_path, member_folders[0])
    again = (tmp_path / "model.json").read_text()
    assert again == (member_folders[0] / "model.json").read_text()
    assert not same(tmp_path, member_folders[1])


def test_order_of_rows_does_not_matter(
    tables_of_couples, atom_energies, settings, member_folders, tmp_path
):
    shuffled = [t.sample(frac=1, random_state=k) for k, t in enumerate(tables_of_couples)]
    train(shuffled, atom_energies, settings, tmp_path)
    assert same(tmp_path, member_folders[0])


@pytest.mark.parametrize("killed_after", [3, 7])
def test_a_resumed_run_is_the_uninterrupted_one(
    killed_after, tables_of_couples, atom_energies, settings, member_folders, tmp_path
):
    train(tables_of_couples, atom_energies, settings, tmp_path, stop_after_epochs=killed_after)
    assert not (tmp_path / "model.pt").exists()
    assert (tmp_path / storage.CHECKPOINT).exists() == (killed_after >= 5)
    train(tables_of_couples, atom_energies, settings, tmp_path)
    assert same(tmp_path, member_folders[0])
    assert not (tmp_path / storage.CHECKPOINT).exists()


def test_a_resumed_run_goes_on_from_its_checkpoint(
    tables_of_couples, atom_energies, settings, tmp_path, monkeypatch
):
    train(tables_of_couples, atom_energies, settings, tmp_path, stop_after_epochs=7)
    epochs = []
    one_epoch = training.TrainingRun._one_epoch
    monkeypatch.setattr(
        training.TrainingRun, "_one_epoch", lambda run: (epochs.append(run.epoch), one_epoch(run))
    )
    train(tables_of_couples, atom_energies, settings, tmp_path)
    assert epochs == list(range(5, 12))


def test_another_runs_checkpoint_is_left_alone(
    tables_of_couples, atom_energies, settings, member_folders, tmp_path
):
    train(tables_of_couples, atom_energies, settings, tmp_path, member=1, stop_after_epochs=5)
    train(tables_of_couples, atom_energies, settings, tmp_path)
    assert same(tmp_path, member_folders[0])


@pytest.mark.parametrize("changed", ["validation", "atoms"])
def test_a_checkpoint_of_other_data_is_left_alone(
    changed, tables_of_couples, atom_energies, settings, member_folders, tmp_path
):
    dataset, *others = tables_of_couples
    atoms = {z: e - 0.5 for z, e in atom_energies.items()} if changed == "atoms" else atom_energies
    if changed == "validation":
        dropped = dataset.loc[dataset["split"] == "validation", "group"].iloc[0]
        dataset = dataset[dataset["group"] != dropped]
    train((dataset, *others), atoms, settings, tmp_path, stop_after_epochs=5)
    train(tables_of_couples, atom_energies, settings, tmp_path)
    assert same(tmp_path, member_folders[0])


def training_losses(folder):
    history = json.loads((folder / "model.json").read_text())["training"]["history"]
    return [epoch[0] for epoch in history]


@pytest.mark.parametrize("optimiser", ["muon", "adam"])
def test_training_learns(optimiser, tables_of_couples, atom_energies, settings, tmp_path):
    longer = settings.model_copy(
        update={"max_epochs": 30, "bootstrap": False, "optimiser": optimiser}
    )
    train(tables_of_couples, atom_energies, longer, tmp_path)
    losses = training_losses(tmp_path)
    assert losses[-1] < 0.3 * losses[0]


def test_the_schedule_of_the_weights_is_followed(
    tables_of_couples, atom_energies, settings, tmp_path, monkeypatch
):
    asked = []
    monkeypatch.setattr(
        training,
        "loss_weights",
        lambda chosen, progress: asked.append(progress) or schedules.loss_weights(chosen, progress),
    )
    short = settings.model_copy(update={"max_epochs": 2, "bootstrap": False})
    train(tables_of_couples, atom_energies, short, tmp_path / "scheduled")
    steps = [progress for progress in asked if progress < 1]
    assert steps == sorted(steps) and steps[0] == 0 and len(set(steps)) == len(steps)
    assert 1 - 1 / len(steps) == pytest.approx(steps[-1])
    constant = short.model_copy(update={"early_energies": 1.0})
    train(tables_of_couples, atom_energies, constant, tmp_path / "constant")
    assert not same(tmp_path / "scheduled", tmp_path / "constant")


def test_best_weights_are_kept_and_patience_stops(
    tables_of_couples, atom_energies, settings, tmp_path
):
    impatient = settings.model_copy(
        update={
            "patience_epochs": 3,
            "max_epochs": 200,
            "learning_rate": 0.03,
            "early_energies": 1.0,
        }
    )
    summary = train(tables_of_couples, atom_energies, impatient, tmp_path)
    assert summary["epochs"] == summary["best_epoch"] + 3 < 200
    history = json.loads((tmp_path / "model.json").read_text())["training"]["history"]
    losses = [validation for _, validation in history]
    assert int(np.argmin(losses)) + 1 == summary["best_epoch"]
    assert summary["validation_loss"] == min(losses)


def test_patience_waits_for_the_energies(tables_of_couples, atom_energies, settings, tmp_path):
    idle = settings.model_copy(
        update={"patience_epochs": 3, "max_epochs": 20, "learning_rate": 1e-12, "forces_first": 0.5}
    )
    assert train(tables_of_couples, atom_energies, idle, tmp_path / "forces")["epochs"] == 13
    constant = idle.model_copy(update={"early_energies": 1.0})
    assert train(tables_of_couples, atom_energies, constant, tmp_path / "constant")["epochs"] < 10


def test_no_epoch_is_kept_from_before_energies_count(
    tables_of_couples, atom_energies, settings, tmp_path, monkeypatch
):
    """A few validation structures may find an early, untrained epoch the best by chance."""
    told = iter([9.0, 0.1, 8.0, 7.0, 3.0, 4.0, 2.0, 3.0])
    monkeypatch.setattr(training.TrainingRun, "validation_loss", lambda run: next(told))
    short = settings.model_copy(update={"max_epochs": 8, "forces_first": 0.5})
    summary = train(tables_of_couples, atom_energies, short, tmp_path)
    assert (summary["best_epoch"], summary["validation_loss"]) == (7, 2.0)


def test_where_energies_never_rise_every_epoch_is_judged(
    tables_of_couples, atom_energies, settings, tmp_path, monkeypatch
):
    told = iter([9.0, 0.1, 8.0])
    monkeypatch.setattr(training.TrainingRun, "validation_loss", lambda run: next(told))
    short = settings.model_copy(update={"max_epochs": 3, "forces_first": 1.0})
    assert train(tables_of_couples, atom_energies, short, tmp_path)["best_epoch"] == 2


def test_units_keep_relaxed_couples_and_only_them_together(data):
    for unit in data.units:
        assert len({data.groups[i] for i in unit}) == 1
        assert len(unit) == (2 if data.relaxed[unit[0]] else 1)
    assert sorted(i for unit in data.units for i in unit) == list(range(len(data.graphs)))


def test_bootstrap_draws_whole_groups(data):
    drawn = data.draw(np.random.default_rng(5))
    counts = pd.Series([i for unit in drawn for i in unit]).value_counts()
    per_group = {
        group: {counts.get(i, 0) for i in np.flatnonzero(data.groups == group)}
        for group in set(data.groups)
    }
    assert all(len(times) == 1 for times in per_group.values())
    assert sorted(t.pop() for t in per_group.values()) != [1] * len(per_group)
    assert data.draw(None) == data.units


def test_every_draw_holds_the_shared_groups(tables_of_couples, settings):
    """A framework that many candidates share is in every member's data, once."""
    dataset, structures, labels = tables_of_couples
    common = sorted(set(dataset["group"]))[:2]
    nobodys = dataset.assign(
        candidate_id=dataset["candidate_id"].where(~dataset["group"].isin(common))
    )
    data = TrainingData.from_tables(nobodys, structures, labels, settings.cutoff_angstrom, "cpu")
    assert data.shared == set(common)
    every = [unit for unit in data.units if data.groups[unit[0]] in data.shared]
    for seed in range(5):
        drawn = data.draw(np.random.default_rng(seed))
        assert [unit for unit in drawn if data.groups[unit[0]] in data.shared] == every
        assert sorted(drawn) != sorted(data.units), "the others are drawn"
    alone = dataset.assign(candidate_id=None)
    data = TrainingData.from_tables(alone, structures, labels, settings.cutoff_angstrom, "cpu")
    assert not data.shared, "where nothing is a candidate's, groups are drawn as ever"


def test_validation_never_trains(tables_of_couples, atom_energies, settings, tmp_path):
    dataset, structures, labels = tables_of_couples
    held_out = dataset.loc[dataset["split"].isin(["calibration", "test"]), "structure_id"]
    spoilt = labels.copy()
    spoilt.loc[spoilt["structure_id"].isin(held_out), "energy_ev"] += 100.0
    train((dataset, structures, spoilt), atom_energies, settings, tmp_path / "spoilt")
    train(tables_of_couples, atom_energies, settings, tmp_path / "sound")
    assert same(tmp_path / "spoilt", tmp_path / "sound")


def test_batches_hold_every_unit_once_and_whole():
    units = [[0, 1], [2], [3, 4, 5], [6], [7]]
    found = batches(units, 3, np.random.default_rng(0))
    assert sorted(torch.cat([i for i, _ in found]).tolist()) == list(range(8))
    for indices, unit in found:
        members = [indices[unit == u].tolist() for u in unit.unique()]
        assert all(m in units for m in members)


def test_loss_terms_by_hand():
    energy = torch.tensor([-10.0, -20.0, -5.0], dtype=torch.float64)
    graph = GraphBatch(
        numbers=torch.ones(4, dtype=torch.int64),
        structure=torch.tensor([0, 0, 1, 2]),
        charge=torch.zeros(3),
        multiplicity=torch.ones(3),
        centre=torch.empty(0),
        neighbour=torch.empty(0),
        vectors=torch.empty(0, 3),
        energy_ev=energy,
        forces_ev_per_angstrom=torch.zeros(4, 3),
    )
    error = torch.tensor([0.2, -0.1, 7.0])
    terms = loss_terms(energy + error, torch.full((4, 3), 0.3), graph, torch.tensor([0, 0, 1]))
    per_atom = (error / torch.tensor([2.0, 1.0, 1.0])) / training_data.ENERGY_UNIT_EV_PER_ATOM
    assert float(terms[0]) == pytest.approx(float(per_atom.square().mean()), rel=1e-5)
    assert float(terms[1]) == pytest.approx((0.3 / training_data.FORCE_UNIT_EV_PER_ANGSTROM) ** 2)
    assert float(terms[2]) == pytest.approx((0.3 / training_data.DIFFERENCE_UNIT_EV) ** 2, rel=1e-5)


def test_difference_loss_ignores_what_a_group_shares():
    data = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    graph = GraphBatch(
        *(torch.zeros(3, dtype=torch.int64),),
        structure=torch.arange(3),
        charge=torch.zeros(3),
        multiplicity=torch.ones(3),
        centre=torch.empty(0),
        neighbour=torch.empty(0),
        vectors=torch.empty(0, 3),
        energy_ev=data,
        forces_ev_per_angstrom=torch.zeros(3, 3),
    )
    unit = torch.zeros(3, dtype=torch.int64)
    assert float(loss_terms(data + 5.0, torch.zeros(3, 3), graph, unit)[2]) < 1e-8
    pairs = [(0.0 - 0.3), (0.0 - 0.6), (0.3 - 0.6)]
    mean = np.mean(np.square(pairs)) / training_data.DIFFERENCE_UNIT_EV**2
    found = loss_terms(data + torch.tensor([0, 0.3, 0.6]), torch.zeros(3, 3), graph, unit)[2]
    assert float(found) == pytest.approx(mean, rel=1e-5)


def test_mixed_charges_are_refused_without_the_embedding(
    tables_of_couples, atom_energies, settings, tmp_path
):
    dataset, structures, labels = tables_of_couples
    mixed = structures.copy()
    mixed.loc[0, "charge_e"] = 1
    with pytest.raises(CampaignError, match="electronic_embedding"):
        train((dataset, mixed, labels), atom_energies, settings, tmp_path)
    able = settings.model_copy(update={"electronic_embedding": True, "max_epochs": 1})
    train((dataset, mixed, labels), atom_energies, able, tmp_path)
    assert json.loads((tmp_path / "model.json").read_text())["charges_and_multiplicities"] == [
        [0, 1],
        [1, 1],
    ]


def test_nothing_to_train_on_is_said(tables_of_couples, atom_energies, settings, tmp_path):
    dataset, structures, labels = tables_of_couples
    with pytest.raises(CampaignError, match="no labelled structure"):
        train((dataset.iloc[:0], structures, labels), atom_energies, settings, tmp_path)


def test_divergence_is_said(tables_of_couples, atom_energies, settings, tmp_path):
    hasty = settings.model_copy(update={"learning_rate": 1e12})
    with pytest.raises(CampaignError, match=r"diverged.*learning_rate"):
        train(tables_of_couples, atom_energies, hasty, tmp_path)


def test_an_element_seen_by_others_only_is_a_free_atom(
    tables_of_couples, atom_energies, settings, tmp_path
):
    short = settings.model_copy(update={"max_epochs": 1})
    train(tables_of_couples, atom_energies, short, tmp_path)
    assert float(weights(tmp_path)["baseline_ev"][7]) == atom_energies[7]


def test_warm_start_begins_where_the_last_round_ended(
    tables_of_couples, atom_energies, settings, member_folders, tmp_path
):
    short = settings.model_copy(update={"max_epochs": 1, "learning_rate": 1e-6})
    train(tables_of_couples, atom_energies, short, tmp_path / "cold")
    train(tables_of_couples, atom_energies, short, tmp_path / "warm", previous=member_folders[0])
    cold, warm = (training_losses(tmp_path / name)[0] for name in ("cold", "warm"))
    assert warm < 0.8 * cold
    wider = settings.model_copy(update={"features": 24})
    with pytest.raises(CampaignError, match="architecture"):
        train(tables_of_couples, atom_energies, wider, tmp_path / "w", previous=member_folders[0])


def test_a_warm_start_trains_its_share_of_the_epochs(
    tables_of_couples, atom_energies, settings, member_folders, tmp_path
):
    shares = settings.model_copy(update={"max_epochs": 8, "warm_epochs": 0.25})
    warm = train(tables_of_couples, atom_energies, shares, tmp_path, previous=member_folders[0])
    assert warm["epochs"] == 2
    assert json.loads((tmp_path / "model.json").read_text())["settings"]["max_epochs"] == 2


def test_a_validation_split_without_rows_trains_to_the_end(
    tables_of_couples, atom_energies, settings, tmp_path
):
    dataset, structures, labels = tables_of_couples
    without = dataset[dataset["split"] != "validation"]
    short = settings.model_copy(update={"max_epochs": 3})
    summary = train((without, structures, labels), atom_energies, short, tmp_path)
    assert summary["best_epoch"] == summary["epochs"] == 3
