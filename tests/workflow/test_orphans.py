"""Jobs that outlive their controller: their work is taken over, and late ones change no file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from molsieve.jobs.attempts import CONTROLLER_VARIABLE

from .conftest import REPOSITORY, Workspace, environment, workspace

pytestmark = pytest.mark.slow


WAITING = "waiting for another attempt of train_member-0-1"


def wait_until(true: Callable[[], object], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def orphan_of_killed_controller(space: Workspace, job: str, at_work: Path) -> int:
    """Start the campaign, SIGKILL the controller while ``job`` is at work; the job's process id."""
    controller = space.start()
    lease = space.results / "jobs" / job / "attempt.lease"
    wait_until(lambda: (lease.exists() and at_work.exists()) or controller.poll() is not None)
    pid = int(json.loads(lease.read_text())["pid"])
    controller.kill()
    controller.wait()
    return pid


def files(space: Workspace) -> dict[str, int]:
    """Every result with the time of its last change."""
    return {
        str(path): path.stat().st_mtime_ns
        for path in space.results.rglob("*")
        if path.is_file() and not {"logs", "jobs"} & set(path.parts)
    }


def log(space: Workspace, name: str) -> str:
    """A job's log as it is now; empty between two attempts."""
    path = space.results / "logs" / name
    return path.read_text() if path.exists() else ""


def remote_job(space: Workspace, target: str, token: str) -> subprocess.CompletedProcess[str]:
    """A job as a cluster starts it, of the controller of that token."""
    return subprocess.run(
        [
            sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile"),
            "--target-jobs", target, "--allowed-rules", target.partition(":")[0], "--cores", "1",
            "--force", "--mode", "remote", "--executor", "local", "--no-hooks", "--nolock",
            "--ignore-incomplete", "--keep-incomplete", "--configfiles", "campaign.yaml",
        ],
        cwd=space.folder,
        env=environment() | {CONTROLLER_VARIABLE: token},
        capture_output=True,
        text=True,
        timeout=600,
    )  # fmt: skip


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory, finished: Workspace) -> Workspace:
    """A campaign whose controller was killed at a build and at a training, then run to its end."""
    space = workspace(tmp_path_factory.mktemp("disturbed"))
    results = space.results
    orphan_of_killed_controller(space, "build_structures-0", results)
    checkpoint = results / "rounds" / "0" / "committee" / "1" / "checkpoint.pt"
    orphan = orphan_of_killed_controller(space, "train_member-0-1", checkpoint)
    os.kill(orphan, signal.SIGSTOP)  # a training that lasts until the next controller is there
    try:
        controller = space.start()
        wait_until(lambda: WAITING in log(space, "train_member/0_1.log"))
    finally:
        os.kill(orphan, signal.SIGCONT)
    assert controller.wait(1500) == 0
    return space


def test_work_of_orphans_is_taken_over_not_repeated(disturbed: Workspace) -> None:
    for name in ("build_structures/0.log", "train_member/0_1.log"):
        said = log(disturbed, name)
        assert said.count("--- ") == 2, "two attempts, both heard"
        assert "its result is taken over" in said


def test_ranking_is_that_of_an_undisturbed_run(disturbed: Workspace, finished: Workspace) -> None:
    pd.testing.assert_frame_equal(
        *(
            pd.read_parquet(space.results / "rounds" / "1" / "ranking.parquet")
            for space in (disturbed, finished)
        )
    )


def test_a_pending_orphan_that_starts_when_all_is_done_changes_nothing(
    disturbed: Workspace,
) -> None:
    before = files(disturbed)
    for target in ("train_member:member=1,round=0", "label_batch:round=0,shard=0"):
        done = remote_job(disturbed, target, "a controller long dead")
        assert done.returncode != 0
        assert "superseded: another controller runs results/small" in done.stderr
        assert "Traceback" not in done.stderr
    assert files(disturbed) == before
    token = json.loads((disturbed.results / "controller.json").read_text())["token"]
    current = remote_job(disturbed, "build_structures:shard=0", token)
    assert current.returncode == 0, "the same command of the present controller does run"


def test_an_orphan_that_ends_after_its_successor_changes_nothing(fresh: Workspace) -> None:
    """Its node is unreachable (it is stopped, its heartbeat old); it goes on when all is done."""
    checkpoint = fresh.results / "rounds" / "0" / "committee" / "0" / "checkpoint.pt"
    orphan = orphan_of_killed_controller(fresh, "train_member-0-0", checkpoint)
    os.kill(orphan, signal.SIGSTOP)
    try:
        lease = fresh.results / "jobs" / "train_member-0-0" / "attempt.lease"
        lease.write_text(json.dumps(json.loads(lease.read_text()) | {"machine": "unreachable"}))
        os.utime(lease, (1, 1))
        fresh.run()
        before = files(fresh)
        os.kill(orphan, signal.SIGCONT)
        wait_until(lambda: "superseded" in log(fresh, "train_member/0_0.log"))
        wait_until(lambda: not Path(f"/proc/{orphan}").exists())
    finally:
        if Path(f"/proc/{orphan}").exists():
            os.kill(orphan, signal.SIGKILL)
    assert files(fresh) == before
    done = fresh.run("--dry-run")
    assert "Nothing to be done" in done.stdout + done.stderr
