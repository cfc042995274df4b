"""What happens inside a worker process: claim a structure, compute it, journal it, report it.

The row is in the journal before the controller hears of it, so nothing finished is lost with the
controller. Functions of this module run in spawned processes and are named by import path.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import ase
import numpy as np

from molsieve import engines
from molsieve.chem.identities import atoms_from_row
from molsieve.engines.base import CalculationError, EngineUnavailable, Label
from molsieve.jobs.allocation import Allocation
from molsieve.jobs.leases import Lease
from molsieve.labelling.cost import computed_electrons
from molsieve.labelling.journal import SUFFIX, Journal
from molsieve.labelling.places import limit_memory, memory_share_mb, take_place
from molsieve.labelling.store import (
    CLAIM_STALE_AFTER_S,
    KnownStructures,
    LevelFolder,
    is_terminal,
    new_attempt_id,
    read_attempts,
)
from molsieve.levels import Level

Compute = Callable[[ase.Atoms, Level], Label]
State = Literal["ok", "failed", "known", "claimed", "withdrawn", "memory"]

PARENT_WATCH_S = 0.5
MESSAGE_LENGTH = 2000
MACHINE_FAULTS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ESTALE,
    errno.EAGAIN,
    errno.ETIMEDOUT,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENOTCONN,
    errno.ENXIO,
    errno.ENODEV,
}
"""Errors that another structure would meet here too: no word on this one for ever."""
DISK_FULL = ("No space left on device", "Disk quota exceeded")
"""As libraries that lose the number say it (HDF5, under PySCF)."""


class LabelStoreError(Exception):
    """This machine cannot label (store or scratch full, engine missing): no structure's fault."""


@dataclass(frozen=True)
class WorkerSetup:
    """All that a worker of a job needs to know."""

    job: str
    store: Path
    level: Level
    level_id: str
    scratch: Path
    compute: Compute
    controller_pid: int
    newer_than: str = ""
    """Failures up to this attempt are repeated; see ``store.is_terminal``."""
    allocation: Allocation = field(default_factory=Allocation)
    workers: int = 1


@dataclass(frozen=True)
class Outcome:
    """What became of a structure.

    Labelled now (``ok``, ``failed``), had a row already (``known``), is being computed by another
    job (``claimed``), not begun because the job stops (``withdrawn``), or in want of more memory
    than a worker's share (``memory``).
    """

    structure_id: str
    state: State
    message: str = ""
    """What was wanted, of ``memory``."""


def stop_file(setup: WorkerSetup) -> Path:
    """While this file exists no worker of the job begins a calculation."""
    return setup.scratch / "stop"


class _Worker:
    """The state of this process as a worker."""

    def __init__(self, setup: WorkerSetup):
        self.setup = setup
        self.folder = LevelFolder(setup.store, setup.level_id)
        self.known = KnownStructures(self.folder, setup.job, setup.newer_than)
        self.journal = Journal(
            self.folder.journals / f"{setup.job}.{os.getpid()}-{new_attempt_id()[:16]}{SUFFIX}"
        )
        self.engine_version = engines.engine_version(setup.level)
        self.fault: LabelStoreError | None = None
        """What ends this worker: it begins no other calculation, of which the row would be lost."""
        # Imports the engine, so that no calculation's time holds the import. What is wrong with
        # the engine shows at the calculation, as a row.
        with contextlib.suppress(Exception):
            engines.open_engine(setup.level)

    def label(self, structure: Mapping[str, Any], repeated: bool, alone: bool) -> Outcome:
        """See :func:`label_one`."""
        structure_id = structure["structure_id"]
        # There before the first claim is: who waits for a claim on another machine, and sees it
        # given back, must not find a folder's listing that is too old to show the row's file.
        self.journal.open()
        if repeated:
            self.folder.refresh_listings()
        claim = Lease(self.folder.claim_path(structure_id), CLAIM_STALE_AFTER_S)
        if not claim.acquire():
            return Outcome(structure_id, "claimed")
        try:
            # Between the controller's look at the store and our claim another job may have
            # finished it; a worker that died may have, just before its death.
            if structure_id in self.known.refresh() or (repeated and self._has_row(structure_id)):
                return Outcome(structure_id, "known")
            limit_memory(memory_share_mb(self.setup.allocation, 1 if alone else self.setup.workers))
            row = computed_row(structure, self.setup, self.engine_version)
            self.journal.append(row)
            return Outcome(structure_id, "ok" if row["status"] == "ok" else "failed")
        except MemoryError as error:
            return Outcome(structure_id, "memory", f"{type(error).__name__}: {error}")
        finally:
            claim.release()

    def _has_row(self, structure_id: str) -> bool:
        rows = read_attempts(self.setup.store, self.setup.level_id, [structure_id], ["status"])
        return bool(is_terminal(rows["status"], rows["attempt_id"], self.setup.newer_than).any())


_worker: _Worker | None = None


