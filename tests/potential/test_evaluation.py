import numpy as np
import pandas as pd
import pytest

from molsieve import tables
from molsieve.potential.committee import Committee
from molsieve.potential.evaluation import committee_residuals, evaluate_committee
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
