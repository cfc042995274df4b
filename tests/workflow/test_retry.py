"""Failed calculations of a real campaign are repeated by `molsieve retry` and the same command.

The failures are real: xTB at the campaign's own level, given one SCF iteration.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from molsieve.campaign import Run
from molsieve.labelling import label_structures
from molsieve.levels import parse_level

from .conftest import Workspace, attempts, environment, workspace

pytestmark = pytest.mark.slow

KEY = ["structure_id", "level_id"]
IN_ROUND_0 = 8


def fail(space: Workspace, rows: pd.DataFrame, level: str) -> list[str]:
    """Let the structures fail at a level of the campaign; returns their ids."""
    settings = space.campaign()["levels"][level] | {"max_iterations": 1}
    receipt = label_structures(
        rows, parse_level(settings), space.folder / "results/label_store", None,
        workers=1, run=Run(), job="one iteration",
    )  # fmt: skip
    assert (receipt["error_kind"] == "scf_not_converged").all()
    return sorted(receipt["structure_id"])


def structures(space: Workspace, place: str) -> pd.DataFrame:
    return pd.read_parquet(space.results / place / "structures.parquet")


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, dict[str, list[str]]]:
    """A finished campaign with failures in round 0, among the hits and among the references."""
    space = workspace(tmp_path_factory.mktemp("failed"))
    couples = [*space.campaign()["objective"]["reference_couples"], "9,10-anthraquinone"]
    space.edit(
        labels={"quorum": 0.5},
        objective={"reference_couples": couples},
        potential={"max_epochs": 10},
        stop={"max_rounds": 1},
    )
    space.run(
        "results/small/rounds/0/structures.parquet", "results/small/references/structures.parquet"
    )
    references = structures(space, "references")
    of_round = structures(space, "rounds/0")
    of_round = of_round[~of_round["structure_id"].isin(references["structure_id"])]
    ids = {"round 0": fail(space, of_round.iloc[:IN_ROUND_0], "gfn2")}
    last = references[references["role"] != "atom"].tail(1)
    ids["references"] = fail(space, last, "gfn1")
    space.run("results/small/rounds/0/hits/structures.parquet")
    hits = pd.read_parquet(space.results / "rounds/0/hits/selection.parquet")
    top = hits[(hits["reason"] == "top") & (hits["geometry"] == "committee_minimum")].head(1)
    rows = structures(space, "rounds/0/hits")
    ids["hits 0"] = fail(space, rows[rows["structure_id"].isin(top["structure_id"])], "gfn1")
    space.run()
    return space, ids


def retry(space: Workspace, *arguments: str, check: bool = True) -> str:
    """What `molsieve retry` says."""
    done = subprocess.run(
        [sys.executable, "-m", "molsieve.cli", "retry", "campaign.yaml", *arguments],
        cwd=space.folder, env=environment(), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == (0 if check else 2), done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def planned(space: Workspace) -> set[str]:
    """Rules that the same command would run."""
    printed = space.run("--dry-run").stdout
    return set(re.findall(r"^(?:local)?rule (\w+):", printed, re.MULTILINE)) - {"all"}


def stamps(space: Workspace) -> dict[Path, int]:
    """When each table and model of the rounds was written."""
    found = [*space.results.glob("rounds/**/*.parquet"), *space.results.glob("rounds/**/*.pt")]
    return {path: path.stat().st_mtime_ns for path in found}


def labelled(space: Workspace, ids: Sequence[str]) -> pd.DataFrame:
    """Every attempt at these structures, at any level, oldest first."""
    rows = attempts(space)
    return rows[rows["structure_id"].isin(ids)].sort_values("attempt_id")


def test_failures_are_listed_and_nothing_is_written(failed) -> None:
    space, ids = failed
    said = retry(space)
    for stage in ids:
        assert stage in said
    assert "scf_not_converged" in said and "--set" in said
    wanted = retry(space, "--kind", "scf_not_converged", "--level", "gfn2", "--dry-run")
    assert all(i in wanted for i in ids["round 0"])
    assert ids["hits 0"][0] not in wanted
    assert not (space.results / "retries").exists()


def test_retried_label_of_a_finished_round_plans_nothing_again(failed) -> None:
    """And a kill in its midst loses and repeats nothing."""
    space, ids = failed
    before = stamps(space)
    said = retry(space, "--level", "gfn2", "--set", "max_iterations=251")
    assert "change nothing until another round runs" in said
    assert planned(space) == {"retry_labels"}
    again = retry(space, "--level", "gfn2", check=False)
    assert "order 0 will repeat" in again
    assert space.kill_while_labelling()
    finished = set(attempts(space)["attempt_id"])
    space.run()
    rows = labelled(space, ids["round 0"])
    assert finished <= set(attempts(space)["attempt_id"])
    assert list(rows["status"].value_counts()[["failed", "ok"]]) == [IN_ROUND_0, IN_ROUND_0]
    assert not rows[rows["status"] == "ok"].duplicated(KEY).any(), "computed twice"
    assert stamps(space) == before
    assert planned(space) == set()


def test_retried_hit_redoes_ranking_and_page_only(failed) -> None:
    space, ids = failed
    ranking = space.results / "rounds/0/ranking.parquet"
    confirmed = pd.read_parquet(ranking)["confirmed_value"].notna().sum()
    page = (space.results / "rounds/0/report.html").read_text()
    assert ids["hits 0"][0] in page
    assert "ranking and page are made again" in retry(space, "--structure", ids["hits 0"][0][:12])
    assert planned(space) == {"retry_labels", "confirm_hits", "rank_candidates", "build_report"}
    before = stamps(space)
    space.run()
    assert pd.read_parquet(ranking)["confirmed_value"].notna().sum() == confirmed + 1
    assert ids["hits 0"][0] not in (space.results / "rounds/0/report.html").read_text()
    changed = {
        p.relative_to(space.results).parts[2] for p, s in stamps(space).items() if before[p] != s
    }
    assert changed == {"hits", "ranking.parquet"}
    assert planned(space) == set()


def test_measured_systems_are_repeated_only_when_asked_for(failed) -> None:
    space, ids = failed
    assert "--references" in retry(space, "--structure", ids["references"][0], check=False)
    said = retry(space, "--references")
    assert "calibrated again" in said
    assert {"retry_labels", "label_references", "calibrate_level"} <= planned(space)
    space.run()
    rows = pd.read_parquet(space.results / "references/gfn1/receipt.parquet")
    assert (rows["status"] == "ok").all()
    assert "no calculation has failed" in retry(space)
    assert planned(space) == set()


def test_next_dataset_holds_the_retried_labels(failed) -> None:
    space, ids = failed
    before = stamps(space)
    space.edit(stop={"max_rounds": 2})
    assert not {"retry_labels", "build_structures", "label_references"} & planned(space)
    space.run("results/small/rounds/1/dataset/dataset.parquet")
    frozen, later = (
        set(pd.read_parquet(space.results / f"rounds/{r}/dataset/dataset.parquet")["structure_id"])
        for r in (0, 1)
    )
    assert not frozen & set(ids["round 0"])
    assert set(ids["round 0"]) <= later
    assert {p: s for p, s in stamps(space).items() if p in before} == before
    recorded = [
        json.loads((space.results / f"rounds/{r}/dataset/retries.json").read_text())
        for r in range(2)
    ]
    assert recorded == [[], [0]]


def test_lost_order_of_a_frozen_dataset_is_said_before_anything_is_planned_again(failed) -> None:
    space, _ = failed
    order, record = space.results / "retries/0", space.results / "rounds/1/dataset/retries.json"
    text = record.read_text()
    os.rename(order, space.folder / "lost")
    try:
        refused = space.run("--dry-run", check=False)
        assert refused.returncode and "retries/0 is gone" in refused.stdout + refused.stderr
        record.unlink()
        assert "collect_labels" in planned(space)
    finally:
        os.rename(space.folder / "lost", order)
        record.write_text(text)
    assert "collect_labels" not in planned(space)


def test_order_written_while_the_campaign_runs_waits_for_the_next_controller(failed) -> None:
    """A job must not ask for the receipt of an order that its controller does not know."""
    space, _ = failed
    order = space.results / "retries/0"
    os.rename(order / "receipts", space.folder / "receipts")
    try:
        known = {**environment(), "MOLSIEVE_RETRY_ORDERS": ""}
        done = subprocess.run(
            [*space.command("--dry-run"), "--mode", "subprocess"],
            cwd=space.folder, env=known, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "retry_labels" not in done.stdout
    finally:
        os.rename(space.folder / "receipts", order / "receipts")
