"""Workers of a job do not share a core, a GPU or their memory."""

import json
import os
import subprocess
import sys

import pytest

from molsieve.jobs.allocation import Allocation
from molsieve.labelling.places import memory_share_mb

WORKER = """
import json, os, sys
from molsieve.jobs.allocation import Allocation
from molsieve.labelling.places import take_place
from pathlib import Path
gpus, cores, scratch = json.loads(sys.argv[1])
slot = take_place(Allocation(gpus=tuple(gpus), pinnable=tuple(cores)), 2, Path(scratch))
gpu = os.environ.get("CUDA_VISIBLE_DEVICES")
print(json.dumps([slot, gpu, sorted(os.sched_getaffinity(0))]), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def start_worker(tmp_path):
    """(gpus, cores) -> a process that took its place, and what it got."""
    started = []

    def start(gpus=(), cores=()):
        argument = json.dumps([gpus, cores, str(tmp_path)])
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER, argument],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process, json.loads(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_each_worker_has_a_core_and_a_gpu_of_its_own(start_worker):
    cores = sorted(os.sched_getaffinity(0))[:2]
    found = [start_worker(["4", "7"], cores)[1] for _ in range(2)]
    assert found == [[0, "4", [cores[0]]], [1, "7", [cores[-1]]]]


def test_place_of_a_killed_worker_is_free_again(start_worker):
    first, (slot, *_) = start_worker(["4", "7"])
    start_worker(["4", "7"])
    first.kill()
    first.wait()
    assert start_worker(["4", "7"])[1][:2] == [slot, "4"]


def test_nothing_is_pinned_where_cores_are_shared(start_worker):
    slot, gpu, cores = start_worker()[1]
    assert slot == 0 and gpu == os.environ.get("CUDA_VISIBLE_DEVICES")
    assert cores == sorted(os.sched_getaffinity(0))


@pytest.mark.parametrize("granted_mb", [4000, 8000, 100_000])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_workers_together_stay_below_the_granted_memory(granted_mb, workers):
    share = memory_share_mb(Allocation(memory_mb=granted_mb), workers)
    assert 0 < share * workers < granted_mb


def test_memory_is_nobodys_business_on_a_plain_machine():
    assert memory_share_mb(Allocation(), 4) is None
