"""A program outside Python at work: a folder of its own, and a life that ends with its owner's."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from molsieve import programs

DIE_WITH_PARENT = """
import ctypes, os, signal, sys
try:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, kept across exec
except AttributeError:
    pass  # no Linux
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
"""
"""A worker over its time limit is killed, and can tell its program nothing: the kernel does."""
PREFIX = "molsieve-program-"
ERRORS = "errors.txt"


class ProgramFolder:
    """A folder under the scratch (TMPDIR), removed when it is no longer needed."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))

    def words(self, command: Sequence[str]) -> list[str]:
        """``command`` with one thread and without MPI's daemon, killed when this process ends."""
        settings = {"OMP_NUM_THREADS": "1", **programs.ALONE}
        before = ["env", *(f"{name}={value}" for name, value in settings.items())]
        starter = [sys.executable, "-I", "-S", "-c", DIE_WITH_PARENT, str(os.getpid())]
        return [*before, *starter, *command]

    def shell_line(self, command: Sequence[str]) -> str:
        """:meth:`words` for ``sh``, in this folder, standard error into a file of it."""
        program = shlex.join(self.words(command))
        return f"cd {shlex.quote(str(self.path))} && exec {program} 2>{ERRORS}"

    def errors(self) -> str:
        """What the program wrote to standard error."""
        return self.text(ERRORS)

    def text(self, name: str) -> str:
        """What a file of the folder holds so far; nothing where there is none."""
        path = self.path / name
        return path.read_text(errors="replace") if path.exists() else ""

    def remove(self) -> None:
        """Remove the folder and what is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
