"""Folders of CIF files: which are wanted, and whether they changed. Standard library only."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from molsieve.section import digest


def cif_paths(folder: str | None, codes: list[str] | None) -> list[Path]:
    """The CIF files of a folder by name, those of ``codes`` (null: all); none where it is not."""
    return [Path(str(folder), name) for name in cif_names(folder, codes)]


def cif_names(folder: str | None, codes: Sequence[str] | None) -> list[str]:
    """The same files' names."""
    if folder is None or not os.path.isdir(folder):
        return []
    return _of_codes(os.listdir(folder), codes)


def folder_state(folder: str, codes: Sequence[str] | None) -> str:
    """A hash of names, sizes and times of the CIF files of ``codes`` (None: all).

    10^5 files would be too many inputs of a rule, and the folder's own time tells of any entry.
    What is no file by now (a link to nowhere, one that vanishes) counts as if it were not there.
    """
    seen = []
    with os.scandir(folder) as entries:
        found = {entry.name: entry for entry in entries}
    for name in _of_codes(found, codes):
        with contextlib.suppress(OSError):
            if found[name].is_file():
                told = found[name].stat()
                seen.append(f"{name} {told.st_size} {told.st_mtime_ns}")
    return digest(seen)


def contents(paths: Iterable[str]) -> str | None:
    """A hash of what is in files, each counted once, None of no file; one may be gone by now."""
    found: list[tuple[str, str | None]] = []
    for path in sorted(set(paths)):
        try:
            with open(path, "rb") as stream:
                found.append((path, hashlib.file_digest(stream, "sha256").hexdigest()))
        except OSError:
            found.append((path, None))
    return digest(found) if found else None


def _of_codes(names: Iterable[str], codes: Sequence[str] | None) -> list[str]:
    """Of a folder's entries the CIF files of ``codes`` (None: all), sorted."""
    wanted = None if codes is None else {f"{code}.cif" for code in codes}
    found = (name for name in names if name.lower().endswith(".cif"))
    return sorted(n for n in found if wanted is None or f"{n[:-4]}.cif" in wanted)
