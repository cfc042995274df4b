"""The node-local folder of a label job, removed at its end; also after those that were killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from molsieve.jobs.leases import Lease, read_holder
from molsieve.labelling.store import CLAIM_STALE_AFTER_S

PREFIX = "molsieve-job-"
LEASE = "owner.lease"
ABANDONED_AFTER_S = 24 * 3600.0
"""A folder whose owner cannot be looked up (another node's, on a shared scratch) may belong to a
suspended job, which shows no sign of life: it is left alone for this long."""


@contextlib.contextmanager
def scratch_folder(parent: str | None) -> Iterator[Path]:
    """A folder of this job under ``parent`` (None: TMPDIR), removed afterwards.

    Those of jobs that were killed, and could not remove theirs, are removed first.
    """
    above = Path(parent) if parent else Path(tempfile.gettempdir())
    above.mkdir(parents=True, exist_ok=True)
    remove_abandoned(above)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=above))
    try:
        with Lease(folder / LEASE, CLAIM_STALE_AFTER_S):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned(parent: Path) -> None:
    """Remove the folders in ``parent`` whose job is dead; others' and live ones are left alone."""
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == os.getuid() and _is_abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    holder = read_holder(folder / LEASE)
    if holder is not None and holder.is_gone():
        return True
    sign_of_life = folder / LEASE if holder is not None else folder
    return time.time() - sign_of_life.stat().st_mtime > ABANDONED_AFTER_S
