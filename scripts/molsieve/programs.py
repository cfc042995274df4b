"""Programs outside Python that compute levels of theory: where they are, which version.

Floor 0, standard library only: the version is part of a level's identity, which is known wherever
a campaign is read.
"""

from __future__ import annotations

import functools
import os
import re
import shlex
import shutil
import subprocess

CP2K_COMMAND = "ASE_CP2K_COMMAND"
"""ASE's own variable: the command that starts CP2K's shell, e.g. ``mpirun -n 4 cp2k_shell.psmp``"""
CP2K_SHELLS = tuple(
    f"cp2k_shell{build}" for build in ("", ".psmp", ".ssmp", ".popt", ".sopt", ".pdbg", ".sdbg")
)
VERSION_PATIENCE_S = 60.0
ALONE = {"OMPI_MCA_ess_singleton_isolated": "1"}
"""An MPI program that is started without mpirun has no need of Open MPI's daemon beside it."""


def cp2k_command() -> list[str] | None:
    """The command that starts CP2K's shell, or None where there is none on PATH."""
    if given := os.environ.get(CP2K_COMMAND):
        return shlex.split(given)
    found = next((name for name in CP2K_SHELLS if shutil.which(name)), None)
    if found:
        return [found]
    return ["cp2k.psmp", "-s"] if shutil.which("cp2k.psmp") else None


def cp2k_version() -> str:
    """Version of the CP2K on PATH, e.g. ``2023.1``; ``absent`` where there is none."""
    command = cp2k_command()
    return "absent" if command is None else _cp2k_version(tuple(command))


@functools.cache
def _cp2k_version(command: tuple[str, ...]) -> str:
    try:
        said = subprocess.run(
            [*(part for part in command if part != "-s"), "--version"],
            capture_output=True,
            text=True,
            timeout=VERSION_PATIENCE_S,
            env={**os.environ, **ALONE},
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return "absent"
    match = re.search(r"CP2K version (\S+)", said)
    return match[1] if match else "absent"
