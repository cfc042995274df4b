"""What the label store held, and what was being computed, at every moment of a run.

A thread reads journals and fragments all the time, by the formats alone and without touching
anything, so that what a fault takes away is known to have been there.
"""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from molsieve.jobs.leases import read_holder
from molsieve.labelling.journal import read_journal
from molsieve.labelling.store import LevelFolder

LOOK_EVERY_S = 0.1
KEY = ["structure_id", "level_id", "attempt_id"]

Row = tuple[str, str, str]
"""structure_id, level_id, attempt_id of a row of the store."""


def begun_at(row: Row) -> float:
    """When an attempt began (unix s): its id begins with that time."""
    return int(row[2].split("-")[0], 16) / 1e9


def rows_now(store: Path) -> dict[Row, Path]:
    """Every readable row of the store, and the file that holds it."""
    found: dict[Row, Path] = {}
    for level in store.glob("*/level.json"):
        folder = LevelFolder(store, level.parent.name)
        # Journals first: what leaves them meanwhile is in a fragment already.
        for path in folder.journal_paths():
            with contextlib.suppress(FileNotFoundError):
                found |= {tuple(r[k] for k in KEY): path for r in read_journal(path).records}
        for path in folder.fragment_paths():
            # Damaged, or merged into another one since it was listed.
            with contextlib.suppress(pa.ArrowException, OSError):
                keys = pq.read_table(path, columns=KEY).to_pydict()
                found |= dict.fromkeys(zip(*keys.values(), strict=True), path)
    return found


def claims_now(store: Path) -> dict[str, int]:
    """Structures that are being computed, with the process id of who claims them.

    Not the claims that workers left who died of an earlier fault.
    """
    claims = {}
    for path in store.glob("*/claims/[!.]*"):
        holder = read_holder(path)
        if holder is not None and ".steal-" not in path.name and not holder.is_gone():
            claims[path.name] = holder.pid
    return claims


@dataclass(frozen=True)
class Moment:
    """The store at a fault: rows that it held and structures that were being computed."""

    at: float
    rows: frozenset[Row]
    claims: dict[str, int]


class Ledger(threading.Thread):
    """Reads a store until :meth:`close`; ``seen`` has every row that it ever held."""

    def __init__(self, store: Path):
        super().__init__(daemon=True, name="ledger")
        self.store = store
        self.seen: dict[Row, Path] = {}
        self._over = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._over.wait(LOOK_EVERY_S):
            with contextlib.suppress(FileNotFoundError):
                self.look()

    def look(self) -> None:
        for row, path in rows_now(self.store).items():
            self.seen.setdefault(row, path)

    def moment(self) -> Moment:
        """The store now. Claims first: a calculation that ends meanwhile counts as a row."""
        claims = claims_now(self.store)
        self.look()
        rows = frozenset(list(self.seen))
        done = {structure for structure, _, _ in rows}
        at_work = {structure: pid for structure, pid in claims.items() if structure not in done}
        return Moment(time.time(), rows, at_work)

    def close(self) -> None:
        self._over.set()
        self.join()

    def lost(self) -> set[Row]:
        """Rows that were there once and are not now."""
        return set(list(self.seen)) - set(rows_now(self.store))

    def recomputed(self) -> int:
        """Calculations paid for more than once, of all rows ever seen."""
        return len(self.seen) - len({row[:2] for row in self.seen})
