"""Status before anything has run, while a campaign runs and after it; nothing is written."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from molsieve.acquisition.stopping import expected_missed
from molsieve.checks import record_campaign
from molsieve.jobs.leases import Lease
from molsieve.labelling.store import LevelFolder
from molsieve.levels import level_id
from molsieve.retries.orders import Order
from molsieve.status.text import status
from molsieve.tables import write_json, write_table
from tests.report.campaign_tables import campaign, write_campaign


def small(tmp_path, **changes):
    return campaign(run={"label_store": str(tmp_path / "store")}, **changes)


def label(structure: str, level: str, ok: bool = True, wall_s: float = 2.0) -> dict:
    return {
        "structure_id": structure,
        "level_id": level,
        "attempt_id": f"a-{structure}",
        "status": "ok" if ok else "failed",
        "error_kind": None if ok else "scf_not_converged",
        "recovery_step": 0,
        "engine": "tblite",
        "engine_version": "0.8",
        "wall_s": wall_s,
        "cores": 1,
    }


def store_labels(settings, structures: list[str], failed: int = 0) -> LevelFolder:
    """The first ``failed`` of the structures fail."""
    level = settings.level(settings.labels.level)
    folder = LevelFolder.made(settings.run.label_store, level)
    rows = [label(s, level_id(level), ok=i >= failed) for i, s in enumerate(structures)]
    write_table(rows, "labels", folder.fragments / "0.parquet")
    return folder


def row_of(text: str, table: str, begins: str) -> list[str]:
    """The cells of a table's row."""
    lines = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]
    return next(cells for cells in lines[lines.index([table]) :] if cells[0] == begins)


def test_before_anything_has_run(tmp_path):
    settings = small(tmp_path)
    text = status(settings, tmp_path / "results/tiny", scheduler=False)
    assert "none is running" in text
    assert "0 of 2 shards" in text
    assert "none begun" in text
    assert "at most 400 labels in 3 rounds" in text
    assert list(tmp_path.iterdir()) == []  # looking leaves no trace


def test_while_a_round_is_being_labelled(tmp_path):
    settings = small(tmp_path)
    folder = tmp_path / "results/tiny"
    write_campaign(folder, rounds=1)
    for path in ("figures.json", "ranking.parquet", "dataset/dataset.parquet"):
        (folder / "rounds/0" / path).unlink()
    store = store_labels(settings, [f"s0-{i}" for i in range(5)], failed=2)
    with Lease(folder / "controller.lease") as controller, Lease(store.claim_path("s0-7")):
        text = status(settings, folder, scheduler=False)
        assert f"running: {controller.holder()}" in text
    assert row_of(text, "Calculations", "round 0")[1:] == [
        *("xtb", "12", "6", "1", "3", "2"),
        "41 %",
    ]
    assert row_of(text, "Rounds", "0")[1:5] == ["labelling, 5 of 12", "0/4", "1/2", "–"]
    # 400 planned; of round 0's 12 structures 5 have ended, rounds 1 and 2 have 100 each.
    assert "at most 207 labels in 3 rounds" in text
    assert "6.9 min of one core (2 core-s a label, mean of 3)" in text
    assert "6 queued, 1 running" in text and "the 1 worker at work now" in text
    assert "verdict" not in text


def test_failures_are_counted_and_listed_on_demand(tmp_path):
    settings = small(tmp_path)
    folder = tmp_path / "results/tiny"
    write_campaign(folder)
    store_labels(settings, [f"s0-{i}" for i in range(5)], failed=2)
    short = status(settings, folder, scheduler=False)
    assert "2 structures: 2 scf_not_converged; --failed lists them" in short
    assert "s0-1" not in short
    listed = status(settings, folder, scheduler=False, list_failed=True, path=Path("my.yaml"))
    assert row_of(listed, "Failed", "s0-1")[:3] == ["s0-1", "round 0", "xtb"]
    assert "molsieve retry my.yaml --kind scf_not_converged" in listed


