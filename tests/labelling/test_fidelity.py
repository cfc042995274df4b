import runpy
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from molsieve import tables
from molsieve.jobs.allocation import Allocation
from molsieve.jobs.forecasts import read_forecast
from molsieve.labelling.fidelity import asked_for, collect_fidelity, structures_at_both_levels
from molsieve.labelling.journal import Journal
from molsieve.levels import level_id, parse_level
from molsieve.property_settings import Fidelity

SCRIPTS = Path(__file__).parents[2] / "scripts"
SPLITS = [None, "train", "calibration", "test", "shared"]


@pytest.fixture
def round_of_500():
    rows = [(f"s{n}-{k}", f"g{n}", SPLITS[n % 5]) for n in range(250) for k in range(2)]
    selection = pd.DataFrame(rows, columns=["structure_id", "group", "split"])
    selection["reason"] = "seed"
    return selection[["structure_id"]].copy(), selection


def chosen(tables_of_round, share, seed=1):
    found = structures_at_both_levels(*tables_of_round, share, seed)
    return set(found["structure_id"])


def test_what_judges_is_at_both_levels_whatever_the_share(round_of_500):
    structures, selection = round_of_500
    judged = selection[selection["split"].isin(["calibration", "test"])]["structure_id"]
    assert chosen(round_of_500, 0.0) == set(judged)
    assert chosen(round_of_500, 1.0) == set(structures["structure_id"])


def test_what_was_acquired_is_at_both_and_asked_for_there(round_of_500):
    """Else the answer's level would never hear of what was chosen for it."""
    structures, selection = round_of_500
    training = ~selection["split"].isin(["calibration", "test"])
    selection.loc[training & (selection.index % 2 == 0), "reason"] = "acquired"
    wanted = selection[~training | (selection["reason"] == "acquired")]["structure_id"]
    assert chosen((structures, selection), 0.0) == set(wanted)
    heads = {"properties": {"fidelity": {"level": "better", "share": 0.0}}}
    assert set(asked_for(selection, heads)["structure_id"]) == set(wanted)
    drawn = {"properties": {"fidelity": {"level": "better", "share": 0.3}}, "seed": 7}
    assert set(asked_for(selection, drawn)["structure_id"]) == chosen(
        (structures, selection), 0.3, seed=7
    )
    assert asked_for(selection, {"properties": {"fidelity": None}}) is selection


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


def test_failed_labels_are_left_out(tmp_path, folder, label_row):
    journal = Journal(folder.journals / "job.jsonl")
    for name, status in (("b", "ok"), ("a", "failed"), ("elsewhere", "ok")):
        journal.append(label_row(name, status=status))
    dataset, out = pd.DataFrame({"structure_id": ["a", "b"]}), tmp_path / "fidelity.parquet"
    assert collect_fidelity(dataset, tmp_path / "store", folder.level_id, out) == 1
    assert tables.read_table(out, "labels")["structure_id"].tolist() == ["b"]


CONFIG = {
    "levels": {n: {"engine": "tblite"} for n in ("cheap", "better", "confirming")},
    "labels": {"level": "cheap"},
    "ranking": {"confirm": {"level": "confirming"}},
    "properties": {"fidelity": {"level": "better"}},
}


def test_a_round_s_forecast_is_also_of_the_part_at_the_better_level(tmp_path, small_molecules):
    forecast = runpy.run_path(str(SCRIPTS / "select_batch.py"))["forecast"]
    structures = small_molecules(20)
    selection = structures.assign(
        round=0, reason="seed", group=structures["structure_id"], split=["test"] + [None] * 19
    ).reindex(columns=tables.SCHEMAS["selection"].names)
    outputs = SimpleNamespace(**{n: tmp_path / f"{n}.parquet" for n in ("structures", "selection")})
    tables.write_table(structures, "structures", outputs.structures)
    tables.write_table(selection, "selection", outputs.selection)
    config = {**CONFIG, "run": {"label_store": str(tmp_path / "store")}}
    forecast(outputs, SimpleNamespace(level={"name": "cheap"}, seed=1), config)
    part = structures_at_both_levels(structures, selection, Fidelity(level="b").share, seed=1)
    assert 1 < len(part) < 20
    assert read_forecast(tmp_path, "cheap").count == 20
    assert read_forecast(tmp_path, "better").count == len(part)


def test_references_are_forecast_at_every_level_that_labels_them(tmp_path, small_molecules):
    forecast = runpy.run_path(str(SCRIPTS / "build_references.py"))["forecast"]
    rows, path = small_molecules(3).assign(role=["measured", "measured", "atom"]), tmp_path / "s"
    tables.write_table(rows, "structures", path)
    forecast(path, {**CONFIG, "run": {"label_store": str(tmp_path / "store")}})
    counts = {name: read_forecast(tmp_path, name).count for name in CONFIG["levels"]}
    assert counts == {"cheap": 3, "better": 2, "confirming": 2}


def test_the_job_labels_at_the_better_level(tmp_path, small_molecules, run):
    """By the rule's own script: of three waters only the one that tests, where the share is 0."""
    label_fidelity = runpy.run_path(str(SCRIPTS / "label_fidelity.py"))["label_fidelity"]
    structures = small_molecules(3, names=("H2O",))
    selection = structures.assign(
        round=0, reason="seed", group=structures["structure_id"], split=["train", "test", None]
    ).reindex(columns=tables.SCHEMAS["selection"].names)
    inputs = SimpleNamespace(**{n: tmp_path / f"{n}.parquet" for n in ("structures", "selection")})
    tables.write_table(structures, "structures", inputs.structures)
    tables.write_table(selection, "selection", inputs.selection)
    params = SimpleNamespace(level={"name": "gfn2"}, share=0.0, seed=1, shards=1, campaign="small")
    levels = {"gfn1": {"engine": "tblite", "method": "GFN1-xTB"}, "gfn2": {"engine": "tblite"},
              "gfn1_hot": {"engine": "tblite", "method": "GFN1-xTB", "accuracy": 2.0}}  # fmt: skip
    store = tmp_path / "store"
    own = run.model_copy(update={"label_store": str(store), "workers": 1})
    label_fidelity(inputs, tmp_path / "receipt.parquet", params, 0, 0, Allocation(), own, levels)
    assert [folder.name for folder in store.iterdir()] == [level_id(parse_level(levels["gfn2"]))]
    (row,) = tables.read_table(tmp_path / "receipt.parquet", "receipt").to_dict("records")
    assert (row["structure_id"], row["status"]) == (structures["structure_id"][1], "ok")
