import pandas as pd
import pytest

from molsieve import tables
from molsieve.labelling.fidelity import structures_at_both_levels

SPLITS = [None, "train", "calibration", "test", "shared"]


@pytest.fixture
def round_of_500():
    rows = [(f"s{n}-{k}", f"g{n}", SPLITS[n % 5]) for n in range(250) for k in range(2)]
    selection = pd.DataFrame(rows, columns=["structure_id", "group", "split"])
    return selection[["structure_id"]].copy(), selection


def chosen(tables_of_round, share, seed=1):
    found = structures_at_both_levels(*tables_of_round, share, seed)
    return set(found["structure_id"])


def test_what_judges_is_at_both_levels_whatever_the_share(round_of_500):
    structures, selection = round_of_500
    judged = selection[selection["split"].isin(["calibration", "test"])]["structure_id"]
    assert chosen(round_of_500, 0.0) == set(judged)
    assert chosen(round_of_500, 1.0) == set(structures["structure_id"])


def test_a_share_of_whole_groups_trains_at_both(round_of_500):
    _, selection = round_of_500
    found = chosen(round_of_500, 0.25)
    training = selection[~selection["split"].isin(["calibration", "test"])]
    told = training["structure_id"].isin(found).groupby(training["group"]).agg(["min", "max"])
    assert (told["min"] == told["max"]).all()
    assert 0.15 < told["max"].mean() < 0.35


def test_more_rounds_and_a_larger_share_add_to_it(round_of_500):
    structures, selection = round_of_500
    found = chosen(round_of_500, 0.25)
    assert found < chosen(round_of_500, 0.5)
    assert found & set(structures["structure_id"][:300]) == chosen(
        (structures[:300], selection[:300]), 0.25
    )
    assert found != chosen(round_of_500, 0.25, seed=2)


def test_failed_labels_are_left_out(tmp_path, monkeypatch):
    from molsieve.labelling import fidelity

    row = {name: None for name in tables.SCHEMAS["labels"].names}
    row |= dict.fromkeys(["level_id", "attempt_id", "engine", "engine_version"], "x")
    row |= {"recovery_step": 0, "wall_s": 1.0, "cores": 1}
    rows = [row | {"structure_id": name, "status": s} for name, s in (("b", "ok"), ("a", "failed"))]
    monkeypatch.setattr(fidelity, "read_labels", lambda *_: pd.DataFrame(rows))
    dataset = pd.DataFrame({"structure_id": ["a", "b"]})
    assert fidelity.collect_fidelity(dataset, tmp_path, "x", tmp_path / "fidelity.parquet") == 1
    found = tables.read_table(tmp_path / "fidelity.parquet", "labels")
    assert found["structure_id"].tolist() == ["b"]
