"""Figures of a round: against simulation where chance is involved, by hand elsewhere."""

import json

import numpy as np
import pandas as pd
import pytest

from molsieve.acquisition.assessment import (
    assess_round,
    expected_missed,
    random_test_figures,
)
from molsieve.acquisition.stopping import verdict
from molsieve.campaign import Stop
from molsieve.domains.flow_battery.config import Objective
from molsieve.potential.calibration import binomial_interval
from molsieve.tables import empty_table, read_table
from tests.acquisition.tables_of_a_campaign import candidate_tables, predictions_of

POSOLYTE = Objective(direction="posolyte")
TABLES = candidate_tables(20)
IDS = TABLES[0]["candidate_id"].tolist()


def values_of(numbers, first=0):
    return pd.Series(
        np.asarray(numbers, float), index=IDS[first : first + len(numbers)], name="value"
    )


def missed(open_ids, predictions, values, objective=POSOLYTE):
    return expected_missed(open_ids, predictions, values, objective, np.random.default_rng(4))


def test_expected_missed_reads_spread_and_direction():
    values = values_of([0.5] * 12)
    predictions = predictions_of(TABLES[0], np.linspace(0, 1, 20), 1e-6)
    open_ids = np.array(IDS[2:12])  # all predicted below 0.6
    high = missed(open_ids, predictions, values)
    low = missed(open_ids, predictions, values, Objective(direction="negolyte"))
    above = int((np.linspace(0, 1, 20)[2:12] > 0.5).sum())
    assert len(high) == 100
    assert (high[0], high[9]) == (min(1, above), above)
    assert (low[0], low[9]) == (1, 10 - above)


def test_predictions_that_are_not_trusted_count_more():
    values = values_of(np.linspace(0, 1, 10))
    predictions = predictions_of(TABLES[0], np.full(20, 0.2), 0.01)
    open_ids = np.array(IDS[10:])
    known = missed(open_ids, predictions, values)
    assert known[4] == 0
    for doubtful in (
        predictions.assign(in_domain=[i != 15 for i in range(20)]),
        predictions.assign(std=[np.nan if i == 15 else 0.01 for i in range(20)]),
        predictions.drop(index=15),
    ):
        assert missed(open_ids, doubtful, values)[4] > 0.1


def selections_of(split_by_index, round_number=0):
    rows = [
        {
            "round": round_number,
            "structure_id": f"{IDS[i]}-{role}",
            "species_id": "s",
            "reason": "random" if split else "acquired",
            "group": IDS[i],
            "candidate_id": IDS[i],
            "split": split,
        }
        for i, split in split_by_index.items()
        for role in ("oxidised", "reduced")
    ]
    return pd.DataFrame(rows)


def test_random_test_figures_judge_test_candidates_only():
    predictions = predictions_of(TABLES[0], np.full(20, 0.5), 0.1)
    selections = selections_of({0: "test", 1: "test", 2: "test", 3: "calibration", 4: None})
    values = values_of([0.55, 0.35, 0.85, 9.0, 9.0])
    found = random_test_figures(predictions, values, selections, seed=1)
    assert found["random_test_n"] == 3
    assert found["random_test_mae"] == pytest.approx((0.05 + 0.15 + 0.35) / 3)
    low, high = found["random_test_mae_interval"]
    assert low < found["random_test_mae"] < high
    assert found["coverage_68"] == pytest.approx(1 / 3)
    assert found["coverage_95"] == pytest.approx(2 / 3)
    assert found["coverage_95_interval"] == list(binomial_interval(2, 3))
    predictions.loc[2, "in_domain"] = False  # its interval claims nothing
    outside = random_test_figures(predictions, values, selections, seed=1)
    assert (outside["coverage_95"], outside["coverage_95_n"]) == (1.0, 2)
    assert outside["random_test_mae"] == found["random_test_mae"]


def test_without_test_candidates_nothing_is_claimed():
    predictions = predictions_of(TABLES[0], np.full(20, 0.5))
    found = random_test_figures(predictions, values_of([0.5]), selections_of({0: None}), 1)
    assert found["random_test_mae"] is None
    assert found["random_test_mae_interval"] is None
    assert found["coverage_95"] is None


