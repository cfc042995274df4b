"""Which process of which machine: a process id alone means little. Floor 0, standard library."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path


def this_machine() -> str:
    """This boot of this machine and this space of process ids: where a pid means something."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return "|".join(parts)


def start_of_process(pid: int) -> str:
    """Start time of a running process (clock ticks since boot), "" if there is none.

    A process id alone may have been given to another process. A zombie counts as gone.
    Where there is no /proc, "running" stands for the start time.
    """
    if not Path("/proc/self/stat").exists():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return ""
        except PermissionError:
            pass
        return "running"
    try:
        # The command, in parentheses, may hold spaces: count the fields after it (proc(5)).
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    state, start = fields[0], fields[19]
    return "" if state in "ZX" else start
