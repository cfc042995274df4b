"""SLURM's controller may be away for a while: Snakemake must not forget its jobs then.

snakemake-executor-plugin-slurm (2.8.0) drops every job from its list when a look at the queue fails
altogether (slurmctld restarted, no accounting database to ask instead): the jobs run to their end,
and the controller waits for ever. Here jobs that nobody could tell the state of stay on the list.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import AsyncGenerator, Callable
from typing import Any

PLUGIN = "snakemake_executor_plugin_slurm"

Check = Callable[[Any, list[Any]], AsyncGenerator[Any]]


def outlast_outages() -> None:
    """Make the SLURM plugin, where this process uses it, keep jobs through failed looks."""
    plugin = sys.modules.get(PLUGIN)
    if plugin is not None and not hasattr(plugin.Executor.check_active_jobs, "__wrapped__"):
        plugin.Executor.check_active_jobs = keeping_jobs(plugin.Executor.check_active_jobs)


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
