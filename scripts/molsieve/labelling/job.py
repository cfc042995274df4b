"""A label job: given structures in, a row in the label store for each, a receipt out."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from molsieve import campaign as config
from molsieve import engines, tables
from molsieve.labelling.compaction import (
    clear_claims,
    compact_dead_jobs,
    compact_job,
    merge_fragments,
)
from molsieve.labelling.cost import CostModel
from molsieve.labelling.pool import LabelPool, Stopping, stopped_by_signals
from molsieve.labelling.store import (
    CLAIM_STALE_AFTER_S,
    LevelFolder,
    new_attempt_id,
    read_labels,
)
from molsieve.labelling.worker import Compute, Level, WorkerSetup
from molsieve.leases import Lease, is_live

log = logging.getLogger(__name__)

GRACE_S = 5.0
"""After SIGTERM, for calculations about to end; SLURM kills 30 s after its SIGTERM."""
HAND_IN_S = 30.0
"""Kept of the margin before the wall time, to stop workers and compact journals."""
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
) -> pd.DataFrame:
    """Compute what the store lacks and return the receipt, sorted by ``structure_id``.

    Any row of a structure, ok or failed, is terminal: it is not computed again, also not after
    ``timeout`` or ``worker_died``, which would hold up every retry of the job by the same hours.

    Args:
        structures: rows of the ``structures`` contract; repeated ids count once.
        receipt: the table ``receipt``, written only when every structure has a row.
        workers: processes, one thread each.
        run: scratch, time limit of a calculation, margin before ``deadline``.
        job: a name for the journals; any text, need not be unique.
        deadline: unix time (s) at which the job will be killed; it stops itself before.
        compute: ``(atoms, level) -> Label``, importable by name; None: ``engines.compute_label``.

    Raises:
        Unfinished: stopped by the deadline or a signal; nothing finished is lost.
        LabelStoreError: the store cannot be written.
    """
    folder = LevelFolder.made(store, level)
    unique = structures.drop_duplicates("structure_id")
    compact_dead_jobs(folder)
    found = read_labels(store, folder.level_id, unique["structure_id"], ERROR_COLUMNS)
    left = unique[~unique["structure_id"].isin(found["structure_id"])]
    if len(left):
        rows = _longest_first(left, level, store)
        _compute(rows, folder, level, workers, run, job, deadline, campaign, compute)
        found = read_labels(store, folder.level_id, unique["structure_id"], ERROR_COLUMNS)
    clear_claims(folder, found["structure_id"])
    return _receipt(found, folder.level_id, len(unique), receipt, campaign)


def _longest_first(structures: pd.DataFrame, level: Level, store: str | Path) -> list[dict]:
    costs = CostModel.from_store(store, [level]).predicted_costs_s(structures, level)
    ordered = structures.assign(_cost=-costs).sort_values(["_cost", "structure_id"])
    return [
        {str(k): v for k, v in row.items()}
        for row in ordered.drop(columns="_cost").to_dict("records")
    ]


def _compute(
    rows: list[dict],
    folder: LevelFolder,
    level: Level,
    workers: int,
    run: config.Run,
    job: str,
    deadline: float | None,
    campaign: str,
    compute: Compute | None,
) -> None:
    """Run the pool under the job's lease, then compact its journals."""
    writer = f"{re.sub('[^A-Za-z0-9_-]+', '-', job)}-{new_attempt_id()}"
    stopping = _stopping(deadline, run.wall_margin_s)
    with (
        Lease(folder.job_lease_path(writer), CLAIM_STALE_AFTER_S),
        _scratch_folder(run.scratch) as scratch,
        stopped_by_signals(stopping, GRACE_S),
    ):
        setup = WorkerSetup(
            job=writer,
            store=folder.path.parent,
            level=level,
            level_id=folder.level_id,
            scratch=scratch,
            compute=compute or engines.compute_label,
            controller_pid=os.getpid(),
        )
        pool = LabelPool(rows, setup, workers, run.calculation_time_limit_s, stopping)
        try:
            pool.run()
        finally:
            compact_job(folder, writer, campaign)
    merge_fragments(folder)


def _stopping(deadline: float | None, wall_margin_s: float) -> Stopping:
    if deadline is None:
        return Stopping()
    at = deadline - wall_margin_s
    return Stopping(at, max(at, deadline - HAND_IN_S))


def _receipt(
    found: pd.DataFrame, level_id: str, wanted: int, receipt: str | Path | None, campaign: str
) -> pd.DataFrame:
    done = int((found["status"] == "ok").sum())
    if len(found) < wanted:
        raise Unfinished(done, len(found) - done, wanted - len(found))
    rows = found.assign(level_id=level_id)[RECEIPT_COLUMNS]
    if receipt is not None:
        tables.write_table(rows, "receipt", receipt, campaign)
    return rows


@contextlib.contextmanager
def _scratch_folder(scratch: str | None) -> Iterator[Path]:
    """A folder of this job under ``scratch`` (None: TMPDIR), removed afterwards.

    Those of jobs that were killed, and could not remove theirs, are removed first.
    """
    parent = Path(scratch) if scratch else Path(tempfile.gettempdir())
    parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(parent)
    folder = Path(tempfile.mkdtemp(prefix="molsieve-job-", dir=parent))
    lease = Lease(folder / "owner.lease", CLAIM_STALE_AFTER_S)
    lease.acquire()
    try:
        yield folder
    finally:
        lease.release()
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob("molsieve-job-*"):
        with contextlib.suppress(OSError):
            young = time.time() - folder.stat().st_mtime < CLAIM_STALE_AFTER_S
            lease = folder / "owner.lease"
            if is_live(lease, CLAIM_STALE_AFTER_S) or (young and not lease.exists()):
                continue
            shutil.rmtree(folder, ignore_errors=True)
