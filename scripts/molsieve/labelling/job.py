"""A label job: given structures in, a row in the label store for each, a receipt out."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pandas as pd

from molsieve import campaign as config
from molsieve import engines, tables
from molsieve.jobs.allocation import Allocation
from molsieve.jobs.leases import Lease
from molsieve.labelling.compaction import (
    clear_claims,
    compact_dead_jobs,
    compact_job,
    merge_fragments,
)
from molsieve.labelling.cost import CostModel
from molsieve.labelling.pool import LabelPool
from molsieve.labelling.scratch import scratch_folder
from molsieve.labelling.stopping import Stopping, stopped_by_signals
from molsieve.labelling.store import (
    CLAIM_STALE_AFTER_S,
    LevelFolder,
    is_terminal,
    new_attempt_id,
    read_labels,
)
from molsieve.labelling.worker import (
    MACHINE_FAULTS,
    Compute,
    LabelStoreError,
    Level,
    WorkerSetup,
)

ERROR_COLUMNS = ["error_kind", "error_message"]
RECEIPT_COLUMNS = tables.SCHEMAS["receipt"].names


class Unfinished(RuntimeError):
    """Some structures have no terminal row; the same job again goes on from there."""

    def __init__(self, done: int, failed: int, left: int):
        super().__init__(
            f"{left} of {done + failed + left} structures have no label yet ({done} done, {failed} "
            "failed); what is done is in the label store, run the same job again for the rest"
        )
        self.done, self.failed, self.left = done, failed, left


def label_structures(
    structures: pd.DataFrame,
    level: Level,
    store: str | Path,
    receipt: str | Path | None,
    *,
    workers: int,
    run: config.Run,
    job: str,
    deadline: float | None = None,
    campaign: str = "",
    compute: Compute | None = None,
    newer_than: str = "",
    allocation: Allocation | None = None,
) -> pd.DataFrame:
    """Compute what the store lacks and return the receipt, sorted by ``structure_id``.

    Any row of a structure, ok or failed, is terminal: it is not computed again, also not after
    ``timeout`` or ``worker_died``, which would hold up every retry of the job by the same hours.

    Args:
        structures: rows of the ``structures`` contract; repeated ids count once.
        receipt: the table ``receipt``, written only when every structure has a row.
        workers: processes, one thread each.
        run: scratch, time limit of a calculation, margin before ``deadline``, grace after SIGTERM.
        job: a name for the journals; any text, need not be unique.
        deadline: unix time (s) at which the job will be killed; it stops itself before. None: the
            allocation's.
        compute: ``(atoms, level) -> Label``, importable by name; None: ``engines.compute_label``.
        newer_than: of a retry: failed rows up to this ``attempt_id`` are not terminal.
        allocation: cores, GPUs and memory that workers are settled in; None: nothing is shared out.

    Raises:
        Unfinished: stopped by the deadline or a signal; nothing finished is lost.
        LabelStoreError: this machine cannot label, or the store cannot be written.
    """
    allocation = allocation or Allocation()
    # Before the store is read: time lost to a file system that hangs is no calculation's.
    stopping = Stopping.before(deadline or allocation.deadline, run.wall_margin_s)
    unique = structures.drop_duplicates("structure_id")
    with _machine_faults_in_words(store, allocation.place):
        engines.engine_version(level)
        folder = LevelFolder.made(store, level)
        compact_dead_jobs(folder, CLAIM_STALE_AFTER_S / 2 if allocation.scheduler else 0.0)
        found = _terminal_rows(store, folder, unique, newer_than)
        left = unique[~unique["structure_id"].isin(found["structure_id"])]
        if len(left):
            rows, costs_s = _longest_first(left, level, store)
            setup_in = partial(
                WorkerSetup,
                job=_writer(job, allocation),
                store=folder.path.parent,
                level=level,
                level_id=folder.level_id,
                compute=compute or engines.compute_label,
                controller_pid=os.getpid(),
                newer_than=newer_than,
                allocation=allocation,
                workers=max(1, min(workers, len(left))),
            )
            _compute(rows, costs_s, folder, setup_in, run, stopping, campaign)
            found = _terminal_rows(store, folder, unique, newer_than)
        clear_claims(folder, found["structure_id"])
        return _receipt(found, folder.level_id, len(unique), receipt, campaign)


def _terminal_rows(
    store: str | Path, folder: LevelFolder, structures: pd.DataFrame, newer_than: str
) -> pd.DataFrame:
    """The winning row of each structure that is done."""
    rows = read_labels(store, folder.level_id, structures["structure_id"], ERROR_COLUMNS)
    return rows[is_terminal(rows["status"], rows["attempt_id"], newer_than)]


def _longest_first(
    structures: pd.DataFrame, level: Level, store: str | Path
) -> tuple[list[dict], dict[str, float]]:
    """The rows in the order in which they are begun, and predicted seconds by structure."""
    costs = CostModel.from_store(store, [level]).predicted_costs_s(structures, level)
    ordered = structures.assign(_cost=-costs).sort_values(["_cost", "structure_id"])
    rows = ordered.drop(columns="_cost").to_dict("records")
    costs_s = dict(zip(ordered["structure_id"], -ordered["_cost"], strict=True))
    return [{str(k): v for k, v in row.items()} for row in rows], costs_s


def _writer(job: str, allocation: Allocation) -> str:
    """A name for this attempt's journals: what it does, the scheduler's job, when it began."""
    parts = [job, f"{allocation.scheduler}{allocation.job_id}", new_attempt_id()]
    return "-".join(re.sub("[^A-Za-z0-9_-]+", "-", part) for part in parts if part)


def _compute(
    rows: list[dict],
    costs_s: dict[str, float],
    folder: LevelFolder,
    setup_in: Callable[..., WorkerSetup],
    run: config.Run,
    stopping: Stopping,
    campaign: str,
) -> None:
    """Run the pool under the job's lease, then compact its journals."""
    with scratch_folder(run.scratch) as scratch, stopped_by_signals(stopping, run.grace_s):
        setup = setup_in(scratch=scratch)
        with Lease(folder.job_lease_path(setup.job), CLAIM_STALE_AFTER_S):
            limit_s = run.calculation_time_limit_s
            pool = LabelPool(rows, setup, setup.workers, limit_s, stopping, costs_s)
            try:
                pool.run()
            finally:
                compact_job(folder, setup.job, campaign)
    merge_fragments(folder)


