"""The label store: what has been computed, for every campaign that points at it.

``<store>/<level_id>/`` holds ``level.json`` (the level in words), ``fragments/*.parquet`` (the
``labels`` contract), ``journals/*.jsonl`` (finished, not yet compacted; ``<job>.lease`` beside
them says that their job lives) and ``claims/<structure_id>`` (being computed). Append-only, many
writers, no server: a row is never changed, and a row that stands in two places counts once, by its
``attempt_id``.

**Which attempt wins**: among a structure's ok rows the smallest ``attempt_id`` (the first one
begun: what was read once is read for ever); if none is ok, the largest of the failed ones (the last
word on why).
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from molsieve import tables
from molsieve.labelling.journal import SEALED_SUFFIX, SUFFIX, read_journal
from molsieve.levels import Level, level_id, resolved_level

log = logging.getLogger(__name__)

CLAIM_STALE_AFTER_S = 120.0
"""A claim, or a job, without a heartbeat for this long is given up (its node is gone)."""
READ_TRIES = 50
_COLUMNS = tables.SCHEMAS["labels"].names
ATTEMPT_KEY = ["structure_id", "attempt_id"]


class Compacted(Exception):
    """Files moved while they were read; read again."""


def new_attempt_id() -> str:
    """An identity that sorts by time of creation: nanoseconds in hexadecimal, then chance."""
    return f"{time.time_ns():016x}-{secrets.token_hex(6)}"


class LevelFolder:
    """The folder of one level of theory in a label store, and how its files are read."""

    def __init__(self, store: str | Path, level_id: str):
        self.level_id = level_id
        self.path = Path(store) / level_id
        self.fragments = self.path / "fragments"
        self.journals = self.path / "journals"
        self.claims = self.path / "claims"
        self.quarantine = self.path / "quarantine"

    @classmethod
    def made(cls, store: str | Path, level: Level) -> LevelFolder:
        """The folder of ``level``, created with its description if it is new."""
        folder = cls(store, level_id(level))
        for path in (folder.fragments, folder.journals, folder.claims):
            path.mkdir(parents=True, exist_ok=True)
        if not (folder.path / "level.json").exists():
            tables.write_json(resolved_level(level), folder.path / "level.json")
        return folder

    def claim_path(self, structure_id: str) -> Path:
        """The claim on a structure."""
        return self.claims / structure_id

    def claim_files(self) -> list[Path]:
        """Every claim there is, live or not."""
        return _listed(self.claims, "")

    def job_lease_path(self, job: str) -> Path:
        """The sign of life of a label job."""
        return self.journals / f"{job}.lease"

    def job_leases(self) -> list[Path]:
        """The sign of life of every job, live or not."""
        return _listed(self.journals, ".lease")

    def fragment_paths(self) -> list[Path]:
        """Every fragment, sorted by name."""
        return sorted(_listed(self.fragments, ".parquet"))

    def journal_paths(self) -> list[Path]:
        """Every journal, those being compacted included, sorted by name."""
        return sorted(_listed(self.journals, SUFFIX) + _listed(self.journals, SEALED_SUFFIX))

    def refresh_listings(self) -> None:
        """Have the folders listed anew: NFS keeps a listing for up to a minute.

        A change of a folder's times makes what is kept of it on this machine out of date.
        """
        for folder in (self.journals, self.fragments):
            with contextlib.suppress(OSError):
                os.utime(folder)

    def read_fragment(self, path: Path, columns: list[str] | None = None) -> pd.DataFrame | None:
        """A fragment's rows; None, and the file set aside, if it is damaged.

        Raises:
            FileNotFoundError: it was merged into another one meanwhile.
            tables.TableError: it is whole but of another contract or version.
        """
        try:
            return tables.read_table(path, "labels", columns)
        except (pa.ArrowException, OSError, tables.TableError) as error:
            if not _is_damage(error):
                raise
            self.set_aside(path, error)
            return None

    def set_aside(self, path: Path, reason: object) -> None:
        """Move a damaged file out of the readers' way, keeping it for a person to look at."""
        log.warning("%s is damaged and set aside in %s: %s", path, self.quarantine, reason)
        with contextlib.suppress(OSError):
            self.quarantine.mkdir(exist_ok=True)
            os.replace(path, self.quarantine / path.name)


def _is_damage(error: Exception) -> bool:
    """True if a file's content is at fault, not its absence, the disk, the rights or the contract.

    pyarrow reports a broken page as an OSError without a number.
    """
    if isinstance(error, tables.TableError):
        return isinstance(error.__cause__, pa.ArrowException)
    return not isinstance(error, OSError) or error.errno is None


def _listed(folder: Path, suffix: str) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [e.name for e in entries if not e.name.startswith(".")]
    except FileNotFoundError:
        return []
    return [folder / name for name in names if name.endswith(suffix)]


def job_of(journal: Path) -> str:
    """The job that wrote a journal: its name up to the first dot."""
    return journal.name.split(".", 1)[0]


def read_labels(
    store: str | Path,
    level_id: str,
    structure_ids: Iterable[str] | None = None,
    columns: Iterable[str] | None = None,
) -> pd.DataFrame:
    """The winning row of each structure, sorted by ``structure_id``; those without one are absent.

    Args:
        structure_ids: None: of every structure of the level.
        columns: None: all; else at least these (leaving out the forces saves most of the time).
    """
    return winning_rows(read_attempts(store, level_id, structure_ids, columns))


