"""Killing label jobs: nothing journaled is lost, nothing journaled is computed again."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import computations
import pytest

from molsieve import tables
from molsieve.labelling import read_labels
from molsieve.labelling.store import read_attempts

WORKERS = 2
SCRIPT = Path(__file__).with_name("run_label_job.py")


@pytest.fixture
def job(tmp_path, small_molecules, starts_file):
    """(n_structures, compute, limit) -> a function that starts that job as a process of its own."""

    def prepare(n, compute, *limit_s):
        structures = tmp_path / "structures.parquet"
        tables.write_table(small_molecules(n), "structures", structures)
        store, receipt = tmp_path / "store", tmp_path / "receipt.parquet"
        arguments = [structures, store, receipt, WORKERS, compute, *limit_s]
        return lambda: subprocess.Popen(
            [sys.executable, str(SCRIPT), *map(str, arguments)],
            stderr=subprocess.PIPE,
            text=True,
        )

    return prepare


@pytest.fixture
def stored(tmp_path, level_name):
    return lambda: set(read_labels(tmp_path / "store", level_name)["structure_id"])


def wait_for_starts(n, process):
    """Until ``n`` calculations have begun."""
    while len(computations.starts()) < n and process.poll() is None:
        time.sleep(0.01)


def test_killing_the_job_loses_and_repeats_nothing_journaled(
    job, stored, tmp_path, level_name, folder
):
    n, kills = 30, 3
    start = job(n, "counted_slowly")
    chance = random.Random(11)
    for kill in range(kills):
        process = start()
        wait_for_starts(5 + 8 * kill, process)
        time.sleep(chance.uniform(0.0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
        journaled = stored()
        assert 0 < len(journaled) < n
        begun = Counter(computations.starts())
    process = start()
    assert process.wait() == 0, process.stderr.read()
    assert len(tables.read_table(tmp_path / "receipt.parquet", "receipt")) == n
    assert journaled <= stored() and len(stored()) == n
    after = Counter(computations.starts())
    # Orphans end within a moment, so what was journaled after our look is in the store as well.
    assert all(after[i] == begun[i] for i in journaled)
    assert sum(after.values()) - n <= WORKERS * kills
    attempts = read_attempts(tmp_path / "store", level_name)
    assert len(attempts) == n and set(attempts["status"]) == {"ok"}
    assert [*folder.journals.iterdir(), *folder.claims.glob("[!.]*")] == []


def test_sigterm_stops_the_job_in_good_order(job, stored, folder):
    process = job(60, "counted_slowly")()
    wait_for_starts(6, process)
    process.send_signal(signal.SIGTERM)
    message = process.communicate(timeout=60)[1]
    assert process.returncode == 1 and "structures have no label yet" in message
    assert "Traceback" not in message
    assert 0 < len(stored()) < 60
    # What ran was let end, and everything is handed in.
    assert len(stored()) == len(computations.starts())
    assert folder.journal_paths() == [] and len(folder.fragment_paths()) == 1
    assert list(folder.claims.iterdir()) == []


def test_sigterm_to_the_whole_job_leaves_no_failed_rows(job, stored, tmp_path, level_name):
    start = job(40, "counted_slowly")
    process = start()
    wait_for_starts(6, process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in [str(process.pid), *children]:
        subprocess.run(["kill", "-TERM", pid], check=False)
    process.communicate(timeout=60)
    assert process.returncode == 1
    assert start().wait() == 0
    attempts = read_attempts(tmp_path / "store", level_name)
    assert len(attempts) == 40 and set(attempts["status"]) == {"ok"}


def test_calculation_that_ends_inside_the_grace_is_journaled(job, stored):
    process = job(6, "counted_for_two_seconds")()
    wait_for_starts(2, process)
    for pid in [process.pid, *children_of(process.pid)]:
        os.kill(pid, signal.SIGTERM)
    assert "structures have no label yet" in process.communicate(timeout=60)[1]
    assert stored() == set(computations.starts()) and 2 <= len(stored()) < 6


def test_second_sigterm_stops_at_once_and_leaves_no_process(job, stored, folder):
    process = job(4, "counted_for_an_hour")()
    wait_for_starts(2, process)
    children = children_of(process.pid)
    process.send_signal(signal.SIGTERM)
    time.sleep(1.0)
    assert process.poll() is None  # inside run.grace_s
    process.send_signal(signal.SIGTERM)
    assert "4 of 4 structures" in process.communicate(timeout=15)[1]
    assert stored() == set()
    left_by = time.monotonic() + 10.0  # a killed process takes its time to go on a busy machine
    while any(is_running(pid) for pid in children):
        assert time.monotonic() < left_by
        time.sleep(0.05)


def test_suspended_job_condemns_no_structure(job, tmp_path, level_name):
    process = job(4, "counted_for_two_seconds", 6.0)()
    wait_for_starts(2, process)
    everyone = [process.pid, *children_of(process.pid)]
    for number, pause_s in ((signal.SIGSTOP, 8.0), (signal.SIGCONT, 0.0)):
        for pid in everyone:
            os.kill(pid, number)
        time.sleep(pause_s)
    assert "stood still" in process.communicate(timeout=90)[1]
    assert process.returncode == 0
    attempts = read_attempts(tmp_path / "store", level_name)
    assert len(attempts) == 4 and set(attempts["status"]) == {"ok"}


def children_of(pid):
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_two_jobs_at_once_compute_each_structure_once(job, stored, tmp_path, level_name):
    start = job(30, "counted_slowly")
    processes = [start(), start()]
    assert [p.wait(timeout=100) for p in processes] == [0, 0]
    assert sorted(computations.starts()) == sorted(stored()) and len(stored()) == 30
    assert len(read_attempts(tmp_path / "store", level_name)) == 30
