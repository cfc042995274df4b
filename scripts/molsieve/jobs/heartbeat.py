"""The heartbeat of a process: the thread that touches its leases.

Floor 0, standard library only.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Protocol

HEARTBEATS_PER_STALE_TIME = 5
IDLE_HEART_S = 3600.0


class Beating(Protocol):
    """What is to be touched a few times per ``stale_after_s`` seconds."""

    stale_after_s: float

    def beat(self) -> bool:
        """One heartbeat; False if there is no more use in another."""


class Heart:
    """The thread of this process that touches its leases, each a few times per stale time.

    One for all: a thread started and joined for every claim costs more than the claim.
    """

    def __init__(self) -> None:
        self._due: dict[Beating, float] = {}
        self._changed = threading.Condition()
        self._sleeps_until = 0.0
        self._pid = 0

    def start(self, lease: Beating) -> None:
        """Touch ``lease`` from now on."""
        due = time.monotonic() + lease.stale_after_s / HEARTBEATS_PER_STALE_TIME
        with self._changed:
            if self._pid != os.getpid():  # none yet, or in a forked child: no thread, no leases
                self._due, self._pid = {}, os.getpid()
                threading.Thread(target=self._run, name="heartbeat", daemon=True).start()
            self._due[lease] = due
            if due < self._sleeps_until:
                self._changed.notify()

    def stop(self, lease: Beating) -> None:
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
                if not lease.beat():
                    self.stop(lease)


HEART = Heart()
