"""Rows of ``candidates`` on their way to shards, on disk: memory holds a part, then one shard.

A row goes to the shard of its ``candidate_id``, so equal candidates meet in one shard and are told
apart there. Shards are files of Arrow streams, one after the other, in a folder beside the outputs
until the last row is in.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa

from molsieve import tables

FOLDER = ".candidates-"
"""How the folder's name begins."""
HELD_ROWS = 10_000
"""Of all shards together, before they are written: some 20 MB of Python objects."""


def shard_of_candidate(identity: str, shards: int) -> int:
    """The shard of a ``candidate_id``: its own hash modulo the number of shards."""
    return int(identity, 16) % shards


def write_shards(rows: Iterable[dict], outputs: list[Path], campaign: str) -> Counter[str]:
    """Write ``candidates`` tables, each sorted by id; of equal candidates the first row is kept.

    Returns:
        How many candidates were accepted (key ``accepted``) and rejected, by reason. Without an
        accepted one nothing is written.
    """
    outputs[0].parent.mkdir(parents=True, exist_ok=True)
    for abandoned in outputs[0].parent.glob(f"{FOLDER}*"):  # by an attempt that was killed
        shutil.rmtree(abandoned, ignore_errors=True)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(dir=outputs[0].parent, prefix=FOLDER) as folder:
        spools = [Path(folder) / str(shard) for shard in range(len(outputs))]
        any_accepted = _spool(rows, spools)
        for path, output in zip(spools, outputs, strict=True):
            table = _unique(path)
            reasons = table.column("reject_reason").to_pylist()
            counts.update(reason or "accepted" for reason in reasons)
            if any_accepted:
                frame = tables.to_frame(table.sort_by("candidate_id"))
                tables.write_table(frame, "candidates", output, campaign)
    return counts


def _spool(rows: Iterable[dict], spools: list[Path]) -> bool:
    """Append each row to its shard's file, some thousands at a time; whether one is accepted."""
    pending: list[list[dict]] = [[] for _ in spools]
    any_accepted, held = False, 0
    for row in rows:
        pending[shard_of_candidate(row["candidate_id"], len(spools))].append(row)
        any_accepted |= row["status"] == "accepted"
        held += 1
        if held == HELD_ROWS:
            _flush(spools, pending)
            held = 0
    _flush(spools, pending)
    return any_accepted


def _flush(spools: list[Path], pending: list[list[dict]]) -> None:
    """Append a stream a shard: a process may not hold a file open for each of thousands."""
    schema = tables.SCHEMAS["candidates"]
    for path, rows in zip(spools, pending, strict=True):
        with path.open("ab") as file:
            if rows:
                with pa.ipc.new_stream(file, schema) as stream:
                    stream.write_table(tables.to_arrow(pd.DataFrame(rows), "candidates"))
                rows.clear()


def _unique(path: Path) -> pa.Table:
    """A shard's rows in their order, the first of each ``candidate_id``."""
    seen: set[str] = set()
    parts = []
    for batch in _batches(path):
        fresh = []
        for identity in batch.column("candidate_id").to_pylist():
            fresh.append(identity not in seen)
            seen.add(identity)
        parts.append(batch.filter(pa.array(fresh, pa.bool_())))
    return pa.Table.from_batches(parts, tables.SCHEMAS["candidates"])


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    """The rows of a shard's streams, in their order."""
    size = path.stat().st_size
    with path.open("rb") as file:
        while file.tell() < size:
            with pa.ipc.open_stream(pa.PythonFile(file)) as stream:
                yield from stream
