"""What a batch system granted this job: end time, cores, memory, GPUs.

Floor 0, standard library only. On a plain machine there is no end time and nothing is pinned, so
that work there never stops by itself.

SLURM: Snakemake's job step removes the job's own variables before its inner ``srun``, which sets
those of the step again, but no end time (SLURM 22.05; later releases set ``SLURM_JOB_END_TIME``).
So the scheduler is asked, once in a process.
"""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass

JOB_VARIABLES = {"slurm": "SLURM_JOB_ID", "pbs": "PBS_JOBID", "lsf": "LSB_JOBID", "sge": "JOB_ID"}
"""By scheduler. ``JOB_ID`` alone may be anybody's: it counts beside ``SGE_ROOT`` only."""
GPU_VARIABLES = ("CUDA_VISIBLE_DEVICES", "SLURM_STEP_GPUS", "SLURM_JOB_GPUS")
SCHEDULER_ANSWERS_WITHIN_S = 20.0
_IMPORTED_AT = time.time()


@dataclass(frozen=True)
class Allocation:
    """What a job may use.

    ``deadline`` is the unix time (s) at which the batch system kills the job, None if it never
    does; ``cores`` the number of workers of one thread that fit; ``gpus`` the names of its devices
    for ``CUDA_VISIBLE_DEVICES``; ``pinnable`` the core numbers that are this job's alone, empty if
    they are shared; ``memory_mb`` what was granted, None if nothing watches over it.
    """

    scheduler: str = ""
    job_id: str = ""
    deadline: float | None = None
    cores: int = 1
    gpus: tuple[str, ...] = ()
    pinnable: tuple[int, ...] = ()
    memory_mb: float | None = None

    @property
    def place(self) -> str:
        """Where this is, for a person who looks for the job's own log: node and job."""
        node = os.environ.get("SLURMD_NODENAME") or os.uname().nodename
        return f"{node}, {self.scheduler} job {self.job_id}" if self.scheduler else node

    def workers(self, device: str = "cpu") -> int:
        """How many workers fit: one a core, or one a GPU for ``device`` gpu."""
        return max(1, len(self.gpus)) if device == "gpu" else self.cores


def current_allocation(
    threads: int,
    gpus: int = 0,
    runtime_min: float | None = None,
    memory_mb: float | None = None,
) -> Allocation:
    """What this process may use of what was asked for.

    Args:
        threads: cores asked for.
        gpus: devices asked for.
        runtime_min: wall time asked for (minutes), for schedulers that do not tell the end.
        memory_mb: memory asked for.
    """
    scheduler, job_id = batch_job(os.environ)
    mine = sorted(os.sched_getaffinity(0))
    return Allocation(
        scheduler=scheduler,
        job_id=job_id,
        deadline=_deadline(scheduler, job_id, runtime_min) if scheduler else None,
        cores=max(1, min(threads, len(mine))),
        gpus=_visible_gpus(os.environ)[:gpus] if gpus > 0 else (),
        # A mask of just the cores asked for is a grant; a wider one is shared with other jobs.
        pinnable=tuple(mine) if scheduler and len(mine) == threads else (),
        memory_mb=memory_mb if scheduler else None,
    )


def batch_job(environment: Mapping[str, str]) -> tuple[str, str]:
    """Scheduler and job id, both empty outside batch jobs."""
    for scheduler, variable in JOB_VARIABLES.items():
        job_id = environment.get(variable)
        if job_id and (scheduler != "sge" or "SGE_ROOT" in environment):
            return scheduler, job_id
    return "", ""


def _deadline(scheduler: str, job_id: str, runtime_min: float | None) -> float | None:
    told = None
    if scheduler == "slurm":
        with contextlib.suppress(KeyError, ValueError):
            told = float(os.environ["SLURM_JOB_END_TIME"])
        told = told or _slurm_end_time(job_id)
    if told is None and runtime_min:
        # ASSUME: the job began when this process did; what the scheduler and Snakemake took to
        # start it (seconds) is inside the margin before the wall time.
        return _IMPORTED_AT + 60.0 * runtime_min
    return told


@functools.cache
def _slurm_end_time(job_id: str) -> float | None:
    """Unix time (s) at which SLURM ends the job; None if it does not say, or has no limit."""
    try:
        answer = subprocess.run(
            ["squeue", "--noheader", "--job", job_id, "--format", "%e"],
            env={**os.environ, "SLURM_TIME_FORMAT": "%s"},
            capture_output=True,
            text=True,
            timeout=SCHEDULER_ANSWERS_WITHIN_S,
            check=True,
        )
        return float(answer.stdout.split()[0])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def _visible_gpus(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the devices that this process may use.

    Plain machines name none where all may be used: then by number, as many as wanted.
    """
    for variable in GPU_VARIABLES:
        if variable in environment:
            names = [name.strip() for name in environment[variable].split(",")]
            return tuple(n for n in names if n and n not in ("-1", "NoDevFiles"))
    return tuple(map(str, range(64)))
