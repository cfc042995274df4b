"""Rows of ``candidates`` on their way to shards, on disk: memory holds a part, then one shard.

A row goes to the shard of its ``candidate_id``, so equal candidates meet in one shard and are told
apart there. Shards are Arrow streams in a folder beside the outputs until the last row is in.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa

from molsieve import tables

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
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(dir=outputs[0].parent, prefix=".candidates-") as folder:
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
    """Append each row to its shard's stream, some thousands at a time; whether one is accepted."""
    schema = tables.SCHEMAS["candidates"]
    pending: list[list[dict]] = [[] for _ in spools]
    any_accepted, held = False, 0
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(pa.ipc.new_stream(str(path), schema)) for path in spools]
        for row in rows:
            pending[shard_of_candidate(row["candidate_id"], len(spools))].append(row)
            any_accepted |= row["status"] == "accepted"
            held += 1
            if held == HELD_ROWS:
                _flush(streams, pending)
                held = 0
        _flush(streams, pending)
    return any_accepted


def _flush(streams: list[pa.RecordBatchStreamWriter], pending: list[list[dict]]) -> None:
    for stream, rows in zip(streams, pending, strict=True):
        if rows:
            stream.write_table(tables.to_arrow(pd.DataFrame(rows), "candidates"))
            rows.clear()


def _unique(path: Path) -> pa.Table:
    """A shard's rows in their order, the first of each ``candidate_id``."""
    seen: set[str] = set()
    parts = []
    with pa.ipc.open_stream(str(path)) as batches:
        for batch in batches:
            fresh = []
            for identity in batch.column("candidate_id").to_pylist():
                fresh.append(identity not in seen)
                seen.add(identity)
            parts.append(batch.filter(pa.array(fresh, pa.bool_())))
        return pa.Table.from_batches(parts, batches.schema)
