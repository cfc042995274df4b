"""The queue as ``squeue`` prints it; ``tests/slurm`` asks a real one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from molsieve.status import scheduler_queue
from molsieve.status.scheduler_queue import SchedulerError, queue_lines, queued_jobs

RUN, OTHER_RUN = "molsieve_9c1f8e4a", "molsieve_11d0aa52"


@pytest.fixture()
def squeue(tmp_path, monkeypatch):
    """Puts a ``squeue`` of a few shell lines in front of PATH; it counts its calls."""

    def put(script: str) -> Path:
        program = tmp_path / "bin/squeue"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/calls\n{script}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        return tmp_path / "calls"

    return put


def line(job: str, state: str, run: str, reason: str, place: Path, comment: str) -> str:
    return f"echo '{job}|{state}|{run}|{reason}|{place}|{comment}'"


def test_jobs_of_this_campaign_by_rule_from_one_call(squeue, tmp_path):
    logs = tmp_path / ".snakemake/log"
    logs.mkdir(parents=True)
    (logs / "1.snakemake.log").write_text(f"SLURM run ID: {RUN}\noutput: results/tiny/x\n")
    (logs / "2.snakemake.log").write_text(f"SLURM run ID: {OTHER_RUN}\noutput: results/big/x\n")
    rows = [
        line("7_0", "RUNNING", RUN, "None", tmp_path, "rule_label_batch_wildcards_0_0"),
        line("7_1", "PENDING", RUN, "Resources", tmp_path, "rule_label_batch_wildcards_0_1"),
        line("7_2", "PENDING", RUN, "Priority", tmp_path, "rule_label_batch_wildcards_0|2"),
        line("8", "RUNNING", RUN, "None", tmp_path, "rule_build_references"),
        line("9", "RUNNING", OTHER_RUN, "None", tmp_path, "rule_build_references"),
        line("10", "RUNNING", RUN, "None", tmp_path / "elsewhere", "rule_build_references"),
        line("11", "RUNNING", "interactive", "None", tmp_path, "(null)"),
    ]
    calls = squeue("\n".join(rows))
    jobs = queued_jobs("tiny", tmp_path)
    assert [job.job_id for job in jobs] == ["7_0", "7_1", "7_2", "8"]
    assert (jobs[2].rule, jobs[2].wildcards) == ("label_batch", "0|2")
    assert queue_lines(jobs) == [
        "4 jobs in the queue",
        "build_references: 1 running",
        "label_batch: 1 running, 2 pending (Resources 1, Priority 1)",
    ]
    assert len(calls.read_text().splitlines()) == 1


def test_a_working_directory_behind_a_link_is_the_same(squeue, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    squeue(line("1", "RUNNING", RUN, "None", tmp_path / "real", "rule_rank_candidates"))
    assert len(queued_jobs("tiny", tmp_path / "link")) == 1


def test_an_empty_queue_and_no_scheduler_differ(squeue, tmp_path, monkeypatch):
    squeue("exit 0")
    assert queued_jobs("tiny", tmp_path) == []
    assert queue_lines([]) == ["no job of this campaign is in the queue"]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert queued_jobs("tiny", tmp_path) is None


def test_a_client_without_a_cluster_is_no_scheduler(squeue, tmp_path):
    """Until a run here has sent jobs: then its cluster is missed."""
    squeue("echo 'squeue: fatal: Could not establish a configuration source' >&2; exit 1")
    assert queued_jobs("tiny", tmp_path) is None
    logs = tmp_path / ".snakemake/log"
    logs.mkdir(parents=True)
    (logs / "1.snakemake.log").write_text("Building DAG of jobs...\n")
    assert queued_jobs("tiny", tmp_path) is None
    (logs / "2.snakemake.log").write_text(f"SLURM run ID: {RUN}\n")
    with pytest.raises(SchedulerError, match="configuration source"):
        queued_jobs("tiny", tmp_path)


def test_an_error_and_a_silence_are_messages(squeue, tmp_path, monkeypatch):
    logs = tmp_path / ".snakemake/log"
    logs.mkdir(parents=True)
    (logs / "1.snakemake.log").write_text(f"SLURM run ID: {RUN}\n")
    squeue("echo 'squeue: error: Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(SchedulerError, match=r"^squeue: error: Unable to contact"):
        queued_jobs("tiny", tmp_path)
    monkeypatch.setattr(scheduler_queue, "ANSWER_WITHIN_S", 0.2)
    squeue("exec sleep 30")
    with pytest.raises(SchedulerError, match=r"no answer within 0\.2 s"):
        queued_jobs("tiny", tmp_path)
