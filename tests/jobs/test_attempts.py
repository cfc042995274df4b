"""One attempt of a job at a time; whichever comes late, however it ends, the files stay good."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from molsieve import tables
from molsieve.jobs import attempts
from molsieve.jobs.attempts import (
    CONTROLLER_VARIABLE,
    Job,
    StillRunning,
    Superseded,
    alone,
    overtaken,
    record_controller,
    together,
)
from molsieve.jobs.leases import _this_holder


@pytest.fixture(autouse=True)
def without_controller(monkeypatch: pytest.MonkeyPatch) -> None:
    """No controller's token from outside, quick looks at the other attempt."""
    monkeypatch.delenv(CONTROLLER_VARIABLE, raising=False)
    monkeypatch.setattr(attempts, "POLL_S", 0.02)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path, "train_member-0-1", (tmp_path / "out.json", tmp_path / "more.json"))


def stolen(job: Job) -> None:
    """What a successor does that thought this attempt dead."""
    holder = asdict(_this_holder("successor")) | {"machine": "elsewhere"}
    (job.folder / "attempt.lease").write_text(json.dumps(holder))


def test_second_attempt_waits_for_the_first(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    order: list[str] = []

    def second() -> None:
        with alone(job):
            order.append("second")

    with alone(job):
        thread = threading.Thread(target=second)
        thread.start()
        while "waiting for another attempt of train_member-0-1" not in capsys.readouterr().out:
            time.sleep(0.01)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert not list(job.folder.iterdir())


def test_waiting_ends_before_the_wall_time(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    with (
        alone(job),
        pytest.raises(StillRunning, match=r"train_member-0-1 is still at work .*slurm job 4711"),
        alone(job, lambda: time.time() + attempts.MARGIN_S - 1),
    ):
        pytest.fail("two attempts at once")


def test_attempt_of_a_dead_process_is_taken_over(job: Job) -> None:
    code = (
        "import os, sys; from pathlib import Path; from molsieve.jobs.attempts import Job, alone\n"
        "with alone(Job(Path(sys.argv[1]), sys.argv[2], ())): os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(job.results), job.name])
    assert done.returncode == 9
    assert (job.folder / "attempt.lease").exists()
    with alone(job, lambda: time.time() + attempts.MARGIN_S + 5):
        pass


def test_sigterm_frees_the_lease(job: Job) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from molsieve.jobs.attempts import Job, alone\n"
        "with alone(Job(Path(sys.argv[1]), sys.argv[2], ())):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    signal.pause()"
    )
    done = subprocess.run([sys.executable, "-c", code, str(job.results), job.name])
    assert done.returncode == -15
    assert not (job.folder / "attempt.lease").exists()


def test_overtaken_attempt_changes_no_file(job: Job) -> None:
    good = job.outputs[0]
    tables.write_json({"by": "successor"}, good)
    before = good.stat().st_mtime_ns
    with pytest.raises(Superseded, match="is left as it is"), alone(job):
        stolen(job)
        tables.write_json({"by": "orphan"}, good)
    assert json.loads(good.read_text()) == {"by": "successor"}
    assert good.stat().st_mtime_ns == before
    assert sorted(p.name for p in job.results.iterdir()) == ["jobs", "out.json"]
    assert json.loads((job.folder / "attempt.lease").read_text())["token"] == "successor"


def test_overtaken_attempt_fails_even_if_it_published_nothing_after(job: Job) -> None:
    with pytest.raises(Superseded), alone(job):
        stolen(job)


def test_files_outside_an_attempt_are_published(tmp_path: Path) -> None:
    tables.write_json({}, tmp_path / "free.json")
    assert (tmp_path / "free.json").exists()


def test_only_the_newest_of_attempts_that_work_together_publishes(job: Job) -> None:
    receipt, journal = job.outputs[0], job.results / "fragment.json"
    with pytest.raises(Superseded), together(job):
        (job.folder / "newest").write_text("a later attempt, of another process")
        receipt.write_text(json.dumps({"by": "newest"}))
        tables.write_json({"by": "orphan"}, journal)  # shared work is still handed in
        before = receipt.stat().st_mtime_ns
        tables.write_json({"by": "orphan"}, receipt)
    assert json.loads(receipt.read_text()) == {"by": "newest"}
    assert receipt.stat().st_mtime_ns == before
    assert journal.exists()


def test_an_older_attempt_of_those_that_work_together_fails(job: Job) -> None:
    with pytest.raises(Superseded), together(job):
        (job.folder / "newest").write_text("a later attempt, of another process")


def test_job_of_a_replaced_controller_is_refused(
    tmp_path: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert overtaken(tmp_path) == ""
    record_controller(tmp_path, "first")
    assert os.environ[CONTROLLER_VARIABLE] == "first"
    assert overtaken(tmp_path) == ""
    record_controller(tmp_path, "second")
    monkeypatch.setenv(CONTROLLER_VARIABLE, "first")
    assert "superseded: another controller runs" in overtaken(tmp_path)
    for way in (alone, together):
        with pytest.raises(Superseded), way(job):
            pytest.fail("ran all the same")
    assert not (job.folder / "attempt.lease").exists()
    monkeypatch.delenv(CONTROLLER_VARIABLE)
    assert overtaken(tmp_path) == "", "a script run by hand has no controller"


@pytest.mark.parametrize("text", ["", '{"token": "sec', "[]", '{"token": "second"}'])
def test_a_damaged_record_of_the_controller_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv(CONTROLLER_VARIABLE, "first")
    (tmp_path / "controller.json").write_text(text)
    assert overtaken(tmp_path) == ""


def test_controller_replaced_meanwhile_fails_the_attempt_at_its_end(
    tmp_path: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_controller(tmp_path, "first")
    with pytest.raises(Superseded), alone(job):
        record_controller(tmp_path, "second")
        monkeypatch.setenv(CONTROLLER_VARIABLE, "first")
        tables.write_json({}, job.outputs[0])  # nobody else is at it: the successor waits
    assert job.outputs[0].exists()


def test_only_the_standard_library_is_imported() -> None:
    code = (
        "import sys, molsieve.jobs.attempts, molsieve.jobs.kept_results;"
        "print({m.split('.')[0] for m in sys.modules})"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert not {"numpy", "pandas", "pydantic", "pyarrow", "torch"} & eval(out)


@pytest.mark.parametrize("seed", range(6))
def test_any_interleaving_of_attempts_leaves_the_same_files(tmp_path: Path, seed: int) -> None:
    """Attempts start and are killed at random: one at a time computes, none after the first end.

    A killed one may have kept its result and not yet written its end: the others take that over.
    """
    chance = random.Random(seed)
    journal = tmp_path / "journal"
    script = Path(__file__).with_name("attempt_of_a_job.py")

    def start() -> subprocess.Popen[bytes]:
        seconds = chance.uniform(0, 0.1)
        command = [sys.executable, str(script), str(tmp_path), str(journal), str(seconds)]
        return subprocess.Popen(command)

    running = [start() for _ in range(4)]
    for victim in running[:2]:
        time.sleep(chance.uniform(0, 0.4))
        victim.kill()
    running.append(start())
    assert [process.wait(60) for process in running][2:] == [0, 0, 0]
    killed = [str(process.pid) for process in running[:2]]
    computing = ""
    ended = False
    for line in journal.read_text().splitlines():
        word, pid = line.split()
        if word == "begin":
            assert not ended and (not computing or computing in killed)
            computing = pid
        else:
            assert computing == pid
            computing, ended = "", True
    assert ended or computing in killed
    outputs = {path.name: path.read_text() for path in (tmp_path / "out").glob("[!.]*")}
    assert outputs == {"one": "all of one", "two": "all of two"}
