"""The card of an exported committee says what a stranger needs to know."""

import json

import pandas as pd
import pytest

from molsieve.export.card import card
from molsieve.export.folder import export_committee
from molsieve.tables import read_table


@pytest.fixture(scope="module")
def folder(results, tmp_path_factory):
    out = tmp_path_factory.mktemp("card") / "exported"
    export_committee(results, out)
    return out


@pytest.fixture
def content(folder, results):
    """(manifest, calibration, metrics, dataset)"""
    evaluation = results / "rounds/1/evaluation"
    return (
        json.loads((folder / "committee.json").read_text()),
        json.loads((folder / "calibration.json").read_text()),
        read_table(evaluation / "metrics.parquet", "metrics"),
        read_table(results / "rounds/1/dataset/dataset.parquet", "dataset"),
    )


def test_the_cards_figures_are_the_rounds(folder, content):
    text = (folder / "README.md").read_text()
    assert text == card(*content)
    assert text.startswith("# tiny, round 1: a committee of 2 interatomic potentials")
    assert "| elements | H, O |" in text and "| charge, multiplicity | 0, 1 |" in text
    assert 'load_committee("path/to/this/folder").calculator()' in text
    assert "| train | 20 | 20 | 20 seed |" in text and "| test | 8 | 8 | 8 random |" in text
    metrics = content[2].set_index(["split", "name"])
    row = metrics.loc[("test", "force_rmse")]
    low, high = row["interval"]
    line = f"| {row['value']:.4g} eV/Å | {low:.4g} … {high:.4g} | 72 |"
    assert f"| force component, root mean square error {line}" in text
    for name in ("energy_coverage_95", "force_coverage_68"):
        assert f"{metrics.loc[('test', name), 'value']:.4g}" in text
    assert "(too few groups for a conformal 95 %)" in text
    assert "at most 11 % of structures like those are flagged in error (8 calibration" in text


def test_the_level_is_told_where_the_record_has_it(content):
    manifest = content[0]
    assert "no longer in the campaign's record" in card(*content)
    level = {"name": "gfn2", "engine": "tblite", "method": "GFN2-xTB"}
    told = card(manifest | {"level": level}, *content[1:])
    assert "| level of theory | gfn2: engine tblite, method GFN2-xTB |" in told


def test_what_is_not_known_is_said(content):
    manifest, _, metrics, dataset = content
    untested = metrics[metrics["split"] != "test"]
    text = card(manifest, {"calibration_structures": 0}, untested, dataset)
    assert "its errors are unknown" in text and "**Spreads are not calibrated**" in text
    assert "geometries far from those" in text
    empty = pd.DataFrame(columns=dataset.columns)
    assert "| calibration | 0 | 0 | – |" in card(manifest, {}, untested, empty)


def test_charged_committees_say_how_charge_is_given(content):
    manifest = content[0]
    network = manifest["architecture"] | {"electronic_embedding": True}
    states = [[-1, 1], [0, 1]]
    charged = manifest | {"architecture": network, "charges_and_multiplicities": states}
    text = card(charged, *content[1:])
    assert "-1, 1; 0, 1" in text and 'atoms.info["charge_e"]' in text
    assert 'atoms.info["charge_e"]' not in card(*content)
