"""Faults that strike a running campaign, and what they cost.

Each scenario runs a prepared campaign to its end. A fault strikes the label job of one shard, or of
several, while it computes; what it cost is counted for those shards' structures (:class:`Fault`).
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.workflow.conftest import Workspace, environment

from . import processes
from .cluster import Cluster, Job
from .conftest import end_all, rule_of
from .fault_campaign import same_labels, same_tables
from .fault_ledger import Ledger, Moment, begun_at, rows_now

WORKERS = 2
LONG_S = 600.0
"""For anything to happen on a busy machine."""


@dataclass
class Fault:
    """One fault: what it struck and what became of that. A row of docs/faults.md."""

    name: str
    shards: list[int]
    journaled: int = 0
    """Calculations of the struck shards that were in the store at the fault."""
    in_flight: int = 0
    lost: int = 0
    recomputed: int = 0
    repeated: int = 0
    """Calculations that were under way at the fault and were begun again after it."""
    workers: int = 0
    noticed_s: float | None = None
    """Seconds until another job was sent for a struck shard by itself; None: none was."""
    ended: list[str] = field(default_factory=list)
    """States in which the jobs of the struck shards ended, in order of submission."""
    again: int = 0
    """How often the same command had to be typed again because of it."""
    same_labels: bool = False
    same_datasets: bool = False
    same_ranking: bool = False


class FaultRun:
    """A copy of the prepared campaign, run on a cluster while faults strike it."""

    def __init__(self, space: Workspace, cluster: Cluster):
        self.space = space
        self.cluster = cluster
        self.store = space.folder / "results" / "label_store"
        self.ledger = Ledger(self.store)
        self.faults: dict[str, Fault] = {}
        self.moments: dict[str, Moment] = {}
        self.sent: dict[str, int] = {}
        """Label jobs that had been sent for a fault's shards when it struck."""
        self.commands = 0
        self.untold: list[str] = []
        """Faults since the command was typed."""
        self.process: subprocess.Popen[bytes] | None = None
        self.before = set(rows_now(self.store))

    # The controller

    def type_command(self) -> None:
        """The campaign's one command, as often as it is needed."""
        for name in self.untold:
            self.faults[name].again += 1
        self.untold.clear()
        self.commands += 1
        with (self.space.folder / f"command{self.commands}.log").open("wb") as log:
            # A shell that runs the tests in the background has them, and theirs, ignore Ctrl-C.
            self.process = subprocess.Popen(
                ["env", "--default-signal=INT", *self.space.command()],
                cwd=self.space.folder,
                env=environment() | self.space.variables,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def printed(self) -> str:
        """All that the commands printed."""
        files = sorted(self.space.folder.glob("command*.log"))
        return "\n".join(path.read_text(errors="replace") for path in files)

    @property
    def pid(self) -> int:
        """The controller's process, and its group."""
        assert self.process is not None
        return self.process.pid

    def ended(self, seconds: float = LONG_S) -> int:
        """Wait for the command; its exit status."""
        assert self.process is not None
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the command does not end:\n{self.printed()[-8000:]}")

    def close(self) -> None:
        """End whatever still runs."""
        self.ledger.close()
        if self.process is not None and self.process.poll() is None:
            processes.kill([self.process.pid])
            self.process.wait()
        end_all(self.space.folder, self.cluster)

    # Label jobs

    def label_jobs(self, shard: int) -> list[Job]:
        """Jobs sent for a shard of the labels, the first one first."""
        found = [
            job
            for job in self.cluster.jobs(self.space.folder)
            if rule_of(job) == "label_batch" and job.comment.rsplit("_", 1)[1] == str(shard)
        ]
        return sorted(found, key=lambda job: int(job.number))

    def label_job(self, shard: int) -> Job | None:
        """The shard's job that runs now."""
        running = [job for job in self.label_jobs(shard) if job.state == "RUNNING"]
        return running[-1] if running else None

    def journaled(self, shard: int) -> int:
        """Rows that the shard's jobs have journaled here."""
        name = f"{self.space.campaign()['campaign']}-0-{shard}-"
        return sum(path.name.startswith(name) for path in list(self.ledger.seen.values()))

    def at_work(self, shard: int, journaled: int = 1) -> Job | None:
        """The shard's job, once it has journaled a row or more and computes another."""
        if self.journaled(shard) < journaled or (job := self.label_job(shard)) is None:
            return None
        mine = set(self.cluster.job_processes(job.number))
        return job if mine & set(self.ledger.moment().claims.values()) else None

    def script(self, job: Job) -> int:
        """The process of the rule's script: the controller of the job's workers."""
        return next(
            pid for pid in self._pythons(job) if "label_batch.py" in processes.command_line(pid)
        )

    def workers(self, job: Job) -> list[int]:
        """The job's label workers."""
        return [
            pid
            for pid in self._pythons(job)
            if "multiprocessing.spawn" in processes.command_line(pid)
        ]

    def _pythons(self, job: Job) -> list[int]:
        pids = self.cluster.job_processes(job.number)
        return [pid for pid in pids if processes.command_name(pid).startswith("python")]

    # Faults

    def until(self, true: Callable[[], Any], what: str, seconds: float = LONG_S) -> Any:
        """Wait until something is so; the run must not be over before."""
        end = time.monotonic() + seconds
        while not (answer := true()):
            if time.monotonic() > end:
                pytest.fail(f"waited {seconds:.0f} s for {what}:\n{self.printed()[-8000:]}")
            time.sleep(0.05)
        return answer

    def strike(self, name: str, shards: list[int], blow: Callable[[], Any]) -> Any:
        """Strike now; what the fault cost is counted by :meth:`count`."""
        self.faults[name] = Fault(name, shards, workers=WORKERS * len(shards))
        self.untold.append(name)
        self.sent[name] = len(self._struck_jobs(name))
        self.moments[name] = self.ledger.moment()
        return blow()

    def _struck_jobs(self, name: str) -> list[Job]:
        """All jobs of the shards that a fault struck, by shard, before and after it."""
        return [job for shard in self.faults[name].shards for job in self.label_jobs(shard)]

    def until_at_work(self, shards: list[int]) -> None:
        """Wait until one of the shards' jobs has journaled a row more than now and computes."""
        known = {shard: self.journaled(shard) for shard in shards}
        self.until(
            lambda: any(self.at_work(shard, n + 1) for shard, n in known.items()),
            "a label job at work",
        )

    def strike_at_work(self, blows: dict[str, tuple[int, Callable[[Job], Any]]]) -> None:
        """Strike each fault's shard as soon as its job has journaled a row and computes another."""
        waiting = dict(blows)

        def strike_the_ready() -> bool:
            for name, (shard, blow) in list(waiting.items()):
                if job := self.at_work(shard):
                    del waiting[name]
                    self.strike(name, [shard], lambda blow=blow, job=job: blow(job))
                elif (self._receipt(shard)).exists():
                    pytest.fail(f"{name}: shard {shard} had finished before the fault")
            return not waiting

        self.until(strike_the_ready, f"label jobs at work for {', '.join(waiting)}")

    def finish(self) -> None:
        """Let the command end, and end well, noting when each fault was noticed."""
        assert self.process is not None
        end = time.monotonic() + LONG_S
        while self.process.poll() is None and time.monotonic() < end:
            self._note_noticed()
            time.sleep(0.5)
        assert self.process.poll() == 0, self.printed()[-12000:]

    def _note_noticed(self) -> None:
        for name, fault in self.faults.items():
            seen = fault.noticed_s is not None or fault.again
            if not seen and len(self._struck_jobs(name)) > self.sent[name]:
                fault.noticed_s = time.time() - self.moments[name].at

    def _receipt(self, shard: int) -> Path:
        return self.space.results / "rounds" / "0" / "receipts" / f"{shard}.parquet"

    # The reckoning

    def count(self, reference: Workspace) -> dict[str, Fault]:
        """What each fault cost, and whether the answer is that of a run without faults."""
        final = rows_now(self.store)
        lost = self.ledger.lost()
        twice = pd.Series([row[:2] for row in self.ledger.seen]).value_counts()
        same = {
            "same_labels": same_labels(self.space, reference),
            "same_datasets": same_tables(self.space, reference, "rounds/*/dataset/*.parquet"),
            "same_ranking": same_tables(self.space, reference, "rounds/*/ranking.parquet"),
        }
        for name, fault in self.faults.items():
            moment = self.moments[name]
            mine = set().union(*(self._structures(shard) for shard in fault.shards))
            fault.journaled = sum(row[0] in mine for row in moment.rows - self.before)
            at_work = {s for s in moment.claims if s in mine}
            fault.in_flight = len(at_work)
            fault.repeated = sum(row[0] in at_work and begun_at(row) > moment.at for row in final)
            fault.lost = sum(row[0] in mine for row in lost)
            fault.recomputed = int(sum(n - 1 for (s, _), n in twice.items() if s in mine))
            fault.ended = [job.state for job in self._struck_jobs(name)]
            for key, value in same.items():
                setattr(fault, key, value)
            write_record(fault)
        assert not lost
        return self.faults

    def _structures(self, shard: int) -> set[str]:
        return set(pd.read_parquet(self._receipt(shard))["structure_id"])


def check(fault: Fault, *, at_work: bool = True) -> None:
    """What the project promises of every fault.

    Args:
        at_work: whether the struck job had begun to compute.
    """
    assert fault.journaled > 0 or not at_work, "nothing was put to the test"
    assert fault.again <= 1, "more than the same command again"
    assert fault.lost == 0
    assert fault.recomputed == 0
    assert fault.repeated <= fault.workers
    assert fault.same_labels
    assert fault.same_datasets
    assert fault.same_ranking


def write_record(fault: Fault) -> None:
    """Into the folder $MOLSIEVE_FAULTS, for fault_table.py."""
    folder = os.environ.get("MOLSIEVE_FAULTS")
    if folder:
        name = fault.name.replace(" ", "-").replace("/", "-")
        (Path(folder) / f"{name}.json").write_text(json.dumps(asdict(fault)))
