"""What a batch system grants: read from the environment and from SLURM's own answer."""

import os
import stat
import subprocess
import sys
import time

import pytest

from molsieve.jobs import allocation
from molsieve.jobs.allocation import Allocation, current_allocation

CORES = len(os.sched_getaffinity(0))


@pytest.fixture(autouse=True)
def plain_machine(monkeypatch):
    """No batch system around the tests, whatever runs them."""
    named = ("CUDA_VISIBLE_DEVICES", "SGE_ROOT", "JOB_ID", "PBS_JOBID", "LSB_JOBID")
    for name in list(os.environ):
        if name.startswith("SLURM") or name in named:
            monkeypatch.delenv(name)
    allocation._slurm_end_time.cache_clear()


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """(answer) -> a ``squeue`` that gives it; returns the file with the arguments of its calls."""

    def install(answer):
        calls = tmp_path / "calls.txt"
        program = tmp_path / "squeue"
        program.write_text(
            f'#!/bin/sh\necho "$SLURM_TIME_FORMAT $@" >> {calls}\nprintf "%s" "{answer}"\n'
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        return calls

    return install


def test_plain_machine_has_no_deadline_no_pins_and_no_memory_limit():
    here = current_allocation(2, runtime_min=10, memory_mb=4000)
    assert here == Allocation(cores=min(2, CORES))


def test_cores_never_exceed_the_affinity_mask():
    assert current_allocation(10_000).cores == CORES
    assert current_allocation(1).cores == 1


def test_slurm_job_with_its_end_in_the_environment_asks_nobody(monkeypatch, squeue):
    calls = squeue("1")
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setenv("SLURM_JOB_END_TIME", "2000000000")
    found = current_allocation(CORES, memory_mb=4000)
    assert (found.scheduler, found.job_id, found.deadline) == ("slurm", "12", 2e9)
    assert found.memory_mb == 4000
    assert not calls.exists()


def test_slurm_is_asked_once_for_the_end_of_the_job(monkeypatch, squeue):
    calls = squeue("2000000001")
    monkeypatch.setenv("SLURM_JOB_ID", "13")
    assert current_allocation(1, runtime_min=5).deadline == 2000000001
    assert current_allocation(1).deadline == 2000000001
    assert calls.read_text().splitlines() == ["%s --noheader --job 13 --format %e"]


@pytest.mark.parametrize("answer", ["N/A", "", "NONE"])
def test_without_an_answer_the_end_is_reckoned_from_the_time_asked_for(monkeypatch, squeue, answer):
    squeue(answer)
    monkeypatch.setenv("SLURM_JOB_ID", "14")
    assert current_allocation(1, runtime_min=10).deadline <= time.time() + 600
    assert current_allocation(1).deadline is None


@pytest.mark.parametrize(
    "variables, scheduler",
    [
        ({"PBS_JOBID": "7.server"}, "pbs"),
        ({"LSB_JOBID": "7"}, "lsf"),
        ({"JOB_ID": "7", "SGE_ROOT": "/opt/sge"}, "sge"),
        ({"JOB_ID": "7"}, ""),
    ],
)
def test_other_schedulers_are_known_by_their_variable(monkeypatch, variables, scheduler):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = current_allocation(1, runtime_min=10)
    assert found.scheduler == scheduler
    assert (found.deadline is not None) == bool(scheduler)
    assert (scheduler in found.place and "job 7" in found.place) or not scheduler


def test_cores_are_pinnable_only_where_the_mask_is_the_grant(monkeypatch):
    monkeypatch.setenv("PBS_JOBID", "7")
    mine = tuple(sorted(os.sched_getaffinity(0)))
    assert current_allocation(CORES).pinnable == mine
    assert current_allocation(CORES + 1).pinnable == ()


@pytest.mark.parametrize(
    "variables, gpus, names",
    [
        ({"CUDA_VISIBLE_DEVICES": "2,5"}, 2, ("2", "5")),
        ({"CUDA_VISIBLE_DEVICES": "GPU-8a, GPU-8b"}, 1, ("GPU-8a",)),
        ({"CUDA_VISIBLE_DEVICES": ""}, 1, ()),
        ({"CUDA_VISIBLE_DEVICES": "0,1"}, 0, ()),
        ({"SLURM_STEP_GPUS": "3"}, 2, ("3",)),
        ({}, 2, ("0", "1")),
    ],
)
def test_gpus_are_those_of_the_job_cut_to_what_was_asked_for(monkeypatch, variables, gpus, names):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert current_allocation(4, gpus=gpus).gpus == names


def test_workers_are_one_a_core_or_one_a_gpu():
    found = Allocation(cores=6, gpus=("0", "1"))
    assert found.workers() == 6
    assert found.workers("gpu") == 2
    assert Allocation(cores=6).workers("gpu") == 1


def test_imports_the_standard_library_only():
    code = "import sys, molsieve.jobs.allocation; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert not {"pandas", "numpy", "pydantic"} & set(modules.split())
