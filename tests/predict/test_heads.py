"""Property heads outside of their campaign: what it predicted itself, or why they say nothing."""

import shutil

import ase.build
import ase.io
import numpy as np
import pandas as pd
import pytest

from molsieve import cli
from molsieve.export.folder import export_committee
from molsieve.predict.heads import load_heads
from molsieve.predict.output import CSV_COLUMNS, PROPERTY_CSV_COLUMNS
from molsieve.section import CampaignError
from molsieve.tables import PROPERTY_COLUMNS, SCHEMAS, read_table
from tests.excited_campaign import BETTER
from tests.finished_campaign import water

QUANTITIES = {
    "singlet_energy": "singlet_energy{}_ev",
    "singlet_triplet_gap": "singlet_triplet_gap{}_ev",
    "oscillator_strength": "oscillator_strength{}",
}


def run(capsys, *arguments):
    """Exit status, stdout, stderr."""
    status = cli.main([str(a) for a in arguments])
    return (status, *capsys.readouterr())


@pytest.fixture
def waters(excited_results):
    return excited_results / "rounds/0/dataset/structures.parquet"


def test_objectives_are_those_of_the_campaigns_own_predictions(
    waters, excited_results, tmp_path, capsys
):
    export_committee(excited_results, tmp_path / "exported")
    out = tmp_path / "p.parquet"
    status, said, errors = run(
        capsys, "predict", waters, "--committee", tmp_path / "exported", "--out", out
    )
    assert (status, errors) == (0, "")
    assert f"Property heads of level {BETTER}" in said and "calibrated on 6 molecules" in said
    assert "S1−T1" in said
    found = read_table(out, "property_predictions")
    names = read_table(waters, "structures").set_index("structure_id")["candidate_id"]
    found.index = found["name"].map(names)
    own = pd.read_parquet(excited_results / "rounds/0/predictions/0/predictions.parquet")
    for objective, column in QUANTITIES.items():
        expected = own[own["objective"] == objective].set_index("candidate_id")
        mine = found.loc[expected.index]
        assert (expected["status"] == "ok").all()
        for part, key in (("", "mean"), ("_std", "std"), ("_std_raw", "std_raw")):
            told = mine[column.format(part)].to_numpy(float)
            np.testing.assert_allclose(told, expected[key].to_numpy(float), rtol=1e-4, atol=1e-6)
        for part in ("interval_68", "interval_95", "members"):
            told = np.stack(mine[column.format(f"_{part}")])
            np.testing.assert_allclose(told, np.stack(expected[part]), rtol=1e-4, atol=1e-6)
        assert mine["in_domain"].tolist() == expected["in_domain"].tolist()


def test_t1_is_calibrated_on_its_own(waters, excited_results, tmp_path):
    heads = load_heads(excited_results, device="cpu")
    told, reasons = heads.predict(list(molecules(waters)))
    assert [one.name for one in told] == [c.rpartition("_ev")[0] or c for c in bare_columns()]
    assert [one.unit for one in told] == ["eV", "eV", "eV", "1"]
    triplet = told[1]
    labels = heads.calibration["properties"]["triplet_energy_ev"]
    assert labels["n"] == 6
    widths = np.diff(triplet.interval_95, axis=1)[:, 0] / 2
    np.testing.assert_allclose(widths, labels["q95"] * triplet.std)
    assert (triplet.std_raw != triplet.std).any()
    np.testing.assert_allclose(triplet.mean, triplet.members.mean(0))
    assert len(reasons) == 20


def bare_columns():
    parts = ("_std", "_interval", "_members")
    return [column for column in PROPERTY_COLUMNS if not any(part in column for part in parts)]


def molecules(path):
    from molsieve.chem.identities import atoms_from_row

    return (atoms_from_row(row) for row in read_table(path, "structures").to_dict("records"))


def test_what_heads_cannot_tell_is_left_empty_with_its_reason(excited_results, tmp_path, capsys):
    ice = water(0.05, 9)
    ice.set_cell([4.0, 4.1, 4.2])
    ice.pbc = True
    ase.io.write(tmp_path / "in.extxyz", [water(0.05, 3), ice, ase.build.molecule("CH3Cl")])
    out = tmp_path / "p.csv"
    status, _, _ = run(
        capsys, "predict", tmp_path / "in.extxyz", "--campaign", excited_results, "--out", out
    )
    assert status == 0
    table = pd.read_csv(out)
    assert table.columns.tolist() == CSV_COLUMNS + PROPERTY_CSV_COLUMNS
    assert table["singlet_energy_ev"].notna().tolist() == [True, False, True]
    assert table["singlet_energy_low_95_ev"][0] < table["singlet_energy_ev"][0]
    assert table["energy_ev"].notna().all()
    assert "not for periodic structures" in table["reason"][1]
    heads = load_heads(excited_results, device="cpu")
    bromide = ase.build.molecule("CH3Cl")
    bromide.numbers[bromide.numbers == 17] = 35
    told, (reason,) = heads.predict([bromide])
    assert reason == "property heads have no descriptor of Br, beyond chlorine"
    assert np.isnan(told[0].mean[0])


def test_extended_xyz_holds_them(waters, excited_results, tmp_path, capsys):
    out = tmp_path / "p.extxyz"
    assert run(capsys, "predict", waters, "--campaign", excited_results, "--out", out)[0] == 0
    found = ase.io.read(out, ":")
    (singlet, *_), _ = load_heads(excited_results, device="cpu").predict(list(molecules(waters)))
    told = [atoms.info["singlet_energy_ev"] for atoms in found]
    np.testing.assert_allclose(told, singlet.mean, rtol=1e-5)
    assert len(found[0].info["oscillator_strength_members"]) == 2


def test_smiles_are_asked_at_the_minimum_of_xtb(excited_results, tmp_path, capsys):
    (tmp_path / "in.smi").write_text("O\n")
    out = tmp_path / "p.parquet"
    arguments = ("--campaign", excited_results, "--fmax", "0.01", "--out", out)
    assert run(capsys, "predict", tmp_path / "in.smi", *arguments)[0] == 0
    (row,) = read_table(out, "property_predictions").to_dict("records")
    places = np.reshape(row["positions_angstrom"], (3, 3))
    bonds = np.linalg.norm(places[1:] - places[0], axis=1)
    assert bonds == pytest.approx([0.959, 0.959], abs=0.003)  # GFN2-xTB
    assert pd.isna(row["relaxation_steps"]) and np.isfinite(row["singlet_energy_ev"])


def test_a_committee_without_heads_is_as_ever(results, tmp_path, capsys):
    ase.io.write(tmp_path / "in.extxyz", [water(0.05, 3)])
    out = tmp_path / "p.parquet"
    said = run(capsys, "predict", tmp_path / "in.extxyz", "--campaign", results, "--out", out)[1]
    assert "Property heads" not in said and "force / eV/Å" in said
    assert list(pd.read_parquet(out).columns) == SCHEMAS["structure_predictions"].names
    assert load_heads(results) is None


def test_lost_and_foreign_heads_are_one_message(excited_results, tmp_path):
    copy = shutil.copytree(excited_results, tmp_path / "copy")
    (copy / "rounds/0/properties/1/model.pt").write_bytes(b"nothing")
    with pytest.raises(CampaignError, match="a property member cannot be loaded"):
        load_heads(copy)
    (copy / "rounds/0/properties/1/model.pt").unlink()
    with pytest.raises(CampaignError, match=r"lacks rounds/0/properties/1/model\.pt"):
        load_heads(copy)