def test_one_test_candidate_has_no_error_interval():
    predictions = predictions_of(TABLES[0], np.full(20, 0.5), 0.1)
    found = random_test_figures(predictions, values_of([0.55]), selections_of({0: "test"}), 1)
    assert found["random_test_mae"] == pytest.approx(0.05)
    assert found["random_test_mae_interval"] is None


def test_figures_of_a_round(tmp_path):
    candidates, species, structures = TABLES
    candidates = candidates.copy()
    candidates.loc[19, "status"] = "rejected"
    structures = structures[structures["candidate_id"] != IDS[18]]
    selections = pd.concat(
        [
            selections_of({0: "test", 1: "test", 2: "calibration", 3: None, 4: None}),
            selections_of({5: None}, round_number=1),
        ]
    )
    ids = selections["structure_id"]
    labels = pd.DataFrame({"structure_id": ids, "status": "ok", "error_kind": None}).iloc[:-1]
    labels.loc[labels["structure_id"] == f"{IDS[4]}-reduced", ["status", "error_kind"]] = (
        "failed",
        "timeout",
    )
    predictions = predictions_of(candidates.iloc[:18], np.linspace(0, 1, 18))
    predictions.loc[17, ["status", "mean"]] = ["failed", np.nan]
    predictions.loc[16, "in_domain"] = False
    values = values_of([0.1, 0.2, 0.8, 0.4]).rename_axis("candidate_id").reset_index()
    evaluation = pd.DataFrame(
        {"round": 1, "split": "test", "name": "energy_mae", "unit": "eV", "n": [4], "value": 0.1}
    )
    arguments = (
        1,
        candidates,
        species,
        structures,
        predictions,
        selections,
        labels,
        values,
        POSOLYTE,
        7,
        tmp_path / "figures.json",
        tmp_path / "metrics.parquet",
        evaluation,
        {"scale": 1.7, "calibrated": True},
        "test",
    )
    figures = assess_round(*arguments)
    assert json.loads((tmp_path / "figures.json").read_text()) == figures
    expected = {
        "round": 1,
        "unit": "V",
        "n_candidates": 19,
        "n_structure_failed": 1,
        "n_labelled_candidates": 4,
        "n_label_failed_candidates": 2,
        "n_unlabelled": 12,
        "n_selectable": 11,
        "n_prediction_failed": 1,
        "n_out_of_domain": 1,
        "labels_attempted_total": 12,
        "labels_ok_total": 10,
        "labels_failed_total": 1,
        "labels_failed_by_kind": {"timeout": 1},
        "labels_missing_total": 1,
        "labels_this_round": 2,
        "labels_this_round_by_reason": {"acquired": 2},
        "best_candidate_id": IDS[2],
        "best_value": 0.8,
        "scale": 1.7,
        "calibrated": True,
        "random_test_n": 2,
    }
    assert {key: figures[key] for key in expected} == expected
    metrics = read_table(tmp_path / "metrics.parquet", "metrics").set_index("name")
    assert metrics.loc["energy_mae", "value"] == 0.1
    assert metrics.loc["random_test_mae", "value"] == figures["random_test_mae"]
    assert metrics.loc["expected_missed_top_1", "value"] == figures["expected_missed"][0]
    assert metrics.loc["expected_missed_top_10", "value"] == figures["expected_missed"][9]
    assert "goes on" in verdict([figures], Stop(), 10).reason
    # Of candidates whose label at the objective's level nobody asked for none has failed.
    asked = assess_round(*arguments, asked=pd.Series([*IDS[:3], IDS[4]]))
    assert asked | {"n_label_failed_candidates": 2} == figures
    assert asked["n_label_failed_candidates"] == 1


def test_a_round_without_labels_has_figures(tmp_path):
    out = tmp_path / "figures.json", tmp_path / "metrics.parquet"
    none = pd.DataFrame({"candidate_id": [], "value": []})
    figures = assess_round(
        0, *TABLES, empty_table("predictions"), empty_table("selection"), empty_table("labels"),
        none, POSOLYTE, 1, *out,
    )  # fmt: skip
    assert figures["expected_missed"][4] == 5  # all of the top five: nothing is labelled
    assert figures["best_value"] is None
    assert figures["n_unlabelled"] == 20
    assert figures["n_selectable"] == 0
