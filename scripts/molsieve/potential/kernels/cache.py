"""Where compiled kernels are kept, and whom to trust: what lies there is run."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import stat
import tempfile
from pathlib import Path

OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


@functools.cache
def cache_folder() -> Path:
    """``kernels`` in ``$MOLSIEVE_CACHE``, ``$XDG_CACHE_HOME/molsieve`` or ``~/.cache/molsieve``.

    A temporary folder of this process, removed at its end, where that cannot be written, belongs to
    somebody else, or could be moved aside by anybody.

    Raises:
        OSError: no temporary folder either.
    """
    folder = _named()
    if folder is not None and _made_private(folder):
        return folder
    folder = Path(tempfile.mkdtemp(prefix="molsieve-kernels-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def is_ours(path: Path) -> bool:
    """A file, or folder, that we have made and nobody else may change."""
    try:
        found = path.lstat()
    except OSError:
        return False
    sound = stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
    return sound and found.st_uid == os.geteuid() and not found.st_mode & OTHERS_WRITE


def _named() -> Path | None:
    """None for a user without a home."""
    named = os.environ.get("MOLSIEVE_CACHE")
    if named:
        return Path(named).absolute() / "kernels"
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(home) / "molsieve/kernels" if os.path.isabs(home) else None


def _made_private(folder: Path) -> bool:
    """Make it; True if it can be written, by us alone."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(0o700)
        if not is_ours(folder) or any(_open_to_all(place) for place in folder.resolve().parents):
            return False
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _open_to_all(folder: Path) -> bool:
    """Anybody may rename what is in it: no sticky bit, unlike /tmp."""
    mode = folder.stat().st_mode
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX
