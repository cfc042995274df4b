"""Scratch folders go with their job, by the next one if need be, and never while it lives."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict

import pytest

from molsieve.jobs.leases import _this_holder
from molsieve.labelling.scratch import ABANDONED_AFTER_S, LEASE, PREFIX, remove_abandoned
from molsieve.labelling.scratch import scratch_folder as scratch

OWNER = """
import sys
from molsieve.labelling.scratch import scratch_folder
with scratch_folder(sys.argv[1]) as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other_job(tmp_path):
    """A job in a process of its own, and its folder; killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process, tmp_path / process.stdout.readline().strip()
    process.kill()
    process.communicate()


def of_another_node(folder, age_s):
    folder.mkdir()
    holder = asdict(_this_holder("theirs")) | {"machine": "elsewhere", "host": "node7"}
    (folder / LEASE).write_text(json.dumps(holder))
    os.utime(folder / LEASE, (time.time() - age_s,) * 2)


def test_folder_is_gone_with_its_job(tmp_path):
    with scratch(str(tmp_path)) as folder:
        (folder / "integrals").write_text("x")
        assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_folder_of_a_killed_job_is_removed_by_the_next(tmp_path, other_job):
    process, folder = other_job
    process.kill()
    process.wait()
    assert folder.exists()
    with scratch(str(tmp_path)):
        assert not folder.exists()


def test_live_job_keeps_its_folder_even_if_suspended_for_long(tmp_path, other_job):
    _, folder = other_job
    os.utime(folder / LEASE, (time.time() - 3600,) * 2)
    remove_abandoned(tmp_path)
    assert folder.exists()


def test_folder_of_another_node_is_left_for_a_day(tmp_path):
    for name, age_s in (("young", 3600), ("old", ABANDONED_AFTER_S + 60)):
        of_another_node(tmp_path / f"{PREFIX}{name}", age_s)
    (tmp_path / f"{PREFIX}being-made").mkdir()
    remove_abandoned(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{PREFIX}being-made", f"{PREFIX}young"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give folders away")
def test_another_users_folder_is_never_touched(tmp_path, other_job):
    process, folder = other_job
    process.kill()
    process.wait()
    shutil.chown(folder, 12345)
    remove_abandoned(tmp_path)
    assert folder.exists()
