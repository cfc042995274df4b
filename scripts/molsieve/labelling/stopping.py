"""When a label job stops: before its wall time, and at a signal; and when it stood still."""

from __future__ import annotations

import contextlib
import logging
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

log = logging.getLogger(__name__)

INTERRUPT_GRACE_S = 5.0
"""After SIGINT: somebody waits at the terminal."""
STANDSTILL_S = 5.0
HAND_IN_S = 30.0
"""Kept of the margin before the wall time, to stop workers and compact journals."""


@dataclass
class Stopping:
    """When the pool takes no more work (``at``) and when it stops what still runs (``kill_at``).

    Unix times in s. SIGTERM and SIGINT bring both forward (``asked``). ``began``: when the job did.
    """

    at: float = float("inf")
    kill_at: float = float("inf")
    asked: bool = False
    began: float = field(default_factory=time.time)

    @classmethod
    def before(cls, deadline: float | None, wall_margin_s: float) -> Stopping:
        """In time for a job that is killed at ``deadline`` (unix s; None: never)."""
        if deadline is None:
            return cls()
        at = deadline - wall_margin_s
        if at <= time.time():
            log.warning(
                "the wall time ends in %.0f s; run.wall_margin_s = %g s before it no work is "
                "taken: ask for a longer one",
                deadline - time.time(),
                wall_margin_s,
            )
        return cls(at, max(at, deadline - HAND_IN_S))

    def soon(self, grace_s: float) -> None:
        """Stop now, and give what runs ``grace_s`` seconds to end."""
        self.asked = True
        self.at = min(self.at, time.time())
        self.kill_at = min(self.kill_at, time.time() + grace_s)

    def __bool__(self) -> bool:
        return time.time() >= self.at


@dataclass
class Standstill:
    """Tells of time that passed without this job: it was suspended, or its clock set forward."""

    seen_at: float = field(default_factory=time.time)

    def noticed(self) -> bool:
        """True if the last time this was asked is much longer ago than its caller ever takes."""
        now, before = time.time(), self.seen_at
        self.seen_at = now
        if now - before < STANDSTILL_S:
            return False
        log.warning("this job stood still for %.0f s", now - before)
        return True


@contextlib.contextmanager
def stopped_by_signals(stopping: Stopping, grace_s: float) -> Iterator[None]:
    """SIGTERM and SIGINT stop the pool in good order; no effect outside the main thread.

    A second SIGTERM stops it at once.

    Args:
        grace_s: after SIGTERM, for what runs to end.
    """

    def stop(number: int, _: object) -> None:
        again = stopping.asked and number == signal.SIGTERM
        grace = min(grace_s, INTERRUPT_GRACE_S) if number == signal.SIGINT else grace_s
        log.warning("%s: no more work is taken", signal.Signals(number).name)
        stopping.soon(0.0 if again else grace)

    previous = {}
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(ValueError):
            previous[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
