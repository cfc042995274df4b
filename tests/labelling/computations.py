"""Calculations for the pool's tests: real GFN2-xTB, made slow, deadly or counted.

Importable by name in spawned workers. Each start is a line of the file ``MOLSIEVE_TEST_STARTS``.
"""

import errno
import os
import signal
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