@contextlib.contextmanager
def _machine_faults_in_words(store: str | Path, place: str) -> Iterator[None]:
    """A full disk or a missing engine is one message, and says nothing about a structure."""
    try:
        yield
    except ImportError as error:
        raise LabelStoreError(f"the engine is missing on {place}: {error}") from error
    except OSError as error:
        if error.errno not in MACHINE_FAULTS:
            raise
        raise LabelStoreError(
            f"label store {store}, written from {place}: {error}. What was recorded is safe; mend "
            "that (a full disk: make space) and run the same job again"
        ) from error


def _receipt(
    found: pd.DataFrame, level_id: str, wanted: int, receipt: str | Path | None, campaign: str
) -> pd.DataFrame:
    done = int((found["status"] == "ok").sum())
    if len(found) < wanted:
        raise Unfinished(done, len(found) - done, wanted - len(found))
    rows = found.assign(level_id=level_id)[RECEIPT_COLUMNS]
    if receipt is not None and not _says_already(receipt, rows):
        tables.write_table(rows, "receipt", receipt, campaign)
    return rows


def _says_already(receipt: str | Path, rows: pd.DataFrame) -> bool:
    """True if the receipt holds these rows: written again it would be new to all that follows."""
    try:
        return tables.read_table(receipt, "receipt").equals(
            tables.to_frame(tables.to_arrow(rows, "receipt"))
        )
    except (FileNotFoundError, tables.TableError):
        return False
