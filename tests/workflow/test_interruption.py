"""The campaign is killed, or run by two at once, and no calculation is lost or paid for twice."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess

import pytest

from .conftest import Workspace, attempts, environment

pytestmark = pytest.mark.slow

KILLS = 5
WORKERS = 2


def in_flight(space: Workspace) -> int:
    """Calculations that a kill caught at work: the claims left behind."""
    return len(list((space.folder / "results" / "label_store").glob("*/claims/*")))


def test_killed_anywhere_and_started_again_loses_and_repeats_nothing(fresh: Workspace) -> None:
    """SIGKILL of controller, jobs and workers at random moments, then the same command again."""
    journaled: set[str] = set()
    moments = random.Random(20)
    kills = caught = 0
    for number in range(KILLS):
        # Labelling lasts a second here: chance alone would hardly ever meet it at work.
        at_work = number % 2 == 0
        if not (
            fresh.kill_while_labelling() if at_work else fresh.kill_after(moments.uniform(8, 20))
        ):
            break
        kills += 1
        caught += in_flight(fresh)
        now = set(attempts(fresh)["attempt_id"])
        assert journaled <= now, "a journaled calculation was lost"
        journaled = now
    assert kills
    assert journaled, "no kill came after a calculation: nothing was put to the test"
    fresh.run()
    rows = attempts(fresh)
    assert journaled <= set(rows["attempt_id"])
    assert not rows.duplicated(["structure_id", "level_id"]).any(), "computed twice"
    assert caught <= WORKERS * kills
    assert (fresh.results / "rounds" / "1" / "ranking.parquet").exists()


def is_alive(group: int) -> bool:
    """Whether a process group still has a process."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, 0)
        return True
    return False


def test_orphaned_jobs_of_a_killed_controller_do_no_harm(fresh: Workspace) -> None:
    """Jobs that outlive their controller work beside those of the next one, on the same files."""
    moments = random.Random(21)
    groups = [fresh.kill_after(moments.uniform(9, 20), jobs_too=False) for _ in range(3)]
    assert all(groups)
    assert any(map(is_alive, groups)), "no job outlived its controller"
    fresh.run()
    rows = attempts(fresh)
    assert not rows.duplicated(["structure_id", "level_id"]).any(), "computed twice"
    assert (rows["status"] == "ok").all()
    assert (fresh.results / "rounds" / "1" / "ranking.parquet").exists()


def test_second_controller_is_refused(fresh: Workspace) -> None:
    process = subprocess.Popen(
        fresh.command(), cwd=fresh.folder, env=environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        lease = fresh.results / "controller.lease"
        for _ in range(300):
            if lease.exists() or process.poll() is not None:
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
        second = fresh.run(check=False)
        assert second.returncode != 0
        assert "already run by another controller" in second.stderr
        assert "Traceback" not in second.stderr
    finally:
        process.terminate()
        process.wait()