def test_orders_to_repeat_failures_are_open_until_every_shard_has_handed_in(tmp_path):
    settings, folder = small(tmp_path), tmp_path / "results/tiny"
    for number, shards in ((0, 1), (1, 2)):
        order = Order(
            number=number,
            campaign="tiny",
            level="xtb",
            level_id="l",
            settings={},
            time_limit_s=60.0,
            newer_than="a",
            ordered_at="2026-11-21",
            shards=shards,
            calculations=7,
            rounds=[0],
            hits=[],
            references=False,
        )
        write_json(order.to_json(), folder / f"retries/{number}/order.json")
        write_table([], "receipt", folder / f"retries/{number}/receipts/0.parquet")
    text = status(settings, folder, scheduler=False)
    assert "retries     2 ordered, 1 done, 1 open (7 calculations)" in text
    write_table([], "receipt", folder / "retries/1/receipts/1.parquet")
    assert "2 ordered, 2 done" in status(settings, folder, scheduler=False)


def test_a_scheduler_that_fails_is_a_line(tmp_path, monkeypatch):
    broken = tmp_path / "bin/squeue"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho slurm_load_jobs error: no controller >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{broken.parent}:{os.environ['PATH']}")
    logs = tmp_path / ".snakemake/log"
    logs.mkdir(parents=True)
    (logs / "1.snakemake.log").write_text("SLURM run ID: molsieve_9c1f8e4a\n")
    text = status(small(tmp_path), tmp_path / "results/tiny")
    assert "scheduler   squeue: slurm_load_jobs error: no controller" in text
    silent = status(small(tmp_path), tmp_path / "results/tiny", scheduler=False)
    assert "scheduler   " not in silent


def test_a_dead_controller_is_told_from_a_live_one(tmp_path):
    folder = tmp_path / "results/tiny"
    lease = Lease(folder / "controller.lease")
    assert lease.acquire()
    old = time.time() - 10_000
    os.utime(lease.path, (old, old))
    text = status(small(tmp_path), folder, scheduler=False)
    lease.release()
    assert "none is running; the last one was process" in text


def test_results_of_other_settings_and_a_missing_store_are_said(tmp_path):
    settings = small(tmp_path)
    folder = tmp_path / "results/tiny"
    write_campaign(folder, rounds=1)
    record_campaign(settings, folder)
    assert "is not there" in status(settings, folder, scheduler=False)
    store_labels(settings, ["s0-0"])
    text = status(settings, folder, scheduler=False)
    assert "is not there" not in text and "not those of these results" not in text
    text = status(settings.model_copy(update={"seed": 99}), folder, scheduler=False)
    assert "not those of these results: seed: " in text and "99 now" in text


def test_after_the_loop_has_ended(tmp_path):
    settings = small(tmp_path)
    folder = tmp_path / "results/tiny"
    files = write_campaign(folder, rounds=3)
    store_labels(settings, [f"s{r}-{i}" for r in range(3) for i in range(12)])
    committee = folder / "rounds/2/committee"
    for member in (0, 1):
        (committee / str(member)).mkdir(parents=True)
        (committee / str(member) / "model.pt").write_bytes(b"weights")
    text = status(settings, folder, scheduler=False)
    assert row_of(text, "Calculations", "round 2")[2:] == ["12", "0", "0", "12", "0", "100 %"]
    assert row_of(text, "Rounds", "2")[2:7] == ["2/4", "1/2", "–", "0.0667", "0.0333"]
    assert "after round 2: round limit" in text
    assert str(files.ranking) in text
    assert "to go" not in text and "pace" not in text
    assert "36 accepted, 7 rejected" in text
    assert "leave-one-out error 0.020 V" in text


def test_a_raised_limit_shows_what_is_left(tmp_path):
    settings = small(tmp_path, stop={"max_rounds": 5})
    folder = tmp_path / "results/tiny"
    write_campaign(folder, rounds=3)
    text = status(settings, folder, scheduler=False)
    assert "after round 2: goes on" in text
    assert "in 2 rounds" in text
    assert "at most 2 more" in text


def test_the_terminal_gets_colour_and_a_pipe_gets_none(tmp_path):
    folder = tmp_path / "results/tiny"
    write_campaign(folder)
    assert "\x1b" in status(small(tmp_path), folder, terminal=True, scheduler=False)
    assert "\x1b" not in status(small(tmp_path), folder, scheduler=False)


def test_expected_missed_is_that_of_the_top_k():
    figures = {"calibrated": True, "expected_missed": [0.1, 0.2, None]}
    assert expected_missed(figures, 2) == 0.2
    assert expected_missed(figures, 3) is None
    assert expected_missed(figures, 4) is None
    assert expected_missed({}, 1) is None
    assert expected_missed({**figures, "calibrated": False}, 2) is None
