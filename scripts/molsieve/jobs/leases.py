"""Leases: an exclusively created file with a heartbeat, for claims and for a campaign's controller.

Floor 0, standard library only. A lease file appears complete or not at all (a finished temporary
file is hard-linked to the lease's name, which fails if the name exists, on NFS too; where a file
system has no hard links, it is created exclusively and then written). It is live
while its holder keeps touching it; it is stale when the last touch is older than
``stale_after_s``, or at once when its holder was a process of this very machine that is gone.
A stale lease is taken over by exactly one of those who try.

ASSUME: the folder's file system has exclusive creation and a clock that moves on (NFS, Lustre,
local).
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import socket
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from molsieve.jobs.allocation import batch_job
from molsieve.jobs.heartbeat import HEART
from molsieve.jobs.process_identity import start_of_process, this_machine

log = logging.getLogger(__name__)

NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)


@dataclass(frozen=True)
class Holder:
    """Who holds a lease: written in its file, in words by ``str()``."""

    host: str
    pid: int
    process_start: str
    machine: str
    since_unix_s: float
    token: str
    job: str = ""
    """The batch job that it runs in, by scheduler and number: what to cancel to be rid of it."""

    def __str__(self) -> str:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since_unix_s))
        job = f" ({self.job})" if self.job else ""
        return f"process {self.pid} on {self.host}{job} since {since}"

    def is_of_this_machine(self) -> bool:
        """True if its process id means a process that can be looked for here."""
        return self.machine == this_machine()

    def is_gone(self) -> bool:
        """True if the holder was a process of this machine and is no longer running."""
        if not self.is_of_this_machine():
            return False
        return start_of_process(self.pid) != self.process_start


class Lease:
    """One lease: ``acquire()`` and ``release()``, or as a context manager (then it must be free).

    Args:
        path: the lease's file; its folder is made.
        stale_after_s: seconds without a heartbeat after which anyone may take it over. All who
            share a lease must name the same time.
    """

    def __init__(self, path: str | Path, stale_after_s: float = 120.0):
        self.path = Path(path)
        self.stale_after_s = stale_after_s
        self.token = ""

    def holder(self) -> Holder | None:
        """Who holds the lease, live or stale; None if nobody does."""
        return read_holder(self.path)

    def acquire(self) -> bool:
        """Take the lease if it is free or stale; False if a live holder has it."""
        if self.token:
            raise RuntimeError(f"lease {self.path} is already held by this object")
        token = uuid.uuid4().hex
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with _finished_file(self.path, _this_holder(token)) as ours:
            if not (_linked(ours, self.path) or self._taken_over(ours)):
                return False
        self.token = token
        HEART.start(self)
        return True

    def confirmed(self) -> bool:
        """True if the lease's file names this holder at this very moment; counts as a heartbeat."""
        return bool(self.token) and self._touched()

    def release(self) -> None:
        """Give the lease back, if it is still ours; without effect otherwise."""
        if not self.token:
            return
        HEART.stop(self)
        if self._touched():
            self.path.unlink(missing_ok=True)
        self.token = ""

    def __enter__(self) -> Lease:
        if not self.acquire():
            raise LeaseHeld(f"{self.path} is held by {self.holder()}")
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _taken_over(self, ours: Path) -> bool:
        """Replace a stale lease by ``ours``; exactly one of several who try succeeds."""
        stale = read_holder(self.path)
        if stale is None:
            return _linked(ours, self.path)
        if is_live(self.path, self.stale_after_s, now=_touch_time(ours)):
            return False
        # Only the one who makes this marker may move that holder's file away, so a slow rival
        # cannot move away the lease of the one who took it over meanwhile.
        marker = self.path.with_name(f"{self.path.name}.steal-{stale.token}")
        if not _linked(ours, marker):
            _remove_if_older(marker, ours, self.stale_after_s)
            return False
        try:
            # An earlier thief may be done since we looked: moving its lease away, even to put it
            # back, would leave the name free for a moment.
            present = read_holder(self.path)
            if present is not None and present.token != stale.token:
                return False
            return _moved_away(self.path, stale.token) and _linked(ours, self.path)
        finally:
            marker.unlink(missing_ok=True)

    def beat(self) -> bool:
        """One heartbeat; False if there is no more use in another."""
        token = self.token
        try:
            if self._touched() or not token or self.token != token:
                return bool(self.token)
        except OSError as error:  # a file system that hiccups: the next beat may pass
            log.warning("no heartbeat on lease %s: %s", self.path, error)
            return True
        taker = self.holder() or "a process that has ended since"
        log.warning("lease %s was taken over by %s", self.path, taker)
        return False

    def _touched(self) -> bool:
        """Heartbeat; False if the file is no longer ours."""
        holder = read_holder(self.path)
        if holder is None or holder.token != self.token:
            return False
        with contextlib.suppress(FileNotFoundError):
            os.utime(self.path)
        return True


