"""A disk that fills up while labels are recorded: one message, nothing lost, nothing twice."""

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import computations
import pytest

from molsieve import tables
from molsieve.labelling.journal import Journal, read_journal
from molsieve.labelling.store import read_attempts

SCRIPT = Path(__file__).with_name("run_label_job.py")


@pytest.fixture
def small_disk(tmp_path):
    """(kilobytes) -> a file system of that size, (bytes) -> resized; skipped without the right."""
    mounted = []

    def mount(kilobytes):
        place = tmp_path / "disk"
        place.mkdir(exist_ok=True)
        size = f"size={kilobytes}k" if not mounted else f"remount,size={kilobytes}k"
        command = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(place)]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip("file systems cannot be mounted here")
        mounted.append(place)
        return place

    yield mount
    if mounted:
        subprocess.run(["umount", "--lazy", str(mounted[0])], check=True)


def label_job(structures, store, tmp_path):
    receipt = tmp_path / "receipt.parquet"
    arguments = [structures, store, receipt, 2, "counted"]
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
    )


def test_job_on_a_full_disk_stops_with_one_message_and_goes_on_after_space_is_made(
    small_disk, tmp_path, small_molecules, starts_file, level_name
):
    n = 60
    structures = tmp_path / "structures.parquet"
    tables.write_table(small_molecules(n), "structures", structures)
    disk = small_disk(48)
    stopped = label_job(structures, disk / "store", tmp_path)
    assert stopped.returncode == 1
    assert "No space left on device" in stopped.stderr and "Traceback" not in stopped.stderr
    recorded = set(read_attempts(disk / "store", level_name)["structure_id"])
    assert 0 < len(recorded) < n
    begun = computations.starts()
    # What was begun and not recorded is the one calculation a worker that met the full disk.
    assert len(begun) - len(recorded) <= 2

    again = label_job(structures, disk / "store", tmp_path)
    assert again.returncode == 1 and "No space left on device" in again.stderr
    small_disk(10_000)
    finished = label_job(structures, disk / "store", tmp_path)
    assert finished.returncode == 0, finished.stderr
    attempts = read_attempts(disk / "store", level_name)
    assert len(attempts) == n and set(attempts["status"]) == {"ok"}
    starts = computations.starts()
    assert all(starts.count(i) == 1 for i in recorded)


def test_torn_record_is_skipped_and_the_journal_stays_usable(tmp_path):
    journal = Journal(tmp_path / "a.jsonl")
    journal.append({"n": 1})
    size = journal.path.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, limits[1]))
        with pytest.raises(OSError) as full:
            journal.append({"n": 2, "text": "x" * 100})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert full.value.errno == errno.EFBIG
    assert journal.path.stat().st_size > size and read_journal(journal.path).half_written
    journal.append({"n": 3})
    found = read_journal(journal.path)
    assert [r["n"] for r in found.records] == [1, 3] and found.corrupted == 1
