"""``molsieve export``: a folder that is complete, checked, and independent of its campaign."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from molsieve import cli
from molsieve.export.folder import export_committee
from molsieve.potential import load_committee
from molsieve.section import CampaignError
from tests.finished_campaign import LEVEL, water

FILES = [
    "README.md",
    "SHA256SUMS",
    "calibration.json",
    "committee.json",
    "members/0/model.json",
    "members/0/model.pt",
    "members/1/model.json",
    "members/1/model.pt",
    "metrics.json",
]


@pytest.fixture(scope="module")
def exported(results, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "below" / "exported"
    said = export_committee(results, folder)
    assert str(folder) in said and "2 members" in said and "round 1" in said
    return folder


def test_the_folder_is_complete(exported):
    found = sorted(p.relative_to(exported).as_posix() for p in exported.rglob("*") if p.is_file())
    assert found == FILES
    assert [p.name for p in exported.parent.iterdir()] == ["exported"]
    manifest = json.loads((exported / "committee.json").read_text())
    assert manifest["campaign"] == "tiny" and manifest["round"] == 1
    assert manifest["elements"] == [1, 8] and manifest["level_id"] == LEVEL
    assert manifest["charges_and_multiplicities"] == [[0, 1]]
    metrics = json.loads((exported / "metrics.json").read_text())
    row = metrics["test"]["force_rmse"]
    assert row["unit"] == "eV/Å" and row["n"] == 72
    assert row["interval"][0] < row["value"] < row["interval"][1]


def test_checksums_are_those_of_sha256sum(exported):
    listed = (exported / "SHA256SUMS").read_text().splitlines()
    assert [line.split("  ")[1] for line in listed] == [f for f in FILES if f != "SHA256SUMS"]
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=exported, check=True)


def test_it_predicts_what_the_campaign_predicts(exported, results):
    here = load_committee(exported, device="cpu").predict(water(0.1))
    there = load_committee(results, device="cpu").predict(water(0.1))
    assert here.energy == pytest.approx(there.energy, abs=1e-9)
    assert here.energy_std == pytest.approx(there.energy_std)
    assert here.forces_std == pytest.approx(there.forces_std)
    assert here.domain_score == pytest.approx(there.domain_score)


def test_two_lines_in_another_process_and_folder(exported, tmp_path):
    """The README's two lines, far from the campaign, after the folder was moved."""
    moved = shutil.copytree(exported, tmp_path / "moved")
    code = (
        "import ase.build; atoms = ase.build.molecule('H2O')\n"
        "from molsieve.potential import load_committee\n"
        "atoms.calc = load_committee('moved').calculator()\n"
        "print(atoms.get_potential_energy(), atoms.calc.results['energy_std'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(moved).parent, capture_output=True, text=True
    )
    energy, std = map(float, done.stdout.split())
    assert energy == pytest.approx(-137.95, abs=0.3) and 0 < std < 1, done.stderr


def test_another_round_is_another_export(results, tmp_path):
    export_committee(results, tmp_path / "zero", 0)
    assert json.loads((tmp_path / "zero/committee.json").read_text())["round"] == 0
    with pytest.raises(CampaignError, match="allowed: 0, 1"):
        export_committee(results, tmp_path / "two", 2)
    assert not (tmp_path / "two").exists()


def test_nothing_is_overwritten(exported, results, tmp_path):
    before = (exported / "SHA256SUMS").read_text()
    with pytest.raises(CampaignError, match="holds an exported committee; choose another folder"):
        export_committee(results, exported, 0)
    assert (exported / "SHA256SUMS").read_text() == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("years")
    with pytest.raises(CampaignError, match="exists; choose a folder that does not"):
        export_committee(results, tmp_path / "mine")
    (tmp_path / "file").write_text("")
    with pytest.raises(CampaignError, match="exists"):
        export_committee(results, tmp_path / "file")
    (tmp_path / "empty").mkdir()
    export_committee(results, tmp_path / "empty")
    assert (tmp_path / "empty/committee.json").is_file()


def test_an_export_is_not_exported_again(exported, tmp_path):
    with pytest.raises(CampaignError, match="exported committee already"):
        export_committee(exported, tmp_path / "again")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(results, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(CampaignError, match="Permission denied"):
        export_committee(results, tmp_path / "out")


def test_a_failure_half_way_leaves_nothing(results, tmp_path):
    copy = Path(shutil.copytree(results, tmp_path / "tiny"))
    (copy / "rounds/1/evaluation/metrics.parquet").write_bytes(b"PAR1")
    with pytest.raises(CampaignError, match=r"metrics.parquet is not a complete Parquet file"):
        export_committee(copy, tmp_path / "out")
    (copy / "rounds/1/committee/0/model.pt").write_bytes(b"PK broken off")
    with pytest.raises(CampaignError, match=r"0/model.pt is broken"):
        export_committee(copy, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["tiny"]


def test_the_command(results, tmp_path, capsys):
    assert cli.main(["export", str(results), str(tmp_path / "out")]) == 0
    assert f"wrote {tmp_path / 'out'}" in capsys.readouterr().out
    assert cli.main(["export", str(results), str(tmp_path / "out")]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "choose another folder" in err and len(err.splitlines()) == 1
