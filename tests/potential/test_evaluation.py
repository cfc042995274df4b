import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from molsieve import tables
from molsieve.potential.committee import Committee
from molsieve.potential.evaluation import (
    committee_residuals,
    evaluate_committee,
    fit_calibration,
)
from molsieve.potential.graphs import AtomsBatch


@pytest.fixture(scope="module")
def evaluated(member_folders, tables_of_couples):
    return evaluate_committee(Committee.load(member_folders), *tables_of_couples, round=2, seed=1)


def value(metrics, split, name):
    return next(m for m in metrics if (m["split"], m["name"]) == (split, name))


def test_metrics_keep_the_contract(evaluated, tmp_path):
    tables.write_table(evaluated[0], "metrics", tmp_path / "metrics.parquet")
    written = pd.read_parquet(tmp_path / "metrics.parquet")
    assert set(written["split"]) == {"train", "validation", "calibration", "test"}
    assert set(written["round"]) == {2}
    assert not written.duplicated(["split", "name"]).any()


def test_errors_are_those_of_the_mean(evaluated, member_folders, tables_of_couples):
    dataset, structures, labels = tables_of_couples
    ids = set(dataset.loc[dataset["split"] == "train", "structure_id"])
    output = Committee.load(member_folders)(
        batch := AtomsBatch.from_structures(structures[structures["structure_id"].isin(ids)])
    )
    label = labels.set_index("structure_id").loc[
        structures.loc[structures["structure_id"].isin(ids), "structure_id"]
    ]
    errors = (output.energy_mean.numpy() - label["energy_ev"].to_numpy(float)) / batch.sizes.numpy()
    found = value(evaluated[0], "train", "energy_mae")
    assert found["value"] == pytest.approx(np.abs(errors).mean())
    assert found["n"] == len(errors)
    assert found["interval"][0] <= found["value"] <= found["interval"][1]
    forces = np.concatenate([np.reshape(f, (-1, 3)) for f in label["forces_ev_per_angstrom"]])
    force_errors = output.forces_mean.numpy() - forces
    rmse = value(evaluated[0], "train", "force_rmse")
    assert rmse["value"] == pytest.approx(np.sqrt((force_errors**2).mean()))


def test_scales_make_the_calibration_split_unit(evaluated, member_folders, tables_of_couples):
    dataset, structures, labels = tables_of_couples
    rows = dataset[dataset["split"] == "calibration"]
    part = committee_residuals(Committee.load(member_folders), rows, structures, labels)
    z = part.energy_per_atom / (evaluated[1]["energy_scale"] * part.energy_std_per_atom)
    assert np.mean(z**2) == pytest.approx(1, rel=1e-3)
    assert evaluated[1]["calibration_structures"] == 6


def test_one_group_has_no_interval(evaluated):
    assert value(evaluated[0], "test", "energy_mae")["interval"] is None


def test_without_a_calibration_split_the_scales_say_so(member_folders, tables_of_couples):
    dataset, structures, labels = tables_of_couples
    without = dataset[dataset["split"] != "calibration"]
    committee = Committee.load(member_folders)
    metrics, scales = evaluate_committee(committee, without, structures, labels, 0, 1)
    assert scales == {"energy_scale": 1.0, "force_scale": 1.0, "calibration_structures": 0}
    assert {m["split"] for m in metrics} == {"train", "validation", "test"}


def test_metrics_judge_the_calibrated_spread(member_folders, tables_of_couples, tmp_path):
    """With a group a structure there is enough to calibrate on."""
    dataset, structures, labels = tables_of_couples
    roles = {"ethanol": "test", "ethane": "calibration", "methanol": "calibration"}
    split = [roles.get(g, "train") for g in dataset["group"]]
    dataset = dataset.assign(split=split, group=dataset["structure_id"])
    committee = Committee.load(member_folders)
    metrics, fitted = evaluate_committee(committee, dataset, structures, labels, 0, seed=1)
    json.dumps(fitted, allow_nan=False)
    tables.write_table(metrics, "metrics", tmp_path / "metrics.parquet")
    assert fitted["force"]["groups"] == 12 and fitted["force"]["q68_conformal"]
    for quantity in ("energy", "force"):
        shares = [value(metrics, "test", f"{quantity}_coverage_{p}") for p in (10, 50, 68, 95)]
        assert [s["value"] for s in shares] == sorted(s["value"] for s in shares)
        assert all(s["interval"][0] <= s["value"] <= s["interval"][1] for s in shares)
        assert value(metrics, "test", f"{quantity}_normal_coverage_50")["n"] == shares[0]["n"]
        losses = [m for m in metrics if m["name"].startswith(f"{quantity}_loss_of_")]
        assert len(losses) == len(fitted[quantity]["measures"]) > 6
    assert value(metrics, "test", "false_alarm_share")["n"] == 6
    assert fitted["domain"]["rate"] == pytest.approx(1 / 13)


def test_stress_is_calibrated_where_labels_have_it(member_folders, tables_of_couples):
    dataset, structures, labels = tables_of_couples
    rows = dataset[dataset["split"] == "calibration"].assign(group=lambda d: d["structure_id"])
    part = committee_residuals(Committee.load(member_folders), rows, structures, labels)
    assert np.isnan(part.stress).all() and "stress" not in fit_calibration(part, None)
    rng = np.random.default_rng(0)
    members = rng.normal(size=(2, 6, 3, 3))
    known = replace(part, stress=rng.normal(size=(6, 3, 3)), member_stress=members)
    fitted = fit_calibration(known, None)
    assert (fitted["stress"]["n"], fitted["stress"]["unit"]) == (36, "eV/Å³")
    assert fitted["stress_scale"] > 0


def test_members_of_one_mind_are_survived(member_folders, tables_of_couples):
    dataset, structures, labels = tables_of_couples
    rows = dataset[dataset["split"] == "calibration"].assign(group=lambda d: d["structure_id"])
    part = committee_residuals(Committee.load(member_folders), rows, structures, labels)
    agreed = replace(
        part,
        member_energies=part.member_energies[:1].repeat(2, 0),
        member_forces=part.member_forces[:1].repeat(2, 0),
    )
    fitted = fit_calibration(agreed, None)
    json.dumps(fitted, allow_nan=False)
    assert (fitted["energy_scale"], fitted["force_scale"]) == (1.0, 1.0)


def test_the_calibration_knows_nothing_of_the_test_part(member_folders, tables_of_couples):
    """Neither its fit, nor the choice of measures, nor the features' space, nor the domain."""
    dataset, structures, labels = tables_of_couples
    roles = {"ethanol": "test", "ethane": "calibration", "methanol": "calibration"}
    split = [roles.get(g, "train") for g in dataset["group"]]
    dataset = dataset.assign(split=split, group=dataset["structure_id"])
    committee = Committee.load(member_folders)
    _, fitted = evaluate_committee(committee, dataset, structures, labels, 0, seed=1)
    unseen = dataset[dataset["split"] != "test"]
    _, alone = evaluate_committee(committee, unseen, structures, labels, 0, seed=1)
    assert "features" in fitted
    assert json.dumps(fitted, sort_keys=True) == json.dumps(alone, sort_keys=True)
