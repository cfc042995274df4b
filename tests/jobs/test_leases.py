import errno
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict

import pytest

from molsieve.jobs.leases import (
    Lease,
    LeaseHeld,
    _this_holder,
    clear_if_stale,
    is_live,
    read_holder,
)


def left_behind(path, age_s, **fields):
    """A lease file of a holder on another machine whose last heartbeat is ``age_s`` old."""
    holder = asdict(_this_holder("theirs")) | {"machine": "elsewhere", "host": "node7"} | fields
    path.write_text(json.dumps(holder))
    os.utime(path, (time.time() - age_s, time.time() - age_s))


def test_second_holder_is_refused_until_release(tmp_path):
    first, second = Lease(tmp_path / "a"), Lease(tmp_path / "a")
    assert first.acquire()
    assert not second.acquire()
    assert str(os.getpid()) in str(second.holder())
    first.release()
    assert second.acquire()
    second.release()
    assert list(tmp_path.iterdir()) == []


def test_context_manager_refuses_a_held_lease(tmp_path):
    with Lease(tmp_path / "a"), pytest.raises(LeaseHeld, match=str(os.getpid())):
        Lease(tmp_path / "a").__enter__()


def test_live_lease_of_another_machine_is_respected_and_a_stale_one_taken(tmp_path):
    left_behind(tmp_path / "a", age_s=20)
    assert not Lease(tmp_path / "a", stale_after_s=60).acquire()
    assert read_holder(tmp_path / "a").token == "theirs"
    thief = Lease(tmp_path / "a", stale_after_s=10)
    assert thief.acquire() and thief.confirmed()
    assert read_holder(tmp_path / "a").token == thief.token
    thief.release()
    assert list(tmp_path.iterdir()) == []


def test_dead_process_of_this_machine_is_stale_at_once(tmp_path):
    code = (
        "import os, sys; from molsieve.jobs.leases import Lease;"
        "assert Lease(sys.argv[1]).acquire(); os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")])
    assert done.returncode == 9 and (tmp_path / "a").exists()
    assert not is_live(tmp_path / "a", 3600)
    assert Lease(tmp_path / "a", 3600).acquire()


def test_reused_process_id_is_not_the_holder(tmp_path):
    holder = asdict(_this_holder("theirs"))
    (tmp_path / "a").write_text(json.dumps(holder))
    assert is_live(tmp_path / "a", 3600)
    (tmp_path / "a").write_text(json.dumps(holder | {"process_start": "1"}))
    assert not is_live(tmp_path / "a", 3600)


def test_exactly_one_of_many_takes_a_stale_lease(tmp_path):
    for attempt in range(60):
        path = tmp_path / f"lease{attempt}"
        left_behind(path, age_s=100)
        leases = [Lease(path, stale_after_s=50) for _ in range(12)]
        barrier = threading.Barrier(len(leases))
        won = []

        def take(lease, barrier=barrier, won=won):
            barrier.wait()
            if lease.acquire():
                won.append(lease)

        threads = [threading.Thread(target=take, args=(lease,)) for lease in leases]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert read_holder(path).token == won[0].token
        won[0].release()
    assert list(tmp_path.iterdir()) == []


def test_heartbeat_keeps_a_lease_fresh(tmp_path):
    lease = Lease(tmp_path / "a", stale_after_s=0.5)
    assert lease.acquire()
    os.utime(lease.path, (1, 1))
    for _ in range(100):
        time.sleep(0.05)
        if os.stat(lease.path).st_mtime > 1:
            break
    assert os.stat(lease.path).st_mtime > 1
    lease.release()


def test_robbed_holder_notices_and_leaves_the_thief_alone(tmp_path, caplog):
    lease = Lease(tmp_path / "a", stale_after_s=0.2)
    assert lease.acquire()
    left_behind(tmp_path / "a", age_s=0)
    for _ in range(100):
        time.sleep(0.05)
        if "was taken over by" in caplog.text:
            break
    assert "was taken over by" in caplog.text and "node7" in caplog.text
    lease.release()
    assert read_holder(tmp_path / "a").token == "theirs"


def test_thief_that_died_at_its_marker_does_not_block_for_ever(tmp_path):
    left_behind(tmp_path / "a", age_s=100)
    (tmp_path / "a.steal-theirs").write_text("")
    assert not Lease(tmp_path / "a", stale_after_s=50).acquire()
    time.sleep(0.3)
    lease = Lease(tmp_path / "a", stale_after_s=0.2)
    assert not lease.acquire()  # clears the marker
    assert lease.acquire()
    lease.release()


def test_robbed_holder_knows_at_once_when_it_asks(tmp_path):
    lease = Lease(tmp_path / "a", stale_after_s=3600)
    assert not lease.confirmed()
    assert lease.acquire() and lease.confirmed()
    left_behind(tmp_path / "a", age_s=0)
    assert not lease.confirmed()
    lease.release()


@pytest.mark.parametrize("refusal", [errno.EPERM, errno.ENOTSUP, errno.EMLINK])
def test_without_hard_links_a_lease_excludes_all_the_same(tmp_path, monkeypatch, refusal):
    def refused(*_):
        raise OSError(refusal, os.strerror(refusal))

    monkeypatch.setattr(os, "link", refused)
    first, second = Lease(tmp_path / "a", 60), Lease(tmp_path / "a", 60)
    assert first.acquire()
    assert not second.acquire()
    left_behind(tmp_path / "a", age_s=100)
    assert second.acquire() and second.confirmed() and not first.confirmed()
    first.release()
    second.release()
    assert list(tmp_path.iterdir()) == []


def test_unreadable_lease_counts_by_its_age(tmp_path):
    (tmp_path / "a").write_text("{half a")
    assert not Lease(tmp_path / "a", 60).acquire()
    os.utime(tmp_path / "a", (1, 1))
    assert Lease(tmp_path / "a", 60).acquire()


def test_holder_tells_its_batch_job_and_an_older_file_names_none(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    with Lease(tmp_path / "a") as lease:
        assert "slurm job 4711" in str(lease.holder())
    old = asdict(_this_holder("theirs"))
    del old["job"]
    (tmp_path / "a").write_text(json.dumps(old))
    assert read_holder(tmp_path / "a").token == "theirs"
    assert "job" not in str(read_holder(tmp_path / "a"))


def test_clear_if_stale(tmp_path):
    assert clear_if_stale(tmp_path / "none", 10)
    left_behind(tmp_path / "live", age_s=0)
    left_behind(tmp_path / "stale", age_s=100)
    assert not clear_if_stale(tmp_path / "live", 10)
    assert clear_if_stale(tmp_path / "stale", 10)
    assert [p.name for p in tmp_path.iterdir()] == ["live"]


def test_only_the_standard_library_is_imported():
    code = "import sys, molsieve.jobs.leases; print({m.split('.')[0] for m in sys.modules})"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert not {"numpy", "pandas", "pydantic", "pyarrow"} & eval(out)
