"""Processes of this machine as /proc tells them: who belongs to whom, and how to end them."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path


def command_name(pid: int) -> str:
    """The kernel's name of a process; empty once it is gone or a zombie."""
    try:
        name, state = (Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)
    except OSError:
        return ""
    return "" if state.split()[0] == "Z" else name.split("(", 1)[1]


def command_line(pid: int) -> str:
    """Arguments, or the title that the process gave itself."""
    with contextlib.suppress(OSError):
        line = (Path("/proc") / str(pid) / "cmdline").read_bytes()
        return line.replace(b"\0", b" ").decode(errors="replace").strip()
    return ""


def environment_of(pid: int) -> dict[str, str]:
    """The environment a process was started with."""
    with contextlib.suppress(OSError):
        text = (Path("/proc") / str(pid) / "environ").read_bytes().decode(errors="replace")
        return dict(item.split("=", 1) for item in text.split("\0") if "=" in item)
    return {}


def all_pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def parents() -> dict[int, int]:
    """Parent of each process that is no zombie."""
    found = {}
    for pid in all_pids():
        with contextlib.suppress(OSError, IndexError, ValueError):
            fields = (Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()
            if fields[0] != "Z":
                found[pid] = int(fields[1])
    return found


def descendants(roots: Iterable[int]) -> list[int]:
    """Children, grandchildren and so on, without the roots."""
    tree = parents()
    known = set(roots)
    found: list[int] = []
    while True:
        new = [pid for pid, parent in tree.items() if parent in known and pid not in known]
        if not new:
            return found
        known.update(new)
        found.extend(new)


def kill(pids: Iterable[int], number: int = signal.SIGKILL) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def wait_until_gone(pids: Iterable[int], seconds: float) -> list[int]:
    """Those still alive after at most ``seconds``."""
    left = list(pids)
    end = time.monotonic() + seconds
    while True:
        left = [pid for pid in left if command_name(pid)]
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.05)


def stop(pid_file: Path, name: str, seconds: float = 10) -> None:
    """End the daemon of a pid file, if that pid still is a process called ``name``."""
    pid = daemon(pid_file, name)
    if pid:
        kill([pid], signal.SIGTERM)
        kill(wait_until_gone([pid], seconds))
        wait_until_gone([pid], 5)
    pid_file.unlink(missing_ok=True)


def daemon(pid_file: Path, name: str) -> int:
    """The living process of a pid file, 0 if there is none."""
    try:
        pid = int(pid_file.read_text())
    except (OSError, ValueError):
        return 0
    return pid if command_name(pid) == name else 0
