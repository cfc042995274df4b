"""Every campaign in config/ shows all its rounds without running anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import REPOSITORY, Workspace

CAMPAIGNS = sorted((REPOSITORY / "config").glob("*.yaml"))


@pytest.mark.parametrize("path", CAMPAIGNS, ids=[path.stem for path in CAMPAIGNS])
@pytest.mark.parametrize("what", ["--dry-run", "--dag", "--rulegraph"])
def test_every_campaign_dry_runs_unrolled(fresh: Workspace, path: Path, what: str) -> None:
    (fresh.folder / "campaign.yaml").write_text(path.read_text())
    limit = fresh.campaign()["stop"]["max_rounds"]
    printed = fresh.run(what).stdout
    if what == "--dry-run":
        for round in range(limit):
            assert f"rounds/{round}/figures.json" in printed
    else:
        assert printed.lstrip().startswith("digraph")
    assert not fresh.results.exists()


def test_candidates_read_from_a_file_are_an_input(fresh: Workspace) -> None:
    (fresh.folder / "mine.csv").write_text("name,smiles\nbenzoquinone,O=C1C=CC(=O)C=C1\n")
    fresh.edit(candidates={"source": {"kind": "file", "path": "mine.csv"}})
    printed = fresh.run("--dry-run").stdout
    rule = printed.split("rule enumerate_candidates:")[1].split("rule ")[0]
    assert "input: mine.csv" in rule
