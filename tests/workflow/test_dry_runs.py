"""Every campaign in config/ shows all its rounds without running anything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from molsieve.crystals.known import known_codes, known_framework
from molsieve.programs import cp2k_command

from .conftest import REPOSITORY, Workspace

CAMPAIGNS = sorted((REPOSITORY / "config").glob("*.yaml"))


@pytest.mark.parametrize("path", CAMPAIGNS, ids=[path.stem for path in CAMPAIGNS])
@pytest.mark.parametrize("what", ["--dry-run", "--dag", "--rulegraph"])
def test_every_campaign_dry_runs_unrolled(fresh: Workspace, path: Path, what: str) -> None:
    (fresh.folder / "campaign.yaml").write_text(path.read_text())
    (fresh.folder / "config").symlink_to(path.parent)  # files that campaigns ship with
    _with_frameworks(fresh)
    limit = fresh.campaign()["stop"]["max_rounds"]
    printed = fresh.run(what).stdout
    if what == "--dry-run":
        for round in range(limit):
            assert f"rounds/{round}/figures.json" in printed
    else:
        assert printed.lstrip().startswith("digraph")
    assert not fresh.results.exists()


def _with_frameworks(space: Workspace) -> None:
    """A campaign that reads frameworks from a folder of the user's finds those typed in there."""
    campaign = space.campaign()
    if not campaign["candidates"]["source"].get("folder"):
        return
    if cp2k_command() is None:
        pytest.skip("its level needs cp2k's own files of basis sets, and it is not installed")
    folder = space.folder / "frameworks"
    folder.mkdir()
    for code in known_codes():
        known_framework(code).atoms.write(folder / f"{code}.cif")
    source = campaign["candidates"]["source"] | {"folder": "frameworks"}
    space.edit(
        candidates={"source": source},
        objective={"reference_folder": "frameworks", "reference_frameworks": ["CHA"]},
    )


def test_candidates_read_from_a_file_are_an_input(fresh: Workspace) -> None:
    (fresh.folder / "mine.csv").write_text("name,smiles\nbenzoquinone,O=C1C=CC(=O)C=C1\n")
    fresh.edit(candidates={"source": {"kind": "file", "path": "mine.csv"}})
    printed = fresh.run("--dry-run").stdout
    rule = printed.split("rule enumerate_candidates:")[1].split("rule ")[0]
    assert "input: mine.csv" in rule


@pytest.mark.slow
def test_a_folder_of_frameworks_is_told_by_its_wanted_files(tmp_path: Path) -> None:
    """Candidates are enumerated again for an edited or added CIF file, for nothing else."""
    space = Workspace(tmp_path)
    campaign = yaml.safe_load(Path(__file__).with_name("zeolite.yaml").read_text())
    campaign["candidates"]["source"] = {"folder": "cifs", "guests": ["CN"]}
    (tmp_path / "campaign.yaml").write_text(yaml.safe_dump(campaign))
    folder = tmp_path / "cifs"
    folder.mkdir()
    for code in ("SOD", "ACO"):
        known_framework(code).atoms.write(folder / f"{code}.cif")

    target = str(space.results.relative_to(tmp_path) / "candidates" / "0.parquet")

    def again() -> bool:
        return "rule enumerate_candidates:" in space.run("--dry-run", target).stdout

    space.run(target)
    (folder / "notes.txt").write_text("")
    (folder / "ZZZ.cif").symlink_to("nowhere")
    assert not again()
    known = (folder / "ACO.cif").stat().st_mtime_ns
    os.utime(folder / "ACO.cif", ns=(known, known + 1))
    assert again()
    os.utime(folder / "ACO.cif", ns=(known, known))
    (folder / "ABW.cif").write_text((folder / "ACO.cif").read_text())
    assert again()
