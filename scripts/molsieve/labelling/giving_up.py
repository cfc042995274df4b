"""What a label job gives up: the rows of calculations that ended without writing their own.

A calculation over its time limit, one that killed two workers, one that wants more than the whole
memory, one that outlasts its job. Where no calculation ended at all, several deaths tell of the
node or of the memory granted and not of structures: then none is given up, and the job fails.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import signal
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import pebble

from molsieve import engines
from molsieve.jobs.leases import read_holder
from molsieve.labelling.journal import SUFFIX, Journal
from molsieve.labelling.stopping import Standstill, Stopping
from molsieve.labelling.store import KnownStructures, new_attempt_id
from molsieve.labelling.worker import LabelStoreError, WorkerSetup, failed_columns, row_columns

log = logging.getLogger(__name__)

DEATHS_ALLOWED = 1
DEATHS_OF_A_NODE = 3
"""So many structures given up, and not one calculation that ended, are no structure's fault."""
WHOLE_JOB = 0.8
"""A calculation that had this share of a job's time, and did not end, ends in no such job."""


class GivingUp:
    """Decides which calculations are repeated and writes a row for those that are given up.

    Args:
        structures: rows of the contract, by id.
        known: which structures have a row.
        time_limit_s: of one calculation.
    """

    def __init__(
        self,
        structures: Mapping[str, Mapping[str, Any]],
        setup: WorkerSetup,
        known: KnownStructures,
        stopping: Stopping,
        time_limit_s: float,
    ):
        self.structures = structures
        self.setup = setup
        self.known = known
        self.stopping = stopping
        self.time_limit_s = time_limit_s
        self.rows = 0
        self.journal = Journal(known.folder.journals / f"{setup.job}.controller{SUFFIX}")
        self._deaths: Counter[str] = Counter()
        self._held_back: dict[str, tuple[str, str]] = {}
        # Too few structures to tell a bad node by, or a retry that a person ordered.
        self._node_is_good = len(structures) < DEATHS_OF_A_NODE or bool(setup.newer_than)
        self._overlong: dict[str, float] = {}
        self._standstill = Standstill()
        self._suspended: set[str] = set()
        self._excused: set[str] = set()

    def note_standstill(self, running: Iterable[str]) -> None:
        """A time limit goes on while a job is suspended: no fault of what it was computing."""
        if self._standstill.noticed():
            self._suspended.update(running)

    def calculation_ended(self) -> None:
        """A worker wrote its row: this node can, and who died here did so by itself."""
        self._node_is_good = True
        while self._held_back:
            self._record(*self._held_back.popitem())

    def timeout(self, structure_id: str) -> bool:
        """Give the calculation up; True: repeat it, once, as the job was suspended under it."""
        if structure_id in self._suspended - self._excused:
            self._excused.add(structure_id)
            return True
        whose = "its retry" if self.setup.newer_than else "run.calculation_time_limit_s"
        limit = f"stopped after {self.time_limit_s:g} s, the limit of {whose}"
        self._record(structure_id, ("timeout", limit), self.time_limit_s)
        return False

    def death(self, structure_id: str, death: pebble.ProcessExpired) -> bool:
        """Give the calculation up if it keeps killing its workers; True: repeat it."""
        if self.stopping:
            return False
        self._deaths[structure_id] += 1
        how = _exit_in_words(death.exitcode)
        if self._deaths[structure_id] <= DEATHS_ALLOWED:
            log.warning("worker %s died (%s): repeated", death.pid, how)
            return True
        message = f"its worker died {self._deaths[structure_id]} times: {how}"
        self._give_up(structure_id, "worker_died", message)
        return False

    def out_of_memory(self, structure_id: str, message: str) -> None:
        """Give up a calculation that had all the memory there is."""
        granted_mb = self.setup.allocation.memory_mb
        granted = f" of {granted_mb:g} MB" if granted_mb else ""
        message += f" (with the whole memory{granted} to itself)"
        self._give_up(structure_id, "engine_error", message)

    def note_overlong(self, running: Mapping[concurrent.futures.Future, str]) -> None:
        """What had (nearly) the whole job to itself when its wall time came, by seconds it ran."""
        whole_s = time.time() - self.stopping.began
        self.note_standstill(running.values())
        if self.stopping.asked or self._suspended:
            return
        for future, structure_id in running.items():
            claim = read_holder(self.known.folder.claim_path(structure_id))
            ran_s = time.time() - claim.since_unix_s if claim and future.running() else 0.0
            if ran_s >= WHOLE_JOB * whole_s:
                self._overlong[structure_id] = ran_s

    def finish(self) -> None:
        """At the job's end: the rows not yet written.

        Raises:
            LabelStoreError: every calculation that was tried here died.
        """
        for structure_id, ran_s in self._overlong.items():
            message = (
                f"still running after {ran_s:.0f} s, all that its job had before the job's wall "
                f"time; run.calculation_time_limit_s = {self.time_limit_s:g} s would allow more: "
                "give the job a longer wall time"
            )
            self._record(structure_id, ("timeout", message), ran_s)
        self._judge_held_back()
        self.journal.close()

    def _give_up(self, structure_id: str, kind: str, message: str) -> None:
        self._held_back[structure_id] = kind, message
        if self._node_is_good:
            self._record(structure_id, self._held_back.pop(structure_id))

    def _judge_held_back(self) -> None:
        for structure_id in self._held_back.keys() & self.known.refresh():
            del self._held_back[structure_id]
        if len(self._held_back) >= DEATHS_OF_A_NODE:
            granted_mb = self.setup.allocation.memory_mb
            granted = f", {granted_mb:g} MB granted" if granted_mb else ""
            _, message = next(iter(self._held_back.values()))
            raise LabelStoreError(
                "this node or allocation kills every worker "
                f"({self.setup.allocation.place}{granted}): {len(self._held_back)} "
                f"structures were tried twice and no calculation ended. The first: {message}. No "
                "structure is given up for that; run the same job again, on another node or with "
                "more memory"
            )
        if not self.stopping:  # else the next job tells whose fault it was
            self.calculation_ended()

    def _record(self, structure_id: str, why: tuple[str, str], wall_s: float = 0.0) -> None:
        """The controller's own row, unless the worker had written its row before its end."""
        if structure_id in self.known.refresh():
            return
        kind, message = why
        message = f"{message} ({self.setup.allocation.place})"
        log.warning("structure %s: %s, %s", structure_id, kind, message)
        level, version = self.setup.level, engines.engine_version(self.setup.level)
        columns = row_columns(
            self.structures[structure_id], level, self.setup.level_id, new_attempt_id(), version
        )
        self.journal.append({**columns, **failed_columns(kind, message), "wall_s": wall_s})
        self.rows += 1


def _exit_in_words(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-exitcode).name}"
    return f"exit code {exitcode}"
