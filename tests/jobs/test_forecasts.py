"""What a batch of labels will cost, beside the structures it is of."""

import json

import numpy as np
import pandas as pd
import pytest

from molsieve.jobs.forecasts import NAME, Work, read_forecast, write_forecast
from molsieve.labelling.cost import CostModel
from molsieve.levels import PyscfLevel, TbliteLevel, level_id
from molsieve.prices import DFT_GPU_SPEEDUP
from tests.failed_campaign import failed_campaign, label, structures

GFN2 = TbliteLevel(engine="tblite")
PBE = PyscfLevel(engine="pyscf", functional="PBE", basis="def2-SVP")
WATER, BENZENE = np.array([8, 1, 1]), np.array([6] * 6 + [1] * 6)
ROWS = pd.DataFrame({"structure_id": ["a", "b", "b"], "numbers": [WATER, BENZENE, BENZENE]})


def test_a_forecast_is_of_distinct_structures_by_level(tmp_path):
    write_forecast(tmp_path / "structures.parquet", {"x": (GFN2, ROWS), "y": (PBE, ROWS[:1])}, "")
    costs = [CostModel().predicted_cost_s(n, GFN2) for n in (WATER, BENZENE)]
    found = read_forecast(tmp_path, "x")
    assert found == Work(2, pytest.approx(sum(costs)), pytest.approx(costs[1]))
    assert read_forecast(tmp_path, "y").count == 1


def test_gpu_levels_are_forecast_in_gpu_seconds_before_there_are_timings(tmp_path):
    on_gpu = PBE.model_copy(update={"device": "gpu"})
    write_forecast(tmp_path / "structures.parquet", {"c": (PBE, ROWS), "g": (on_gpu, ROWS)}, "")
    cpu, gpu = (read_forecast(tmp_path, name).core_s for name in "cg")
    assert cpu == pytest.approx(DFT_GPU_SPEEDUP * gpu)


def test_an_empty_batch_costs_nothing(tmp_path):
    write_forecast(tmp_path / "structures.parquet", {"x": (GFN2, ROWS[:0])}, "")
    assert read_forecast(tmp_path, "x") == Work(0, 0.0, 0.0)


def test_labels_that_are_there_cost_nothing_failures_do(tmp_path):
    campaign, rows = failed_campaign(tmp_path), structures(3)
    store, out = campaign.run.label_store, tmp_path / "structures.parquet"
    assert label(campaign, rows[:1], "gfn2", iterations=250)["status"].eq("ok").all()
    label(campaign, rows[1:2], "gfn2")
    write_forecast(out, {"x": (campaign.level("gfn2"), rows)}, store)
    assert read_forecast(tmp_path, "x").count == 2
    write_forecast(out, {"x": (campaign.level("gfn2"), rows[:1])}, store)
    assert read_forecast(tmp_path, "x") == Work(0, 0.0, 0.0)


def test_a_store_that_cannot_be_read_means_assumed_times(tmp_path, capsys):
    fragments = tmp_path / "store" / level_id(GFN2) / "fragments"
    fragments.mkdir(parents=True)
    pd.DataFrame({"other": [1]}).to_parquet(fragments / "a.parquet")
    write_forecast(tmp_path / "structures.parquet", {"x": (GFN2, ROWS)}, tmp_path / "store")
    assert "cannot be read" in capsys.readouterr().out
    assert read_forecast(tmp_path, "x").count == 2


@pytest.mark.parametrize("text", [None, "", "{", "[]", json.dumps({"x": {"count": 1}})])
def test_no_forecast_that_can_be_read_is_none(tmp_path, text):
    if text is not None:
        (tmp_path / NAME).write_text(text)
    assert read_forecast(tmp_path, "x") is None


def test_a_forecast_that_cannot_be_made_is_one_line(tmp_path, capsys):
    (tmp_path / NAME).mkdir()
    write_forecast(tmp_path / "structures.parquet", {"x": (GFN2, ROWS)}, "")
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("no forecast of what the labels cost (")
