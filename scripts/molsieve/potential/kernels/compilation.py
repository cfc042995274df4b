"""C kernels, compiled once for this machine, and loaded by ctypes."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from molsieve.potential.kernels.cache import cache_folder, is_ours

OPTIONAL_FLAGS = ("-fopenmp", "-mprefer-vector-width=512")
"""Refused by some compilers; tried first."""
TIMEOUT_S = 120


@dataclass(frozen=True)
class Kernel:
    """A shared library to be.

    Attributes:
        source: the C file; the headers that it includes lie beside it.
        flags: of its compilation; those of ``-ffast-math`` must not reach the linker, where they
            would change the process's denormals.
        defines: ``NAME=value``.
    """

    source: Path
    flags: tuple[str, ...]
    defines: tuple[str, ...]


def kernels_wanted() -> bool:
    """``MOLSIEVE_FUSED=0`` says no."""
    return os.environ.get("MOLSIEVE_FUSED") != "0"


def loaded(kernel: Kernel) -> ctypes.CDLL | None:
    """The library; None, said once, where it cannot be compiled or loaded."""
    try:
        return _load(kernel)
    except (OSError, ValueError, subprocess.SubprocessError) as reason:
        _say(f"{kernel.source.name} is not used (torch's own operations instead): {reason}")
        return None


@functools.cache
def _say(text: str) -> None:
    """Once a process; not to stdout, which may be somebody's data."""
    print(text, file=sys.stderr)


def _load(kernel: Kernel) -> ctypes.CDLL:
    compiler = _compiler()
    path = cache_folder() / f"{kernel.source.stem}-{_fingerprint(kernel, compiler)}.so"
    if is_ours(path):
        try:
            return ctypes.CDLL(str(path))
        except OSError:  # damaged: made anew
            pass
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        built = Path(scratch) / path.name
        _build(compiler, kernel, built)
        built.chmod(0o700)
        with built.open("rb") as stream:  # whole on disk before it has its name
            os.fsync(stream.fileno())
        os.replace(built, path)
    return ctypes.CDLL(str(path))


def _compiler() -> list[str]:
    """``$CC``, which may have arguments, or ``cc``."""
    name, *arguments = shlex.split(os.environ.get("CC", "")) or ["cc"]
    path = shutil.which(name)
    if path is None:
        raise FileNotFoundError(f"no C compiler ({name}) on this machine")
    return [path, *arguments]


def _build(compiler: list[str], kernel: Kernel, out: Path) -> None:
    objects = str(out.with_suffix(".o"))
    defines = [f"-D{define}" for define in kernel.defines]
    for extra in (OPTIONAL_FLAGS, OPTIONAL_FLAGS[:1], ()):
        start = [*compiler, *kernel.flags, "-fPIC", *extra]
        last = _run([*start, *defines, "-c", str(kernel.source), "-o", objects])
        if last.returncode == 0:
            parallel = OPTIONAL_FLAGS[:1] if extra else ()
            last = _run([*compiler, "-shared", *parallel, objects, "-o", str(out), "-lm"])
        if last.returncode == 0:
            return
    raise OSError(f"{shlex.join(compiler)} failed: {last.stderr.strip()[:300]}")


def _run(command: list[str]) -> subprocess.CompletedProcess:
    # A compiler may speak another encoding than Python listens to.
    return subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S
    )


def _fingerprint(kernel: Kernel, compiler: list[str]) -> str:
    """Of everything the machine code depends on: nodes of a cluster may share the cache."""
    told = (kernel.flags, OPTIONAL_FLAGS, kernel.defines, compiler[1:])
    parts = [
        *(path.read_bytes() for path in sorted(kernel.source.parent.glob("*.[ch]"))),
        repr(told).encode(),
        _run([*compiler, "--version"]).stdout.encode(),
        processor(),
    ]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def processor() -> bytes:
    """Model and instruction sets, which ``-march=native`` looks at."""
    try:
        lines = Path("/proc/cpuinfo").read_bytes().split(b"\n\n")[0].splitlines()
    except OSError:
        return repr(platform.uname()).encode()
    keep = (b"vendor_id", b"cpu family", b"model", b"stepping", b"flags", b"Features", b"CPU part")
    return b"\n".join(line for line in lines if line.startswith(keep))
