"""The worker pool of a label job: the controller's side.

Workers are spawned, one thread each. A calculation over its time limit becomes a failed row. One
whose worker was killed, or that wants more than a worker's share of the memory, is repeated once
at the end, with nothing beside it: a kernel short of memory kills without saying so. What another
job is computing is left until the end and then waited for.
"""

from __future__ import annotations

import concurrent.futures
import logging
import multiprocessing
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pebble

from molsieve.jobs.leases import is_live
from molsieve.labelling.giving_up import GivingUp
from molsieve.labelling.places import one_thread_each
from molsieve.labelling.stopping import Stopping
from molsieve.labelling.store import CLAIM_STALE_AFTER_S, KnownStructures, LevelFolder
from molsieve.labelling.worker import (
    LabelStoreError,
    Outcome,
    WorkerSetup,
    label_one,
    start_worker,
    stop_file,
)

log = logging.getLogger(__name__)

SUBMITTED_PER_WORKER = 2
"""One running and one waiting at hand, so that no worker idles for the controller."""
POLL_S = 0.5
POOL_RESTARTS = 10
PATIENCE = 1.3
"""A calculation is begun if this many times its predicted cost is left before the job must stop;
each job begins one a worker whatever they are predicted to cost, so that every job gets on."""
TERMINATION_S = 0.2
"""Pebble's patience between SIGTERM, which workers ignore, and SIGKILL."""


class LabelPool:
    """Computes structures until each has a row in the store or it is time to stop.

    Args:
        structures: rows of the contract, in the order in which they are to be begun.
        time_limit_s: of one calculation.
        costs_s: predicted seconds of each structure, by id.
    """

    def __init__(
        self,
        structures: Sequence[Mapping[str, Any]],
        setup: WorkerSetup,
        workers: int,
        time_limit_s: float,
        stopping: Stopping,
        costs_s: Mapping[str, float] | None = None,
    ):
        self.structures = {s["structure_id"]: s for s in structures}
        self.setup = setup
        self.workers = max(1, min(workers, len(structures)))
        self.time_limit_s = time_limit_s
        self.stopping = stopping
        self.folder = LevelFolder(setup.store, setup.level_id)
        self.known = KnownStructures(self.folder, newer_than=setup.newer_than)
        self.giving_up = GivingUp(self.structures, setup, self.known, stopping, time_limit_s)
        self.costs_s = costs_s or {}
        self.queue = deque(self.structures)
        self.alone: deque[str] = deque()
        self.claimed: set[str] = set()
        self.running: dict[concurrent.futures.Future, str] = {}
        self.begun = 0
        self.had_all_memory: set[str] = set()
        self.taken_back: set[str] = set()
        self.restarts = 0
        self.computed = 0

    def run(self) -> int:
        """Work; returns the number of calculations done here.

        Raises:
            LabelStoreError: nothing can be computed or recorded on this machine.
        """
        with one_thread_each():
            while self._unfinished and not self.stopping:
                not_ours = {child.pid for child in multiprocessing.active_children()}
                pool = self._new_pool()
                try:
                    self._work(pool)
                finally:
                    _stop_at_once(pool, not_ours)
        self.giving_up.finish()
        return self.computed + self.giving_up.rows

    @property
    def _unfinished(self) -> bool:
        return bool(self.queue or self.alone or self.running or self.claimed)

    def _new_pool(self) -> pebble.ProcessPool:
        pebble.CONSTS.term_timeout = TERMINATION_S
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
                self.giving_up.note_overlong(self.running)
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
            structure_id = self._next_that_fits()
            if structure_id is None:
                break
            self._schedule(pool, structure_id)
        if self.running:
            return
        if self.queue:
            log.warning("what is left takes longer than this job has: no more work is taken")
            self.stopping.at = time.time()
        elif self.alone:
            self._schedule(pool, self.alone.popleft(), alone=True)

    def _schedule(self, pool: pebble.ProcessPool, structure_id: str, alone: bool = False) -> None:
        repeated = alone or structure_id in self.taken_back
        row = self.structures[structure_id]
        (self.had_all_memory.add if alone else self.had_all_memory.discard)(structure_id)
        future = pool.schedule(label_one, args=(row, repeated, alone), timeout=self.time_limit_s)
        self.running[future] = structure_id
        self.begun += 1

    def _next_that_fits(self) -> str | None:
        """The first in the queue that may end before the job does."""
        left_s = self.stopping.kill_at - time.time()
        for place, structure_id in enumerate(self.queue):
            cost_s = PATIENCE * self.costs_s.get(structure_id, 0.0)
            if self.begun < self.workers or cost_s <= left_s:
                del self.queue[place]
                return structure_id
        return None

    def _settle_done(self) -> bool:
        """Wait a moment for results and record them; False if the pool is broken."""
        if not self.running:
            time.sleep(POLL_S if not self.queue else 0.0)
            return True
        done, _ = concurrent.futures.wait(
            self.running, timeout=POLL_S, return_when=concurrent.futures.FIRST_COMPLETED
        )
        self.giving_up.note_standstill(self.running.values())
        for future in done:
            structure_id = self.running.pop(future)
            try:
                self._settle(structure_id, future.result())
            except BrokenProcessPool as error:
                self.running[future] = structure_id
                self._restart_after(error)
                return False
            except concurrent.futures.TimeoutError:
                if self.giving_up.timeout(structure_id):
                    self._take_back(structure_id)
            except pebble.ProcessExpired as death:
                if self.giving_up.death(structure_id, death):
                    self.alone.append(structure_id)
        return True

    def _settle(self, structure_id: str, outcome: Outcome) -> None:
        if outcome.state == "claimed":
            self.claimed.add(structure_id)
        elif outcome.state == "memory" and structure_id in self.had_all_memory:
            self.giving_up.out_of_memory(structure_id, outcome.message)
        elif outcome.state == "memory":
            log.warning("structure %s wants more memory than a worker's share", structure_id)
            self.alone.append(structure_id)
        elif outcome.state in ("ok", "failed"):
            self.computed += 1
            self.giving_up.calculation_ended()

    def _take_back(self, structure_id: str) -> None:
        """Queue what was begun before, here or elsewhere: its row may be there already."""
        self.taken_back.add(structure_id)
        self.queue.append(structure_id)

    def _look_at_claimed(self) -> None:
        """Drop what others have finished; take back what they have let go."""
        self.claimed -= self.known.refresh()
        for structure_id in sorted(self.claimed):
            if not is_live(self.folder.claim_path(structure_id), CLAIM_STALE_AFTER_S):
                self.claimed.discard(structure_id)
                self._take_back(structure_id)

    def _restart_after(self, error: BaseException) -> None:
        """Take back what was submitted, for another pool; some may have their row already."""
        self.restarts += 1
        if self.restarts > POOL_RESTARTS:
            raise LabelStoreError(
                f"{self.setup.allocation.place}: workers cannot live here, the pool broke "
                f"{self.restarts} times: {error}"
            ) from error
        log.warning("the worker pool broke (%s) and is started again", error)
        self.queue.extendleft(reversed(self.running.values()))
        self.running.clear()
        self.taken_back.update(self.queue)


def _stop_at_once(pool: pebble.ProcessPool, not_ours: set[int | None]) -> None:
    """Stop all workers together; Pebble alone would wait for one after the other."""
    pool.stop()
    for child in multiprocessing.active_children():
        if child.pid not in not_ours:
            child.kill()
    pool.join()
