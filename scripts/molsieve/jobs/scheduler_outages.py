"""SLURM's controller may be away for a while: Snakemake must not forget its jobs then.

snakemake-executor-plugin-slurm (2.8.0) drops every job from its list when a look at the queue fails
altogether (slurmctld restarted, no accounting database to ask instead): the jobs run to their end,
and the controller waits for ever. Here jobs that nobody could tell the state of stay on the list.
It also waits for SLURM to resume a preempted job, which ``slurm-no-requeue`` rules out: here that
job has ended.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

PLUGIN = "snakemake_executor_plugin_slurm"

Check = Callable[[Any, list[Any]], AsyncGenerator[Any]]
Query = Callable[..., Awaitable[tuple[dict[str, str] | None, float | None]]]


def outlast_outages() -> None:
    """Make the SLURM plugin, where this process uses it, keep jobs through failed looks."""
    plugin: Any = sys.modules.get(PLUGIN)
    if plugin is not None and not hasattr(plugin.Executor.check_active_jobs, "__wrapped__"):
        plugin.Executor.check_active_jobs = keeping_jobs(plugin.Executor.check_active_jobs)
        plugin.query_job_status = ending_preempted(plugin.query_job_status)


def keeping_jobs(check: Check) -> Check:
    """``check_active_jobs`` yields the jobs that still run; all of them, if it cannot tell."""

    @functools.wraps(check)
    async def check_active_jobs(executor: Any, active_jobs: list[Any]) -> AsyncGenerator[Any]:
        answers = executor._status_query_calls
        async for job in check(executor, active_jobs):
            yield job
        # Without an answer the plugin has said nothing of any job.
        if executor._status_query_calls == answers:
            for job in active_jobs:
                yield job

    return check_active_jobs


def ending_preempted(query: Query) -> Query:
    """``query_job_status`` gives states by job id; a preempted job counts as cancelled."""

    @functools.wraps(query)
    async def query_job_status(
        *arguments: Any, **named: Any
    ) -> tuple[dict[str, str] | None, float | None]:
        states, seconds = await query(*arguments, **named)
        if states is not None:
            states = {job: "CANCELLED" if s == "PREEMPTED" else s for job, s in states.items()}
        return states, seconds

    return query_job_status
