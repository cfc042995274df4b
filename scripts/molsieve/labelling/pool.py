"""The worker pool of a label job: the controller's side.

Workers are spawned, one thread each. A calculation over its time limit becomes a failed row, a
worker that dies gets its calculation repeated once, and what another job is computing is left
until the end and then waited for.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import multiprocessing
import os
import signal
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

import pebble

from molsieve import engines
from molsieve.labelling.journal import SUFFIX, Journal
from molsieve.labelling.store import (
    CLAIM_STALE_AFTER_S,
    KnownStructures,
    LevelFolder,
    new_attempt_id,
)
from molsieve.labelling.worker import (
    Outcome,
    WorkerSetup,
    failed_columns,
    label_one,
    row_columns,
    start_worker,
    stop_file,
)
from molsieve.leases import is_live

log = logging.getLogger(__name__)

SUBMITTED_PER_WORKER = 2
"""One running and one waiting at hand, so that no worker idles for the controller."""
POLL_S = 0.5
DEATHS_ALLOWED = 1
TERMINATIONS_ALLOWED = 3
"""A SIGTERM meant for the whole job may reach a worker first; it says nothing of its structure."""
POOL_RESTARTS = 10

ONE_THREAD = {
    name: "1"
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
    )
}


@dataclass
class Stopping:
    """When the pool takes no more work (``at``) and when it stops what still runs (``kill_at``).

    Unix times in s. SIGTERM and SIGINT bring both forward: see :func:`stopped_by_signals`.
    """

    at: float = float("inf")
    kill_at: float = float("inf")

    def soon(self, grace_s: float) -> None:
        """Stop now, and give what runs ``grace_s`` seconds to end."""
        self.at = min(self.at, time.time())
        self.kill_at = min(self.kill_at, time.time() + grace_s)

    def __bool__(self) -> bool:
        return time.time() >= self.at


@contextlib.contextmanager
def stopped_by_signals(stopping: Stopping, grace_s: float) -> Iterator[None]:
    """SIGTERM and SIGINT stop the pool in good order; no effect outside the main thread."""

    def stop(number: int, _: object) -> None:
        log.warning("%s: no more work is taken", signal.Signals(number).name)
        stopping.soon(grace_s)

    previous = {}
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(ValueError):
            previous[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def one_thread_each() -> Iterator[None]:
    """Environment in which spawned workers use one thread; restored afterwards."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class LabelPool:
    """Computes structures until each has a row in the store or it is time to stop.

    Args:
        structures: rows of the contract, in the order in which they are to be begun.
        time_limit_s: of one calculation.
    """

    def __init__(
        self,
        structures: Sequence[Mapping[str, Any]],
        setup: WorkerSetup,
        workers: int,
        time_limit_s: float,
        stopping: Stopping,
    ):
        self.structures = {s["structure_id"]: s for s in structures}
        self.setup = setup
        self.workers = max(1, min(workers, len(structures)))
        self.time_limit_s = time_limit_s
        self.stopping = stopping
        self.folder = LevelFolder(setup.store, setup.level_id)
        self.known = KnownStructures(self.folder)
        self.queue = deque(self.structures)
        self.claimed: set[str] = set()
        self.running: dict[concurrent.futures.Future, str] = {}
        self.deaths: Counter[str] = Counter()
        self.terminations: Counter[str] = Counter()
        self.taken_back: set[str] = set()
        self.restarts = 0
        self.journal = Journal(self.folder.journals / f"{setup.job}.controller{SUFFIX}")
        self.computed = 0

    def run(self) -> int:
        """Work; returns the number of calculations done here.

        Raises:
            LabelStoreError: nothing can be recorded.
        """
        with one_thread_each():
            while self._unfinished and not self.stopping:
                pool = self._new_pool()
                try:
                    self._work(pool)
                finally:
                    pool.stop()
                    pool.join()
        self.journal.close()
        return self.computed

    @property
    def _unfinished(self) -> bool:
        return bool(self.queue or self.running or self.claimed)

    def _new_pool(self) -> pebble.ProcessPool:
        return pebble.ProcessPool(
            max_workers=self.workers,
            context=multiprocessing.get_context("spawn"),
            initializer=start_worker,
            initargs=(self.setup,),
        )

    def _work(self, pool: pebble.ProcessPool) -> None:
        """One pool's life: until all is done, time is up, or the pool breaks."""
        next_look = 0.0
        while self._unfinished and not (self.stopping and not self.running):
            if time.time() >= self.stopping.kill_at:
                return
            try:
                self._withdraw_waiting() if self.stopping else self._submit(pool)
            except (RuntimeError, BrokenProcessPool) as error:
                self._restart_after(error)
                return
            if not self._settle_done():
                return
            if self.claimed and time.time() >= next_look:
                self._look_at_claimed()
                next_look = time.time() + POLL_S

    def _withdraw_waiting(self) -> None:
        """Keep what was submitted and has not begun from being begun."""
        stop_file(self.setup).touch()

    def _submit(self, pool: pebble.ProcessPool) -> None:
        while self.queue and len(self.running) < self.workers * SUBMITTED_PER_WORKER:
            structure_id = self.queue.popleft()
            repeated = (
                structure_id in self.taken_back
                or self.deaths[structure_id] + self.terminations[structure_id] > 0
            )
            future = pool.schedule(
                label_one,
                args=(self.structures[structure_id], repeated),
                timeout=self.time_limit_s,
            )
            self.running[future] = structure_id

    def _settle_done(self) -> bool:
        """Wait a moment for results and record them; False if the pool is broken."""
        if not self.running:
            time.sleep(POLL_S if not self.queue else 0.0)
            return True
        done, _ = concurrent.futures.wait(
            self.running, timeout=POLL_S, return_when=concurrent.futures.FIRST_COMPLETED
        )
        for future in done:
            structure_id = self.running.pop(future)
            try:
                self._settle(structure_id, future.result())
            except BrokenProcessPool as error:
                self.queue.appendleft(structure_id)
                self._restart_after(error)
                return False
            except concurrent.futures.TimeoutError:
                limit = f"stopped after run.calculation_time_limit_s = {self.time_limit_s:g} s"
                self._record_failure(structure_id, "timeout", limit, self.time_limit_s)
            except pebble.ProcessExpired as death:
                self._settle_death(structure_id, death)
        return True

    def _settle(self, structure_id: str, outcome: Outcome) -> None:
        if outcome.state == "claimed":
            self.claimed.add(structure_id)
        elif outcome.state in ("ok", "failed"):
            self.computed += 1

    def _settle_death(self, structure_id: str, death: pebble.ProcessExpired) -> None:
        """Repeat the calculation, or give it up if it keeps killing its workers."""
        by_sigterm = death.exitcode == -signal.SIGTERM
        counts = self.terminations if by_sigterm else self.deaths
        counts[structure_id] += 1
        if self.stopping:
            return
        if counts[structure_id] <= (TERMINATIONS_ALLOWED if by_sigterm else DEATHS_ALLOWED):
            log.warning("worker %s died (%s): repeated", death.pid, _exit_in_words(death.exitcode))
            self.queue.appendleft(structure_id)
            return
        message = f"its worker died {counts[structure_id]} times: {_exit_in_words(death.exitcode)}"
        self._record_failure(structure_id, "worker_died", message, 0.0)

    def _record_failure(self, structure_id: str, kind: str, message: str, wall_s: float) -> None:
        """The controller's own row, unless the worker had written its row before its end."""
        if structure_id in self.known.refresh():
            return
        log.warning("structure %s: %s, %s", structure_id, kind, message)
        level, version = self.setup.level, engines.engine_version(self.setup.level)
        columns = row_columns(
            self.structures[structure_id], level, self.setup.level_id, new_attempt_id(), version
        )
        self.journal.append({**columns, **failed_columns(kind, message), "wall_s": wall_s})
        self.computed += 1

    def _look_at_claimed(self) -> None:
        """Drop what others have finished; take back what they have let go."""
        self.claimed -= self.known.refresh()
        for structure_id in sorted(self.claimed):
            if not is_live(self.folder.claim_path(structure_id), CLAIM_STALE_AFTER_S):
                self.claimed.discard(structure_id)
                self.queue.append(structure_id)

    def _restart_after(self, error: BaseException) -> None:
        """Take back what was submitted, for another pool; some may have their row already."""
        self.restarts += 1
        if self.restarts > POOL_RESTARTS:
            raise RuntimeError(f"the worker pool broke {self.restarts} times: {error}") from error
        log.warning("the worker pool broke (%s) and is started again", error)
        self.queue.extendleft(self.running.values())
        self.running.clear()
        self.taken_back.update(self.queue)


def _exit_in_words(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-exitcode).name}"
    return f"exit code {exitcode}"
