"""Leases: an exclusively created file with a heartbeat, for claims and for a campaign's controller.

Floor 0, standard library only. A lease file appears complete or not at all (a finished temporary
file is hard-linked to the lease's name, which fails if the name exists, on NFS too). It is live
while its holder keeps touching it; it is stale when the last touch is older than
``stale_after_s``, or at once when its holder was a process of this very machine that is gone.
A stale lease is taken over by exactly one of those who try.

ASSUME: the folder's file system has hard links and a clock that moves on (NFS, Lustre, local).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

log = logging.getLogger(__name__)

HEARTBEATS_PER_STALE_TIME = 5
IDLE_HEART_S = 3600.0


@dataclass(frozen=True)
class Holder:
    """Who holds a lease: written in its file, in words by ``str()``."""

    host: str
    pid: int
    process_start: str
    machine: str
    since_unix_s: float
    token: str

    def __str__(self) -> str:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since_unix_s))
        return f"process {self.pid} on {self.host} since {since}"

    def is_gone(self) -> bool:
        """True if the holder was a process of this machine and is no longer running."""
        if self.machine != _machine():
            return False
        return _process_start(self.pid) != self.process_start


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
        self._lost = False

    @property
    def held(self) -> bool:
        """True between a successful ``acquire()`` and ``release()``, unless it was taken over."""
        return bool(self.token) and not self._lost

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
        self.token, self._lost = token, False
        _HEART.start(self)
        return True

    def release(self) -> None:
        """Give the lease back, if it is still ours; without effect otherwise."""
        if not self.token:
            return
        _HEART.stop(self)
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

    def _beat(self) -> bool:
        """One heartbeat; False if there is no more use in another."""
        token = self.token
        try:
            if self._touched() or not token or self.token != token:
                return bool(self.token)
        except OSError as error:  # a file system that hiccups: the next beat may pass
            log.warning("no heartbeat on lease %s: %s", self.path, error)
            return True
        self._lost = True
        log.warning("lease %s was taken over by %s", self.path, self.holder())
        return False

    def _touched(self) -> bool:
        """Heartbeat; False if the file is no longer ours."""
        holder = read_holder(self.path)
        if holder is None or holder.token != self.token:
            return False
        with contextlib.suppress(FileNotFoundError):
            os.utime(self.path)
        return True


class _Heart:
    """The thread of this process that touches its leases, each a few times per stale time.

    One for all: a thread started and joined for every claim costs more than the claim.
    """

    def __init__(self) -> None:
        self._due: dict[Lease, float] = {}
        self._changed = threading.Condition()
        self._sleeps_until = 0.0
        self._pid = 0

    def start(self, lease: Lease) -> None:
        """Touch ``lease`` from now on."""
        due = time.monotonic() + lease.stale_after_s / HEARTBEATS_PER_STALE_TIME
        with self._changed:
            if self._pid != os.getpid():  # none yet, or in a forked child: no thread, no leases
                self._due, self._pid = {}, os.getpid()
                threading.Thread(target=self._run, name="heartbeat", daemon=True).start()
            self._due[lease] = due
            if due < self._sleeps_until:
                self._changed.notify()

    def stop(self, lease: Lease) -> None:
        """Touch ``lease`` no more."""
        with self._changed:
            self._due.pop(lease, None)

    def _run(self) -> None:
        while True:
            with self._changed:
                now = time.monotonic()
                self._sleeps_until = min(self._due.values(), default=now + IDLE_HEART_S)
                self._changed.wait(max(0.0, self._sleeps_until - now))
                now = time.monotonic()
                due = [lease for lease, at in self._due.items() if at <= now]
                for lease in due:
                    self._due[lease] = now + lease.stale_after_s / HEARTBEATS_PER_STALE_TIME
            for lease in due:
                if not lease._beat():
                    self.stop(lease)


_HEART = _Heart()


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
    start = _process_start(pid)
    return Holder(socket.gethostname(), pid, start, _machine(), time.time(), token)


def _machine() -> str:
    """This boot of this machine and this space of process ids: where a pid means something."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return "|".join(parts)


def _process_start(pid: int) -> str:
    """Start time of a running process (clock ticks since boot), "" if there is none.

    A process id alone may have been given to another process. A zombie counts as gone.
    Where there is no /proc, "running" stands for the start time.
    """
    if not Path("/proc/self/stat").exists():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return ""
        except PermissionError:
            pass
        return "running"
    try:
        # The command, in parentheses, may hold spaces: count the fields after it (proc(5)).
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    state, start = fields[0], fields[19]
    return "" if state in "ZX" else start


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
    except OSError:
        # NFS may lose the answer to a link() that succeeded: two names tell (open(2), O_EXCL).
        if os.stat(source).st_nlink < 2:
            raise
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
