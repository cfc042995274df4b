"""A private cluster for each test process, and campaigns that run through it."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.workflow.conftest import Workspace
from tests.workflow.conftest import workspace as local_workspace

from . import processes
from .cluster import WAITING, Cluster, Job

SOON = ("--slurm-init-seconds-before-status-checks", "2")
"""The one setting of the shipped profile that tests change: look at jobs sooner than 20 s."""


def cluster_folder() -> Path:
    """A new folder with a short path; in $CLUSTER_TESTS if set, where make stops what is left."""
    return Path(tempfile.mkdtemp(prefix="slurm-", dir=os.environ.get("CLUSTER_TESTS")))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster of this test process."""
    with Cluster(cluster_folder()) as running:
        yield running


def workspace(folder: Path, cluster: Cluster, **settings: Any) -> Workspace:
    """The smallest campaign in ``folder``, run through profiles/slurm on the cluster.

    What engines write on the nodes goes to ``node_scratch`` beside the campaign.
    """
    scratch = folder / "node_scratch"
    scratch.mkdir(parents=True)
    variables = cluster.environment() | {"TMPDIR": str(scratch)}
    space = {"profile": "slurm", "options": SOON, "variables": variables}
    return local_workspace(folder, **(space | settings))


def end_all(folder: Path, cluster: Cluster) -> None:
    """End the jobs, then the processes, that work in a folder."""
    for job in active_jobs(folder, cluster):
        cluster.scancel(job.job_id, "--signal=KILL", "--full")
        cluster.scancel(job.job_id)
    processes.kill(processes_in(folder))
    shutil.rmtree(folder / "node_scratch", ignore_errors=True)


def active_jobs(folder: Path, cluster: Cluster) -> list[Job]:
    """Jobs of a workspace that wait or run."""
    return [job for job in cluster.jobs(folder) if job.state in WAITING]


def processes_in(folder: Path) -> list[int]:
    """Processes whose working directory is the folder or below."""
    found = []
    for pid in processes.all_pids():
        try:
            place = Path(os.readlink(f"/proc/{pid}/cwd"))
        except OSError:
            continue
        if place.is_relative_to(folder.resolve()):
            found.append(pid)
    return found


def rule_of(job: Job) -> str:
    """The rule that a job runs, from the comment that the executor gives it."""
    return re.sub(r"^rule_|_wildcards_.*$", "", job.comment)


def rules_sent(printed: str) -> Counter[str]:
    """Jobs by rule that Snakemake handed to the cluster, from what it printed."""
    return Counter(re.findall(r"^(?:rule|checkpoint) (\w+):$", printed, re.MULTILINE))


def rules_kept(printed: str) -> Counter[str]:
    """Jobs by rule that ran beside the controller, from what Snakemake printed."""
    return Counter(re.findall(r"^local(?:rule|checkpoint) (\w+):$", printed, re.MULTILINE))
