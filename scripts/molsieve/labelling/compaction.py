"""Compaction of the label store: journals into fragments, many fragments into one.

Nothing is removed before what replaces it is on disk under its final name, so a process that dies
anywhere leaves at worst a row in two places. A journal is sealed (renamed) before it is read, and
its writer notices: see :meth:`Journal.append`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from molsieve import tables
from molsieve.jobs.leases import Lease, clear_if_stale
from molsieve.labelling.journal import SEALED_SUFFIX, SUFFIX, read_journal
from molsieve.labelling.store import (
    ATTEMPT_KEY,
    CLAIM_STALE_AFTER_S,
    LevelFolder,
    job_of,
    new_attempt_id,
    rows_frame,
)

log = logging.getLogger(__name__)

MAX_FRAGMENTS = 32
MERGED_BYTES = 64 * 2**20
"""Fragments of at least this size are left alone, so that merging stays cheap as a store grows."""


def compact_job(folder: LevelFolder, job: str, campaign: str = "") -> int:
    """Turn a job's journals into one fragment; returns its number of rows.

    Only for a job whose workers have ended: by itself, or by others once its lease is stale.
    """
    sealed = [_sealed(p) for p in folder.journal_paths() if job_of(p) == job]
    records: list[dict] = []
    finished: list[Path] = []
    damaged: list[Path] = []
    for path in sealed:
        try:
            content = read_journal(path)
        except FileNotFoundError:
            continue  # another compaction of the same dead job has finished it
        records += content.records
        if content.corrupted:
            log.warning("%s: %d damaged records skipped", path, content.corrupted)
        (damaged if content.corrupted else finished).append(path)
    if records:
        rows = rows_frame(records).drop_duplicates(ATTEMPT_KEY)
        _write_fragment(folder, rows, campaign)
    for path in damaged:
        folder.set_aside(path, "damaged records")
    for path in finished:
        path.unlink(missing_ok=True)
    return len(records)


def compact_dead_jobs(folder: LevelFolder, silent_for_s: float = 0.0) -> int:
    """Compact the journals of jobs that ended without doing so; returns the rows found.

    Args:
        silent_for_s: jobs that gave a sign of life this lately are not looked at: hundreds that
            start together would ask each of the others.
    """
    rows = 0
    for job in sorted({job_of(path) for path in folder.journal_paths() + folder.job_leases()}):
        lease = folder.job_lease_path(job)
        if silent_for_s and _age_s(lease) < silent_for_s:
            continue
        if clear_if_stale(lease, CLAIM_STALE_AFTER_S):
            rows += compact_job(folder, job)
    return rows


def clear_claims(folder: LevelFolder, structure_ids: Iterable[str]) -> None:
    """Remove the claims that dead workers left on structures which have a row by now."""
    wanted = set(structure_ids)
    for path in folder.claim_files():
        if path.name in wanted:
            clear_if_stale(path, CLAIM_STALE_AFTER_S)


def merge_fragments(folder: LevelFolder, max_fragments: int = MAX_FRAGMENTS) -> bool:
    """Merge the small fragments into one if there are more than ``max_fragments``; True if done.

    Readers that lose a fragment under their hands read again and find the merged one.
    """
    parts = [p for p in folder.fragment_paths() if _size(p) < MERGED_BYTES]
    if len(parts) <= max_fragments:
        return False
    lease = Lease(folder.path / "merge.lease", CLAIM_STALE_AFTER_S)
    if not lease.acquire():
        return False
    try:
        with contextlib.suppress(FileNotFoundError):  # merged by another just before us
            frames = {path: folder.read_fragment(path) for path in parts}
            found = {path: rows for path, rows in frames.items() if rows is not None}
            if not found:  # all damaged, and set aside by the reading
                return False
            rows = pd.concat(found.values(), ignore_index=True).drop_duplicates(ATTEMPT_KEY)
            _write_fragment(folder, rows, "")
            for path in found:
                path.unlink(missing_ok=True)
            return True
        return False
    finally:
        lease.release()


def _write_fragment(folder: LevelFolder, rows: pd.DataFrame, campaign: str) -> None:
    ordered = rows.sort_values(["structure_id", "attempt_id"])
    path = folder.fragments / f"{new_attempt_id()}.parquet"
    tables.write_table(ordered, "labels", path, campaign)


def _sealed(path: Path) -> Path:
    """The journal under the name that its writer no longer appends to."""
    if path.name.endswith(SEALED_SUFFIX):
        return path
    sealed = path.with_name(path.name.removesuffix(SUFFIX) + SEALED_SUFFIX)
    with contextlib.suppress(FileNotFoundError):
        os.rename(path, sealed)
    return sealed


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
