"""A campaign's jobs in a SLURM queue, from one ``squeue`` call.

The executor plugin names every job of a controller's run after that run, and writes rule and
wildcards into the job's comment; the run's own log in ``.snakemake/log`` tells two campaigns of
one working directory apart.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from molsieve.section import CampaignError

# The comment last: wildcards may hold the separator.
FORMAT = "%i|%T|%j|%r|%Z|%k"
ANSWER_WITHIN_S = 10.0
RUN_ID = "SLURM run ID"
"""In the log of a run that sends jobs."""
RULE, WILDCARDS = "rule_", "_wildcards_"


class SchedulerError(CampaignError):
    """The scheduler did not answer, or said no."""


@dataclass(frozen=True)
class QueuedJob:
    """One job as the scheduler sees it."""

    job_id: str
    state: str
    """In SLURM's words: PENDING, RUNNING, COMPLETING, …"""
    run: str
    """The run of Snakemake that submitted it."""
    reason: str
    """Why a pending job waits, in SLURM's words: Priority, Resources, …"""
    rule: str
    wildcards: str


def queued_jobs(campaign: str, working_directory: Path) -> list[QueuedJob] | None:
    """The campaign's jobs that the scheduler holds; None where there is none.

    A ``squeue`` that fails says that there is none (a workstation with SLURM's client but no
    cluster), unless a controller of this working directory has sent jobs to one.

    Args:
        working_directory: where its controller runs, above ``results/``.

    Raises:
        SchedulerError: no answer, or an error where jobs were sent.
    """
    if shutil.which("squeue") is None:
        return None
    home = os.path.realpath(working_directory)
    answer = _squeue(expected=_has_sent_jobs(Path(home)))
    if answer is None:
        return None
    jobs = [job for job, place in map(_parsed, answer.splitlines()) if job and place == home]
    runs = {run for run in {job.run for job in jobs} if _is_of(run, campaign, Path(home))}
    return [job for job in jobs if job.run in runs]


def _squeue(expected: bool) -> str | None:
    """What ``squeue`` prints; None if it fails and no job is ``expected``."""
    command = ["squeue", "--me", "--noheader", "--array", "--format", FORMAT]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_WITHIN_S)
    except subprocess.TimeoutExpired:
        raise SchedulerError(f"squeue gave no answer within {ANSWER_WITHIN_S:g} s") from None
    except OSError as error:
        raise SchedulerError(f"squeue: {error.strerror}") from error
    if done.returncode and not expected:
        return None
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise SchedulerError(f"squeue: {said[-1].removeprefix('squeue: ')}")
    return done.stdout


def _parsed(line: str) -> tuple[QueuedJob | None, str]:
    """A line's job and its working directory; no job if no rule's name is in its comment."""
    fields = line.split("|", 5)
    if len(fields) < 6 or not fields[5].startswith(RULE):
        return None, ""
    job_id, state, run, reason, place, comment = fields
    rule, _, wildcards = comment.removeprefix(RULE).partition(WILDCARDS)
    return QueuedJob(job_id, state, run, reason, rule, wildcards), os.path.realpath(place)


def _has_sent_jobs(home: Path) -> bool:
    """Whether a run of Snakemake in this working directory used SLURM."""
    logs = (home / ".snakemake/log").glob("*.log")
    return any(RUN_ID in path.read_text(errors="replace") for path in logs)


def _is_of(run: str, campaign: str, home: Path) -> bool:
    """False if the run's log says that it is another campaign's."""
    for path in sorted((home / ".snakemake/log").glob("*.log"), reverse=True):
        text = path.read_text(errors="replace")
        if run in text:
            return f"results/{campaign}/" in text
    return True


def queue_lines(jobs: list[QueuedJob]) -> list[str]:
    """The jobs counted by rule and state; the pending ones with the scheduler's reasons."""
    if not jobs:
        return ["no job of this campaign is in the queue"]
    lines = ["1 job in the queue" if len(jobs) == 1 else f"{len(jobs)} jobs in the queue"]
    for rule in sorted({job.rule for job in jobs}):
        mine = [job for job in jobs if job.rule == rule]
        states = Counter(job.state.lower() for job in mine)
        text = ", ".join(f"{n} {state}" for state, n in sorted(states.items(), reverse=True))
        reasons = Counter(job.reason for job in mine if job.state == "PENDING")
        why = ", ".join(f"{reason} {n}" for reason, n in reasons.most_common())
        lines.append(f"{rule}: {text}" + (f" ({why})" if why else ""))
    return lines
