"""Journals: finished calculations, one JSON record a line, a checksum a record, one writer a file.

A line is ``{"crc32":"<8 hex digits>","record":{...}}``, the CRC-32 taken over the record's bytes.
A record counts as finished once ``append`` has returned: it is on disk by then. Python writes a
float with the digits that give the same float back, so numbers survive unchanged.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_HEAD, _MIDDLE, _TAIL = b'{"crc32":"', b'","record":', b"}"
_RECORD_START = len(_HEAD) + 8 + len(_MIDDLE)

SUFFIX = ".jsonl"
SEALED_SUFFIX = ".jsonl.sealed"
"""Of a journal taken out of its writer's hands to be compacted."""


@dataclass(frozen=True)
class JournalContent:
    """What could be read of a journal.

    ``corrupted`` counts complete lines that fail their checksum, ``half_written`` is True if the
    file ends inside a line; ``end`` is the offset after the last complete line, in bytes.
    """

    records: list[dict[str, Any]]
    corrupted: int
    half_written: bool
    end: int


class Journal:
    """The writing end. One writer only; the file is made by ``open()`` or the first record."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._descriptor: int | None = None
        self._torn = False

    def open(self) -> None:
        """Make the file, unless it is open; an empty one tells its readers nothing."""
        if self._descriptor is not None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._descriptor = os.open(self.path, flags, 0o644)
        _sync_folder(self.path.parent)
        self._torn = os.fstat(self._descriptor).st_size > 0

    def append(self, record: Mapping[str, Any]) -> None:
        """Write a record and return when it is on disk, in a file that readers find.

        Raises:
            ValueError: a number that is not finite, or a value JSON does not know.
            OSError: the record is not safe (disk full); the journal stays usable.
        """
        line = encode(record)
        self._write(line)
        # A journal whose job looked dead may have been sealed and removed under our hands; a
        # record written after the sealing would be lost, so it goes into a new file as well.
        while not self._is_in_place():
            self.close()
            self.path = self.path.with_name(f"{self.path.stem}-{uuid.uuid4().hex[:8]}{SUFFIX}")
            self._write(line)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _write(self, line: bytes) -> None:
        self.open()
        assert self._descriptor is not None
        # After a write that stopped half-way the next record must not share its line.
        data = b"\n" + line if self._torn else line
        self._torn = True
        while data:
            data = data[os.write(self._descriptor, data) :]
        os.fsync(self._descriptor)
        self._torn = False

    def _is_in_place(self) -> bool:
        assert self._descriptor is not None
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False


def encode(record: Mapping[str, Any]) -> bytes:
    """A record as one line of a journal, the newline included."""
    text = json.dumps(record, separators=(",", ":"), allow_nan=False).encode()
    return _HEAD + f"{zlib.crc32(text):08x}".encode() + _MIDDLE + text + _TAIL + b"\n"


def decode(line: bytes) -> dict[str, Any] | None:
    """The record of a line without its newline; None if it is damaged."""
    text = line[_RECORD_START : -len(_TAIL)]
    if line != _HEAD + f"{zlib.crc32(text):08x}".encode() + _MIDDLE + text + _TAIL:
        return None
    try:
        record = json.loads(text)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def read_journal(path: str | Path, start: int = 0) -> JournalContent:
    """Every intact record from byte ``start`` on (the ``end`` of an earlier reading).

    Raises:
        FileNotFoundError: there is no such journal (any more).
    """
    with open(path, "rb") as file:
        file.seek(start)
        data = file.read()
    complete, newline, rest = data.rpartition(b"\n")
    lines = [line for line in complete.split(b"\n") if line]
    decoded = [decode(line) for line in lines]
    return JournalContent(
        records=[record for record in decoded if record is not None],
        corrupted=sum(record is None for record in decoded),
        half_written=bool(rest),
        end=start + len(complete) + len(newline),
    )


def _sync_folder(folder: Path) -> None:
    """Make the name of a new file durable, where the file system lets folders be synced."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
