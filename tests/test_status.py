"""Status before anything has run, while a campaign runs and after it; nothing is written."""

from __future__ import annotations

import os
import time

import pytest

from molsieve.acquisition.stopping import expected_missed
from molsieve.labelling.store import LevelFolder
from molsieve.leases import Lease
from molsieve.levels import level_id
from molsieve.status import duration, status
from molsieve.tables import write_table
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


def row_of(text: str, round_number: int) -> list[str]:
    """The cells of a round's line."""
    lines = text.splitlines()
    begin = next(i for i, line in enumerate(lines) if "selected" in line)
    return lines[begin + 1 + round_number].split()


def test_before_anything_has_run(tmp_path):
    settings = small(tmp_path)
    text = status(settings, tmp_path / "results/tiny")
    assert "none is running" in text
    assert "0 of 2 shards" in text
    assert "none begun" in text
    assert "at most 400 labels in 3 rounds" in text
    assert list(tmp_path.iterdir()) == []  # looking leaves no trace


def test_while_a_round_is_being_labelled(tmp_path):
    settings = small(tmp_path)
    folder = tmp_path / "results/tiny"
    write_campaign(folder, rounds=1)
    for path in ("figures.json", "ranking.parquet"):
        (folder / "rounds/0" / path).unlink()
    store = store_labels(settings, [f"s0-{i}" for i in range(5)], failed=2)
    claim = Lease(store.claim_path("s0-7"))
    dead = Lease(store.claim_path("s0-8"))
    assert claim.acquire() and dead.acquire()
    old = time.time() - 10_000
    os.utime(dead.path, (old, old))
    with Lease(folder / "controller.lease") as controller:
        text = status(settings, folder)
        assert f"running: {controller.holder()}" in text
    claim.release()
    dead.release()
    assert row_of(text, 0)[:7] == ["0", "12", "3", "2", "1", "0/4", "1/2"]
    # 400 planned; of round 0's 12 structures 5 have ended, rounds 1 and 2 have 100 each.
    assert "at most 207 labels in 3 rounds" in text
    assert "6.9 min of one core (2 core-s a label, mean of 3)" in text
    assert "verdict" not in text


def test_a_dead_controller_is_told_from_a_live_one(tmp_path):
    folder = tmp_path / "results/tiny"
    lease = Lease(folder / "controller.lease")
    assert lease.acquire()
    old = time.time() - 10_000
    os.utime(lease.path, (old, old))
    text = status(small(tmp_path), folder)
    lease.release()
    assert "none is running; the last one was process" in text


def test_after_the_loop_has_ended(tmp_path):
    settings = small(tmp_path)
    folder = tmp_path / "results/tiny"
    files = write_campaign(folder, rounds=3)
    store_labels(settings, [f"s{r}-{i}" for r in range(3) for i in range(12)])
    committee = folder / "rounds/2/committee"
    for member in (0, 1):
        (committee / str(member)).mkdir(parents=True)
        (committee / str(member) / "model.pt").write_bytes(b"weights")
    text = status(settings, folder)
    assert row_of(text, 2)[:7] == ["2", "12", "12", "0", "0", "2/4", "1/2"]
    assert row_of(text, 2)[7:] == ["0.0667", "0.0333"]
    assert "after round 2: round limit" in text
    assert str(files.ranking) in text
    assert "to go" not in text and "pace" not in text
    assert "36 accepted, 7 rejected" in text
    assert "leave-one-out error 0.020 V" in text


def test_a_raised_limit_shows_what_is_left(tmp_path):
    settings = small(tmp_path, stop={"max_rounds": 5})
    folder = tmp_path / "results/tiny"
    write_campaign(folder, rounds=3)
    text = status(settings, folder)
    assert "after round 2: goes on" in text
    assert "in 2 rounds" in text
    assert "at most 2 more" in text


def test_the_terminal_gets_colour_and_a_pipe_gets_none(tmp_path):
    folder = tmp_path / "results/tiny"
    write_campaign(folder)
    assert "\x1b" in status(small(tmp_path), folder, terminal=True)
    assert "\x1b" not in status(small(tmp_path), folder)


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5 s"), (120, "2 min"), (7200, "2 h"), (259_200, "3 d")]
)
def test_durations_in_their_natural_unit(seconds, text):
    assert duration(seconds) == text


def test_expected_missed_is_that_of_the_top_k():
    figures = {"calibrated": True, "expected_missed": [0.1, 0.2, None]}
    assert expected_missed(figures, 2) == 0.2
    assert expected_missed(figures, 3) is None
    assert expected_missed(figures, 4) is None
    assert expected_missed({}, 1) is None
    assert expected_missed({**figures, "calibrated": False}, 2) is None
