"""SLURM's commands fail for a while: no job is forgotten."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace

import pytest

plugin = pytest.importorskip("snakemake_executor_plugin_slurm")

from throttler import Throttler  # noqa: E402

from molsieve.jobs.scheduler_outages import (  # noqa: E402
    ending_preempted,
    keeping_jobs,
    outlast_outages,
)


@pytest.fixture
def executor(tmp_path, monkeypatch):
    """The plugin's own executor, with no workflow, where SLURM's commands all fail."""
    for name in ("scontrol", "squeue", "sacct"):
        command = tmp_path / name
        command.write_text("#!/bin/sh\nexit 1\n")
        command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    made = object.__new__(plugin.Executor)
    settings = SimpleNamespace(
        init_seconds_before_status_checks=2, status_attempts=2, status_command="squeue"
    )
    made.workflow = SimpleNamespace(executor_settings=settings)
    made.logger = logging.getLogger("test")
    made.status_rate_limiter = Throttler(rate_limit=100, period=1)
    made.run_uuid = "none"
    made._status_query_calls = made._status_query_failures = 0
    return made


def still_active(check, executor, jobs):
    async def collected():
        return [job async for job in check(executor, jobs)]

    return asyncio.run(collected())


def test_jobs_stay_on_the_list_when_slurm_does_not_answer(executor):
    jobs = [SimpleNamespace(external_jobid=number) for number in ("7", "8")]
    check = plugin.Executor.check_active_jobs
    original = getattr(check, "__wrapped__", check)
    assert still_active(original, executor, jobs) == [], "mended upstream: remove the module"
    assert still_active(keeping_jobs(original), executor, jobs) == jobs


@pytest.mark.parametrize("states", [{"7": "PREEMPTED", "8": "RUNNING"}, None])
def test_a_preempted_job_has_ended(states):
    """The plugin would wait for SLURM to resume it, which the profile rules out."""

    async def query(*_):
        return states, 0.1

    expected = states and {"7": "CANCELLED", "8": "RUNNING"}
    assert asyncio.run(ending_preempted(query)("squeue", 1)) == (expected, 0.1)


def test_the_plugin_is_changed_once(monkeypatch):
    monkeypatch.setattr(plugin, "query_job_status", plugin.query_job_status)
    monkeypatch.setattr(plugin.Executor, "check_active_jobs", plugin.Executor.check_active_jobs)
    outlast_outages()
    changed = plugin.Executor.check_active_jobs
    outlast_outages()
    assert plugin.Executor.check_active_jobs is changed
