"""A worker's place in its job: one thread on a core, a GPU and a share of the memory of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from molsieve.jobs.allocation import Allocation

PYSCF_MEMORY = "PYSCF_MAX_MEMORY"
"""PySCF's own variable, in MB; ``engines.pyscf`` reads it at every calculation."""
BESIDE_WORKERS_MB = 900.0
"""Of the granted memory: two nested Snakemakes (200 MB together) and the label job's controller."""
LEAST_WORKER_MB = 500.0
"""Python, numpy and an engine's code alone take half of this."""
WAIT_FOR_SLOT_S = 5.0

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

_held: list[int] = []
"""Open descriptors: a slot is free again when its worker is gone, however it ended."""


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


def take_place(allocation: Allocation, workers: int, scratch: Path) -> int | None:
    """Settle this process in a place that no other worker of the job has; returns its number.

    None if all are taken (or the scratch knows no locks): then nothing is pinned. To be called
    before an engine is imported, which may look at the devices.
    """
    slot = _free_slot(scratch / "places", workers)
    if allocation.gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = _in_turn(allocation.gpus, slot or 0)
    if allocation.pinnable and slot is not None:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, {int(_in_turn(allocation.pinnable, slot))})
    return slot


def memory_share_mb(allocation: Allocation, workers: int) -> float | None:
    """Memory (MB) of each of ``workers`` at work at once; None if nothing watches over it."""
    if allocation.memory_mb is None:
        return None
    return max(LEAST_WORKER_MB, (allocation.memory_mb - BESIDE_WORKERS_MB) / max(1, workers))


def limit_memory(share_mb: float | None) -> None:
    """Tell the engines of this process how much memory (MB) they may use; None: their default."""
    if share_mb is not None:
        os.environ[PYSCF_MEMORY] = str(int(share_mb))


def _in_turn(names: Sequence, slot: int) -> str:
    return str(names[slot % len(names)])


def _free_slot(folder: Path, slots: int) -> int | None:
    """Lock a free slot until this process ends; one may get free while a killed worker dies."""
    folder.mkdir(parents=True, exist_ok=True)
    give_up_at = time.monotonic() + WAIT_FOR_SLOT_S
    while True:
        for slot in range(slots):
            descriptor = os.open(folder / str(slot), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _held.append(descriptor)
                return slot
            except BlockingIOError:
                os.close(descriptor)
            except OSError:
                os.close(descriptor)
                return None
        if time.monotonic() > give_up_at:
            return None
        time.sleep(0.1)
