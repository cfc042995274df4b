"""Attempts of a rule's job: one at a time, and one that was overtaken changes no file.

Floor 0, standard library only. A cluster may run a job twice: the controller died and the next one
submits it again, or a job that was given up is still alive on a node that nobody reaches. So

- a job of a controller that another one replaced is refused before it starts (:func:`overtaken`);
- an attempt holds the job's lease, a second one waits for the first to end (:func:`alone`);
  label jobs, which share their work through the label store, run together (:func:`together`);
- an attempt whose lease was taken over, or a label job's older attempt, publishes no file any more:
  :func:`check_publication` is asked right before a finished file gets its name;
- and it fails, so that the Snakemake around it does not touch what its successor wrote.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from molsieve.jobs.leases import Lease

CONTROLLER_VARIABLE = "MOLSIEVE_CONTROLLER"
"""Environment variable of a controller and of all its jobs: the token of the controller's lease."""
STALE_AFTER_S = 120.0
POLL_S = 2.0
WORD_EVERY_S = 60.0
MARGIN_S = 30.0
"""A waiting attempt ends this long before its wall time."""


Deadline = Callable[[], float | None]


class AttemptOver(RuntimeError):
    """This attempt of a job must not go on; another one does its work."""


class Superseded(AttemptOver):
    """Another controller or another attempt has taken this one's place."""


class StillRunning(AttemptOver):
    """The wall time is nearly over and the other attempt still runs."""


@dataclass(frozen=True)
class Job:
    """A rule with its wildcards, in a campaign's results folder."""

    results: Path
    name: str
    outputs: tuple[Path, ...]

    @classmethod
    def of(cls, snakemake: Any) -> Job:
        """The job that a rule's script was started for."""
        name = "-".join([snakemake.rule, *(str(value) for value in snakemake.wildcards)])
        results = Path("results") / snakemake.config["campaign"]
        return cls(results, name, tuple(Path(path) for path in snakemake.output))

    @property
    def folder(self) -> Path:
        """Where the job's lease and its kept result are."""
        return self.results / "jobs" / self.name


def record_controller(results: Path, token: str) -> None:
    """Note that the controller of this token runs the campaign now, and tell its jobs.

    Its lease ends with it; the record stays, as an orphan may start after all is done.
    """
    _write(_record(results), json.dumps({"token": token, "since_unix_s": time.time()}) + "\n")
    os.environ[CONTROLLER_VARIABLE] = token


def overtaken(results: Path) -> str:
    """Why a job of this process's controller must not run; empty if it may.

    A job without a controller (a script run by hand, an environment that was not passed on) may;
    a record that is damaged (a disk that was full) tells nothing.
    """
    ours = os.environ.get(CONTROLLER_VARIABLE)
    try:
        record = json.loads(_record(results).read_text())
        token, since_unix_s = record["token"], float(record["since_unix_s"])
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return ""
    if not ours or token == ours:
        return ""
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since_unix_s))
    return (
        f"superseded: another controller runs {results} since {since}; this job was submitted by "
        "an earlier one and changes nothing"
    )


@contextlib.contextmanager
def alone(job: Job, deadline: Deadline = lambda: None) -> Iterator[None]:
    """Run the body as the only attempt of its job, after any other has ended.

    Args:
        deadline: gives the unix time (s) at which this process will be killed; asked only if there
            is something to wait for, as the answer may take a word with the scheduler.

    Raises:
        StillRunning: the other attempt runs until near the deadline.
        Superseded: another controller or attempt has taken over, before, during or at the end.
    """
    lease = Lease(job.folder / "attempt.lease", STALE_AFTER_S)
    _wait_for(lease, job, deadline)
    try:
        _refuse_if_overtaken(job)
        with _guarded(lambda path: lease.confirmed()), _given_up_on_sigterm(lease):
            yield
            check_publication(job.folder)
        _refuse_if_overtaken(job)
    finally:
        lease.release()


@contextlib.contextmanager
def together(job: Job) -> Iterator[None]:
    """Run the body beside other attempts of its job; only the newest publishes the outputs.

    Raises:
        Superseded: a newer attempt, or another controller's, has taken over.
    """
    newest, token = job.folder / "newest", uuid.uuid4().hex
    _refuse_if_overtaken(job)
    _write(newest, token)

    def may_publish(path: Path) -> bool:
        return path not in job.outputs or newest.read_text() == token

    with _guarded(may_publish):
        yield
        for output in job.outputs:
            check_publication(output)
    _refuse_if_overtaken(job)


def check_publication(path: Path) -> None:
    """Refuse to give a finished file its name where this process's attempt was overtaken.

    Raises:
        Superseded: another attempt does this job now.
    """
    if not all(may_publish(path) for may_publish in _guards):
        raise Superseded(
            "superseded: another attempt of this job took over while this one was thought dead; "
            f"{path} is left as it is"
        )


_guards: list[Callable[[Path], bool]] = []
"""Of the attempts open in this process: may this path be published?"""


@contextlib.contextmanager
def _guarded(may_publish: Callable[[Path], bool]) -> Iterator[None]:
    _guards.append(may_publish)
    try:
        yield
    finally:
        _guards.remove(may_publish)


def _wait_for(lease: Lease, job: Job, deadline: Deadline) -> None:
    """Take the lease, after its holder ended or its heartbeat stopped."""
    if lease.acquire():
        return
    end, next_word = deadline(), time.monotonic()
    while not lease.acquire():
        _refuse_if_overtaken(job)
        if end is not None and time.time() > end - MARGIN_S:
            raise StillRunning(
                f"Another attempt of {job.name} is still at work ({lease.holder()}) and this job's "
                "wall time is over; the same command again waits for it or takes its result over."
            )
        if time.monotonic() >= next_word:
            print(f"waiting for another attempt of {job.name}: {lease.holder()}", flush=True)
            next_word += WORD_EVERY_S
        time.sleep(POLL_S)


@contextlib.contextmanager
def _given_up_on_sigterm(lease: Lease) -> Iterator[None]:
    """Free the lease when SIGTERM ends this process, so that the next attempt need not wait."""

    def end(number: int, _: Any) -> None:
        lease.release()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    try:
        before = signal.signal(signal.SIGTERM, end)
    except ValueError:  # not the main thread: the lease goes stale by itself
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _refuse_if_overtaken(job: Job) -> None:
    if reason := overtaken(job.results):
        raise Superseded(reason)


def _record(results: Path) -> Path:
    return results / "controller.json"


def _write(path: Path, text: str) -> None:
    """Replace a small file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    temporary.write_text(text)
    os.replace(temporary, path)
