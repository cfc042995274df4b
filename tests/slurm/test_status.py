"""``molsieve status`` asks a real scheduler, once, and gets along without its answer."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from molsieve.status.scheduler_queue import QueuedJob, queue_lines, queued_jobs
from molsieve.status.text import status
from tests.report.campaign_tables import campaign

from .cluster import Cluster

RUN = "molsieve_5a1b7c2e"


@pytest.fixture()
def place(tmp_path: Path, cluster: Cluster, monkeypatch) -> Iterator[Path]:
    """The working directory of a controller; its jobs are ended afterwards."""
    for name, value in cluster.environment().items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "campaign"
    folder.mkdir()
    yield folder
    cluster.command("scancel", "--name", RUN)


def submit(cluster: Cluster, place: Path, comment: str, *flags: str) -> str:
    """A job as the executor plugin submits it, that sleeps; returns its id."""
    command = ["sbatch", "--parsable", "--job-name", RUN, "--comment", comment, "-D", str(place)]
    command += ["--output", "/dev/null", "-p", "cpu", *flags, "--wrap", "exec sleep 300"]
    return cluster.command(*command).strip()


def jobs_when(place: Path, done) -> list[QueuedJob]:
    """The campaign's jobs, looked at until ``done`` says so."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        jobs = queued_jobs("tiny", place)
        assert jobs is not None
        if done(jobs):
            return jobs
        time.sleep(0.2)
    pytest.fail(f"the queue stays {jobs}")


def test_running_and_waiting_jobs_with_the_schedulers_reason(cluster, place, tmp_path):
    running = submit(cluster, place, "rule_label_batch_wildcards_0_1")
    held = submit(cluster, place, "rule_label_batch_wildcards_0_0", "--hold", "--array=0-1")
    submit(cluster, tmp_path, "rule_label_batch_wildcards_0_0", "--hold")
    submit(cluster, place, "something else", "--hold")
    jobs = jobs_when(place, lambda jobs: {j.state for j in jobs} == {"RUNNING", "PENDING"})
    assert {j.job_id for j in jobs} == {running, f"{held}_0", f"{held}_1"}
    assert {j.run for j in jobs} == {RUN}
    assert queue_lines(jobs)[1] == "label_batch: 1 running, 2 pending (JobHeldUser 2)"


def test_a_controller_that_is_down_is_a_line(cluster, place):
    settings = campaign(run={"label_store": str(place / "store")})
    (place / ".snakemake/log").mkdir(parents=True)
    (place / ".snakemake/log/1.snakemake.log").write_text(f"SLURM run ID: {RUN}\nresults/tiny/x\n")
    assert "scheduler   no job of this" in status(settings, place / "results/tiny")
    cluster.kill_controller()
    try:
        text = status(settings, place / "results/tiny")
    finally:
        cluster.start_controller()
    assert re.search("scheduler   squeue(:| gave no answer)", text)
    assert "at most 400 labels" in text
