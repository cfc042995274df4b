"""Calculations for the pool's tests: real GFN2-xTB, made slow, deadly or counted.

Importable by name in spawned workers. Each start is a line of the file ``MOLSIEVE_TEST_STARTS``.
"""

import errno
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

from molsieve.chem.identities import structure_id
from molsieve.engines import CalculationError, compute_label

STARTS = "MOLSIEVE_TEST_STARTS"


def identity(atoms):
    """The structure's id, from the atoms alone."""
    info = atoms.info
    return structure_id(atoms.numbers, atoms.positions, info["charge_e"], info["multiplicity"])


def note_start(atoms):
    """Append the structure's id to the list of starts (one write, atomic)."""
    descriptor = os.open(os.environ[STARTS], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{identity(atoms)}\n".encode())
    os.close(descriptor)


def starts():
    """Ids of all calculations begun so far, in order."""
    path = Path(os.environ[STARTS])
    return path.read_text().split() if path.exists() else []


def counted(atoms, level):
    """GFN2-xTB, its start noted."""
    note_start(atoms)
    return compute_label(atoms, level)


def counted_slowly(atoms, level):
    """As ``counted``, long enough to be hit by a signal."""
    note_start(atoms)
    time.sleep(0.1)
    return compute_label(atoms, level)


def first_start_kills_the_worker(atoms, level):
    """The worker dies the first time each structure is begun."""
    repeated = identity(atoms) in starts()
    note_start(atoms)
    if not repeated:
        os.kill(os.getpid(), signal.SIGKILL)
    return compute_label(atoms, level)


def fluorine_kills_the_worker(atoms, level):
    """The worker dies at every structure that holds fluorine."""
    note_start(atoms)
    if 9 in atoms.numbers:
        os.kill(os.getpid(), signal.SIGKILL)
    return compute_label(atoms, level)


def all_die_together_but_water_lives_alone(atoms, level):
    """The worker dies at every first try, and at the second if there is fluorine."""
    repeated = identity(atoms) in starts()
    note_start(atoms)
    if not repeated or 9 in atoms.numbers:
        os.kill(os.getpid(), signal.SIGKILL)
    return compute_label(atoms, level)


def fluorine_takes_for_ever(atoms, level):
    """Structures that hold fluorine do not end."""
    if 9 in atoms.numbers:
        time.sleep(3600)
    return compute_label(atoms, level)


def disk_is_full(atoms, level):
    """The engine cannot write its scratch files."""
    raise OSError(errno.ENOSPC, "No space left on device")


def all_ways_to_fail(atoms, level):
    """Fluorine: a typed error; nitrogen: any other exception; chlorine: not a number."""
    if 9 in atoms.numbers:
        raise CalculationError("scf_not_converged", "no convergence in 250 cycles")
    if 7 in atoms.numbers:
        raise KeyError("nitrogen")
    label = compute_label(atoms, level)
    if 17 in atoms.numbers:
        label.forces_ev_per_angstrom[0, 0] = float("nan")
    return label


def counted_for(seconds):
    """GFN2-xTB, its start noted, that takes so long (a sleep that a signal does not end)."""

    def compute(atoms, level):
        note_start(atoms)
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            time.sleep(0.02)
        return compute_label(atoms, level)

    return compute


def counted_for_two_seconds(atoms, level):
    """As ``counted``, longer than a job takes to hear of a signal."""
    return counted_for(2.0)(atoms, level)


def counted_for_half_a_second(atoms, level):
    """As ``counted``; forty of them outlast a short job."""
    return counted_for(0.5)(atoms, level)


def counted_for_an_hour(atoms, level):
    """As ``counted``, longer than any job of a test."""
    return counted_for(3600.0)(atoms, level)


def fluorine_wants_more_memory(atoms, level):
    """Molecules with fluorine fail for lack of memory while they share it; starts are noted."""
    note_start(atoms)
    if 9 in atoms.numbers and float(os.environ["PYSCF_MAX_MEMORY"]) < 3000:
        raise MemoryError("cannot allocate 2 GB")
    return compute_label(atoms, level)


def nothing_is_enough_memory(atoms, level):
    """Every calculation fails for lack of memory; starts are noted."""
    note_start(atoms)
    raise MemoryError("cannot allocate 2 TB")


def engine_is_missing(atoms, level):
    """This node lacks the program."""
    import no_such_engine  # noqa: F401


def file_system_does_not_answer(atoms, level):
    """A scratch on the network whose server is gone."""
    raise OSError(errno.ETIMEDOUT, "Connection timed out")


def scratch_is_removed(atoms, level):
    """Somebody cleans the node's scratch while the engine writes to it."""
    shutil.rmtree(Path(tempfile.gettempdir()).parent)
    (Path(tempfile.gettempdir()) / "integrals.h5").write_bytes(b"")


def library_hides_a_full_disk(atoms, level):
    """HDF5 tells of a full disk without its number."""
    raise RuntimeError("Can't write data (error message = 'No space left on device')")