def start_worker(setup: WorkerSetup) -> None:
    """Make this process a worker of a job: own place and scratch, dies with its controller."""
    global _worker
    # The batch system's SIGTERM goes to every process of a job. Its controller decides what may
    # still end, and stops the workers by SIGKILL.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_die_with, args=(setup.controller_pid,), daemon=True).start()
    scratch = setup.scratch / str(os.getpid())
    scratch.mkdir(parents=True, exist_ok=True)
    for variable in ("TMPDIR", "PYSCF_TMPDIR"):
        os.environ[variable] = str(scratch)
    tempfile.tempdir = str(scratch)
    take_place(setup.allocation, setup.workers, setup.scratch)
    limit_memory(memory_share_mb(setup.allocation, setup.workers))
    _worker = _Worker(setup)


def label_one(structure: Mapping[str, Any], repeated: bool, alone: bool = False) -> Outcome:
    """Label one row of ``structures``: a calculation that fails is a failed row.

    Args:
        repeated: it was begun before, here or by another job, and may have its row.
        alone: nothing else runs in the job, so all its memory may be used.

    Raises:
        LabelStoreError: nothing can be computed or recorded on this machine.
    """
    assert _worker is not None, "start_worker comes first"
    if stop_file(_worker.setup).exists():
        return Outcome(structure["structure_id"], "withdrawn")
    if _worker.fault:
        raise _worker.fault
    setup = _worker.setup
    try:
        return _worker.label(structure, repeated, alone)
    except OSError as error:
        _worker.fault = LabelStoreError(
            f"label store {setup.store}, scratch {setup.scratch} on {setup.allocation.place}: "
            f"{error}"
        )
        raise _worker.fault from error
    except (EngineUnavailable, ImportError) as error:
        _worker.fault = LabelStoreError(
            f"{setup.level.engine} cannot be used on {setup.allocation.place}: {error}"
        )
        raise _worker.fault from error


def computed_row(
    structure: Mapping[str, Any], setup: WorkerSetup, engine_version: str
) -> dict[str, Any]:
    """The calculation, and its ``labels`` row whatever came of it.

    Raises:
        OSError, ImportError, EngineUnavailable: the machine's fault, so that a retry elsewhere may
            succeed.
        MemoryError: more is wanted than there is for this worker.
    """
    attempt_id = new_attempt_id()
    started = time.perf_counter()
    try:
        label = setup.compute(atoms_from_row(structure), setup.level)
        result = {"status": "ok", **label_columns(label)}
    except Exception as error:
        if any(words in str(error) for words in DISK_FULL):
            raise OSError(errno.ENOSPC, str(error)) from error
        if not setup.scratch.is_dir():
            raise OSError(errno.ENOENT, "the scratch folder is gone") from error
        if _is_machine_fault(error) or isinstance(error, MemoryError):
            raise
        result = _failure(error)
    return {
        **row_columns(structure, setup.level, setup.level_id, attempt_id, engine_version),
        **result,
        "wall_s": time.perf_counter() - started,
    }


def _is_machine_fault(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in MACHINE_FAULTS
    return isinstance(error, EngineUnavailable | ImportError)


def _failure(error: Exception) -> dict[str, Any]:
    if isinstance(error, CalculationError):
        return failed_columns(error.kind, error.message)
    return failed_columns("engine_error", f"{type(error).__name__}: {error}")


def row_columns(
    structure: Mapping[str, Any], level: Level, level_id: str, attempt_id: str, version: str
) -> dict[str, Any]:
    """The columns of a ``labels`` row that do not depend on how the calculation ended."""
    return {
        "structure_id": structure["structure_id"],
        "level_id": level_id,
        "attempt_id": attempt_id,
        "recovery_step": 0,
        "engine": level.engine,
        "engine_version": version,
        "cores": 1,
        "valence_electrons": computed_electrons(structure, level),
    }


def failed_columns(kind: str, message: str) -> dict[str, Any]:
    """The columns of a row without a label."""
    return {"status": "failed", "error_kind": kind, "error_message": message[:MESSAGE_LENGTH]}


def label_columns(label: Label) -> dict[str, Any]:
    """A label as plain values, vectors flat.

    Raises:
        CalculationError: a number is not finite; an engine that says so did not succeed.
    """
    columns: dict[str, Any] = {"recovery_step": int(label.recovery_step)}
    for name in ("energy_ev", "dispersion_energy_ev", "homo_ev", "lumo_ev", "spin_square"):
        value = getattr(label, name)
        columns[name] = None if value is None else float(value)
    for name in (
        "forces_ev_per_angstrom",
        "stress_ev_per_angstrom3",
        "dipole_e_angstrom",
        "final_positions_angstrom",
    ):
        value = getattr(label, name)
        columns[name] = None if value is None else np.asarray(value, float).ravel().tolist()
    states = {} if label.excited_states is None else dict(vars(label.excited_states))
    flags = {"excitation_flags": list(states.pop("excitation_flags"))} if states else {}
    columns |= {name: np.asarray(value).ravel().tolist() for name, value in states.items()}
    for name, value in columns.items():
        if value is not None and not np.isfinite(value).all():
            raise CalculationError("engine_error", f"{name} is not a finite number")
    return columns | flags


def _die_with(controller_pid: int) -> None:
    """End this process soon after its controller: an orphan would compute for nobody."""
    while os.getppid() == controller_pid:
        time.sleep(PARENT_WATCH_S)
    os._exit(1)
