"""An exported committee with property heads: its folder, its manifest, its card."""

import json

import pytest
import torch

from molsieve.export.folder import export_committee
from molsieve.tables import read_table
from tests.excited_campaign import BETTER
from tests.finished_campaign import LEVEL


@pytest.fixture(scope="module")
def folder(excited_results, tmp_path_factory):
    out = tmp_path_factory.mktemp("heads") / "exported"
    export_committee(excited_results, out)
    return out


def test_the_heads_are_there_without_pickled_code(folder):
    listed = (folder / "SHA256SUMS").read_text()
    for member in "01":
        for file in ("model.pt", "model.json"):
            assert f"properties/{member}/{file}" in listed
        state = torch.load(folder / f"properties/{member}/model.pt", weights_only=True)
        assert "heads.values.0.weight" in state
    manifest = json.loads((folder / "committee.json").read_text())
    assert manifest["properties"] == ["properties/0", "properties/1"]
    assert manifest["domain"] == "oled"
    assert [one["level_id"] for one in manifest["property_levels"]] == [LEVEL, BETTER]


def test_figures_of_several_objectives_do_not_overwrite_each_other(folder, excited_results):
    found = json.loads((folder / "metrics.json").read_text())["test"]
    rows = read_table(excited_results / "rounds/0/evaluation/metrics.parquet", "metrics")
    rows = rows[(rows["split"] == "test") & (rows["name"] == "objective_mae")]
    assert len(rows) == 3
    for row in rows.to_dict("records"):
        told = found[f"{row['objective']}_objective_mae"]
        assert told["value"] == pytest.approx(row["value"]) and told["unit"] == row["unit"]


def test_the_card_tells_their_errors_and_their_level(folder):
    text = (folder / "README.md").read_text()
    found = json.loads((folder / "metrics.json").read_text())["test"]
    value = found["property_triplet_energy_mae"]["value"]
    assert f"| T1, mean absolute error | {value:.3g} eV |" in text
    value = found["singlet_triplet_gap_objective_mae"]["value"]
    assert f"| S1 − T1, mean absolute error | {value:.3g} eV |" in text
    assert f"at level {BETTER}, on what {LEVEL} taught" in text
    assert "spreads were calibrated on 6 molecules" in text
    assert "`properties/*` likewise" in text
