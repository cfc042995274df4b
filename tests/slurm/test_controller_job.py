"""``controller.sbatch``: the controller as a job that sends its successor.

Snakemake is stood in for by a shell script: what is tested is who starts, who is cancelled.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .cluster import Cluster, Job

NAME = "molsieve-controller"
SCRIPT = Path(__file__).resolve().parents[2] / "profiles" / "slurm" / "controller.sbatch"


@pytest.fixture
def place(tmp_path: Path, cluster: Cluster) -> Iterator[Path]:
    """The folder where a controller is submitted; none of it is left in the queue."""
    yield tmp_path
    cluster.command("scancel", f"--name={NAME}")


def submit(cluster: Cluster, place: Path, snakemake: str) -> str:
    """Send the controller, with these shell lines as ``snakemake``; returns its job id."""
    stand_in = place / "bin" / "snakemake"
    stand_in.parent.mkdir()
    stand_in.write_text(f"#!/bin/sh\n{snakemake}\n")
    stand_in.chmod(0o755)
    path = f"{stand_in.parent}:{cluster.environment()['PATH']}"
    command = ["sbatch", "--parsable", "-p", "cpu", "--mem=200", f"--export=ALL,PATH={path}"]
    return cluster.command(*command, "-D", str(place), str(SCRIPT), "config/X.yaml").strip()


def controllers_when(cluster: Cluster, place: Path, done: Callable[[list[Job]], bool]) -> list[Job]:
    """The controllers sent from ``place``, oldest first, looked at until ``done`` says so."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        jobs = [job for job in cluster.jobs(place) if job.name == NAME]
        if done(jobs):
            return jobs
        time.sleep(0.3)
    pytest.fail(f"the queue stays {jobs}")


def states(jobs: list[Job]) -> list[str]:
    return [job.state for job in jobs]


@pytest.mark.parametrize(("status", "state"), [(0, "COMPLETED"), (1, "FAILED")])
def test_a_snakemake_that_ended_has_no_successor(cluster, place, status, state):
    submit(cluster, place, f'echo "$@" > said; exit {status}')
    wanted = [state, "CANCELLED"]
    controllers_when(cluster, place, lambda jobs: states(jobs) == wanted)
    said = (place / "said").read_text().split()
    assert said[said.index("--configfile") + 1] == "config/X.yaml"
    assert said[said.index("--workflow-profile") + 1] == str(SCRIPT.parent)


def test_the_successor_goes_on_when_time_is_over(cluster, place):
    """The first is told that its time is over, and dies; the second, which finds its mark, ends."""
    first = submit(cluster, place, "[ -e mark ] && exit 0; touch mark; exec sleep 600")
    controllers_when(cluster, place, lambda jobs: len(jobs) == 2 and (place / "mark").exists())
    cluster.scancel(first, "--signal=USR1", "--batch")
    wanted = ["COMPLETED", "COMPLETED", "CANCELLED"]
    controllers_when(cluster, place, lambda jobs: states(jobs) == wanted)


def test_scancel_by_name_stops_the_chain(cluster, place):
    submit(cluster, place, "touch mark; exec sleep 600")
    controllers_when(cluster, place, lambda jobs: len(jobs) == 2 and (place / "mark").exists())
    cluster.command("scancel", f"--name={NAME}")
    jobs = controllers_when(
        cluster, place, lambda jobs: not {"RUNNING", "PENDING", "COMPLETING"} & {*states(jobs)}
    )
    time.sleep(2)  # a successor would start by now
    assert len([job for job in cluster.jobs(place) if job.name == NAME]) == len(jobs) == 2
