"""What every rule's script shares: one attempt of its job at a time, output in the rule's log, a
mistake in one message."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from molsieve.jobs.allocation import Allocation, batch_job, current_allocation
from molsieve.jobs.attempts import AttemptOver, Job, alone, together
from molsieve.jobs.kept_results import KeptResult, job_key
from molsieve.section import CampaignError


@dataclass(frozen=True)
class RuleAttempt:
    """What a script needs to know of its attempt: is there anything left to do?"""

    needed: bool


@contextlib.contextmanager
def rule_attempt(
    snakemake: Any, keep: bool = False, threads_matter: bool = False, shared: bool = False
) -> Iterator[RuleAttempt]:
    """Run a script's body as one attempt of its job, reporting to the rule's log.

    Args:
        keep: keep the outputs, and give them back instead of computing them again; for rules whose
            outputs follow from inputs, params and wildcards alone. ``needed`` says whether to
            compute.
        threads_matter: the number of threads changes numbers (sums in another order).
        shared: attempts share their work (label jobs) and so run side by side.
    """
    job = Job.of(snakemake)
    with reporting(snakemake.log[0], job.folder / "log"):
        if shared:
            with together(job):
                yield RuleAttempt(True)
            return
        runtime_min = snakemake.resources.get("runtime")
        with alone(job, lambda: current_allocation(1, runtime_min=runtime_min).deadline):
            if not keep:
                yield RuleAttempt(True)
                return
            key = job_key(snakemake, threads_matter)
            kept = KeptResult(job, key)
            needed = not kept.give_back()
            if not needed:
                print("an earlier attempt finished this very job: its result is taken over")
            yield RuleAttempt(needed)
            # Inputs that changed while it ran: whose result this is, nobody knows.
            if needed and job_key(snakemake, threads_matter) == key:
                _keep(kept)


def granted(snakemake: Any) -> Allocation:
    """What the job of a rule's script may use."""
    return current_allocation(
        snakemake.threads,
        snakemake.resources.get("gpu", 0),
        snakemake.resources.get("runtime"),
        snakemake.resources.get("mem_mb"),
    )


def _keep(kept: KeptResult) -> None:
    """Keep a finished result where there is room for it; it is good without."""
    try:
        kept.keep()
    except OSError as error:
        print(f"this result is not kept for later attempts: {error}")


@contextlib.contextmanager
def reporting(log: str | Path, history: Path) -> Iterator[None]:
    """Append output to ``log``; end with exit code 1 and one message, or a traceback if it is ours.

    Errors that a user can mend (:class:`CampaignError` and its kin) carry their own words.

    Args:
        history: the log's second name, for Snakemake removes a job's log before each attempt.
    """
    # Spawned workers import the main module again. Under Snakemake that is a temporary script whose
    # preamble imports Snakemake; workers only run functions of the library, so there is no need.
    main = sys.modules["__main__"]
    if hasattr(main, "__file__"):
        del main.__file__
    failed = False
    with (
        _continued(Path(log), history) as stream,
        contextlib.redirect_stdout(stream),
        contextlib.redirect_stderr(stream),
    ):
        print(_header())
        try:
            yield
        except _mendable() as error:
            print(f"\n{error}\n")
            failed = True
        except Exception:
            traceback.print_exc(file=stream)
            failed = True
    if failed:
        sys.exit(1)


def _continued(log: Path, history: Path) -> TextIO:
    """The log, open at its end, with what earlier attempts wrote; none of them is cut off."""
    history.parent.mkdir(parents=True, exist_ok=True)
    history.touch()
    opened = log
    with contextlib.suppress(OSError):  # no hard links: the log starts anew
        if not (log.exists() and log.samefile(history)):
            log.unlink(missing_ok=True)
            os.link(history, log)
        opened = history  # the same file, whose name no other attempt removes
    return open(opened, "a", buffering=1)


def _header() -> str:
    """Which attempt wrote what follows in the log: a job may have several, of several nodes."""
    scheduler, number = batch_job(os.environ)
    job = f"job {number}, " if scheduler else ""
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"--- {now}, {job}process {os.getpid()} on {socket.gethostname()}"


def _mendable() -> tuple[type[Exception], ...]:
    from molsieve.labelling import LabelStoreError, Unfinished
    from molsieve.tables import TableError

    return (AttemptOver, CampaignError, LabelStoreError, TableError, Unfinished)


def paths(*inputs: Any) -> list[str]:
    """The files of several of a rule's inputs, each one file or many (or none), in one list."""
    files: list[str] = []
    for given in inputs:
        files += [given] if isinstance(given, str) else list(given)
    return files