def read_attempts(
    store: str | Path,
    level_id: str,
    structure_ids: Iterable[str] | None = None,
    columns: Iterable[str] | None = None,
) -> pd.DataFrame:
    """Every attempt at the structures (None: all), each once: fragments and journals together."""
    folder = LevelFolder(store, level_id)
    wanted = None if structure_ids is None else set(structure_ids)
    names = None if columns is None else list(dict.fromkeys([*ATTEMPT_KEY, "status", *columns]))
    for _ in range(READ_TRIES):
        with contextlib.suppress(FileNotFoundError, Compacted):
            return _read_once(folder, wanted, names)
    raise RuntimeError(f"{folder.path}: files moved during each of {READ_TRIES} readings")


def _read_once(
    folder: LevelFolder, wanted: set[str] | None, columns: list[str] | None
) -> pd.DataFrame:
    """One reading. Journals first: what leaves them meanwhile is already in a fragment."""
    journals = folder.journal_paths()
    records = [r for path in journals for r in read_journal(path).records]
    if wanted is not None:
        records = [r for r in records if r["structure_id"] in wanted]
    frames = [rows_frame(records)[columns or _COLUMNS]]
    for path in folder.fragment_paths():
        if wanted is not None:
            keys = folder.read_fragment(path, ["structure_id"])
            if keys is None or not keys["structure_id"].isin(wanted).any():
                continue
        rows = folder.read_fragment(path, columns)
        if rows is not None:
            frames.append(rows if wanted is None else rows[rows["structure_id"].isin(wanted)])
    _refuse_if_moved(folder, journals)
    filled = [f for f in frames if len(f)] or frames[:1]
    rows = pd.concat(filled, ignore_index=True)
    return rows.drop_duplicates(ATTEMPT_KEY, ignore_index=True)


def _refuse_if_moved(folder: LevelFolder, before: list[Path]) -> None:
    """Raise if a journal was sealed or removed since ``before`` was listed.

    A folder listed while a file in it is renamed may show it under neither name.
    """
    after = set(folder.journal_paths())
    sealed = {p for p in after - set(before) if p.name.endswith(SEALED_SUFFIX)}
    if sealed or set(before) - after:
        raise Compacted


def rows_frame(records: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Label records as a frame with the contract's columns and types."""
    return tables.to_frame(pa.Table.from_pylist([*records], schema=tables.SCHEMAS["labels"]))


def winning_rows(attempts: pd.DataFrame) -> pd.DataFrame:
    """One row a structure by the rule of this module, sorted by ``structure_id``."""
    ordered = attempts.sort_values("attempt_id")
    ok = ordered["status"] == "ok"
    best = ordered[ok].drop_duplicates("structure_id", keep="first")
    failed = ordered[~ok].drop_duplicates("structure_id", keep="last")
    failed = failed[~failed["structure_id"].isin(best["structure_id"])]
    filled = [f for f in (best, failed) if len(f)] or [best]
    return pd.concat(filled).sort_values("structure_id", ignore_index=True)


def is_terminal(status: Any, attempt_id: Any, newer_than: str = "") -> Any:
    """Whether a row ends the work on its structure: an ok row, or a failure after ``newer_than``.

    Of single values, or of columns element by element. ``newer_than`` is an ``attempt_id``: up to
    it failures are what a retry is to mend; empty: any row counts.
    """
    return (status == "ok") | (attempt_id > newer_than)


class KnownStructures:
    """Which structures have a row already; ``refresh()`` reads only what is new.

    Args:
        skip_job: journals of this job are not read (its own controller knows them).
        newer_than: which failures count, see :func:`is_terminal`.
    """

    def __init__(self, folder: LevelFolder, skip_job: str | None = None, newer_than: str = ""):
        self.folder = folder
        self.skip_job = skip_job
        self.newer_than = newer_than
        self.ids: set[str] = set()
        self._offsets: dict[Path, int] = {}
        self._fragments: set[Path] = set()

    def refresh(self) -> set[str]:
        """Take in what was written since the last time; returns all ids."""
        for _ in range(READ_TRIES):
            with contextlib.suppress(FileNotFoundError, Compacted):
                self._refresh_once()
                break
        return self.ids

    def _refresh_once(self) -> None:
        journals = self.folder.journal_paths()
        for path in journals:
            if job_of(path) == self.skip_job:
                continue
            content = read_journal(path, self._offsets.get(path, 0))
            self._offsets[path] = content.end
            self.ids.update(r["structure_id"] for r in content.records if self._counts(r))
        for path in self.folder.fragment_paths():
            if path in self._fragments:
                continue
            keys = self.folder.read_fragment(path, [*ATTEMPT_KEY, "status"])
            if keys is not None:
                self.ids.update(keys.loc[self._counts(keys), "structure_id"])
            self._fragments.add(path)
        _refuse_if_moved(self.folder, journals)

    def _counts(self, rows: Any) -> Any:
        return is_terminal(rows["status"], rows["attempt_id"], self.newer_than)