class LeaseHeld(RuntimeError):
    """A lease wanted as a context manager is held by someone live."""


def read_holder(path: str | Path) -> Holder | None:
    """The holder written in a lease's file; None if there is no such file."""
    try:
        return Holder(**json.loads(Path(path).read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):  # not ours, or damaged: only its age can tell
        return Holder("an unknown host", 0, "", "", 0.0, "unreadable")


def is_live(path: str | Path, stale_after_s: float, now: float | None = None) -> bool:
    """True if the lease exists, its heartbeat is recent and its holder is not known to be gone.

    Args:
        now: the time by the clock of the lease's file system (unix s); None: by this machine's.
    """
    holder = read_holder(path)
    if holder is None or holder.is_gone():
        return False
    try:
        touched = _touch_time(Path(path))
    except FileNotFoundError:
        return False
    return (time.time() if now is None else now) - touched <= stale_after_s


def clear_if_stale(path: str | Path, stale_after_s: float) -> bool:
    """Remove a lease that nobody live holds; True if there is none left."""
    lease = Lease(path, stale_after_s)
    if not lease.path.exists():
        return True
    if not lease.acquire():
        return False
    lease.release()
    return True


def _this_holder(token: str) -> Holder:
    pid = os.getpid()
    start = start_of_process(pid)
    scheduler, number = batch_job(os.environ)
    job = f"{scheduler} job {number}" if scheduler else ""
    return Holder(socket.gethostname(), pid, start, this_machine(), time.time(), token, job)


@contextlib.contextmanager
def _finished_file(path: Path, holder: Holder) -> Iterator[Path]:
    """A complete lease file under a unique name beside ``path``, removed afterwards."""
    unique = path.with_name(f".{path.name}.{holder.token}")
    unique.write_text(json.dumps(asdict(holder)))
    try:
        yield unique
    finally:
        unique.unlink(missing_ok=True)


def _linked(source: Path, target: Path) -> bool:
    """Give ``source`` the name ``target`` too; False if that name is taken."""
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno in NO_HARD_LINKS:
            return _created(source, target)
        # NFS may lose the answer to a link() that succeeded: two names tell (open(2), O_EXCL).
        if os.stat(source).st_nlink < 2:
            raise
    return True


def _created(source: Path, target: Path) -> bool:
    """As :func:`_linked`, where there are no hard links: a reader may see the file half-written.

    It then knows no holder and goes by the file's age, which is none.
    """
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        return False
    with open(descriptor, "w") as stream:
        stream.write(source.read_text())
    return True


def _moved_away(path: Path, token: str) -> bool:
    """Move the lease file of ``token`` out of the way; False, and put back, if it is another's."""
    away = path.with_name(f".{path.name}.{uuid.uuid4().hex}.stale")
    try:
        os.rename(path, away)
    except FileNotFoundError:
        return True  # released meanwhile: the name is free
    try:
        holder = read_holder(away)
        if holder is not None and holder.token != token:
            _linked(away, path)
            return False
        return True
    finally:
        away.unlink(missing_ok=True)


def _remove_if_older(marker: Path, ours: Path, age_s: float) -> None:
    """Remove the marker of a thief that died at it, so that the next attempt may pass."""
    with contextlib.suppress(FileNotFoundError):
        if os.stat(ours).st_ctime - os.stat(marker).st_ctime > age_s:
            marker.unlink()


def _touch_time(path: Path) -> float:
    return os.stat(path).st_mtime
