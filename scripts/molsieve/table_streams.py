"""Tables that need not fit into memory: read and written a part at a time, same contracts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from molsieve.tables import (
    SCHEMAS,
    atomic_path,
    check_contract,
    file_metadata,
    to_arrow,
    to_frame,
    with_later_columns,
)


def iter_table(path: Path, name: str, rows: int = 1000) -> Iterator[pd.DataFrame]:
    """The rows of a table in their order, at most ``rows`` at a time.

    Raises:
        TableError: as :func:`molsieve.tables.read_table`.
    """
    check_contract(path, name)
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=rows):
            yield to_frame(with_later_columns(pa.Table.from_batches([batch]), name))


@contextlib.contextmanager
def table_stream(
    name: str, path: Path, campaign: str = ""
) -> Iterator[Callable[[Sequence[Mapping[str, Any]]], None]]:
    """A function that appends rows; the file appears, whole, when the block ends without error.

    Each call writes a row group: give thousands of rows, not one.

    Raises:
        TableError: as :func:`molsieve.tables.write_table`, by the function.
    """
    schema = SCHEMAS[name].with_metadata(file_metadata(name, campaign))
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):

        def append(rows: Sequence[Mapping[str, Any]]) -> None:
            if rows:
                table = to_arrow(pd.DataFrame(list(rows)), name)
                writer.write_table(table.cast(schema).replace_schema_metadata(schema.metadata))

        yield append


def read_rows(
    files: Sequence[str | Path], name: str, column: str, wanted: Collection[Any]
) -> pd.DataFrame:
    """The rows of several files whose ``column`` is one of ``wanted``, in their order.

    Memory holds them, and a row group of one file.

    Raises:
        TableError: as :func:`molsieve.tables.read_table`.
    """
    parts = [SCHEMAS[name].empty_table()]
    among = pa.array(sorted(wanted), SCHEMAS[name].field(column).type)
    for path in files:
        check_contract(path, name)
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                values = file.read_row_group(group, [column]).column(column)
                chosen = pc.is_in(values, value_set=among)
                if pc.any(chosen).as_py():
                    rows = file.read_row_group(group).filter(chosen)
                    parts.append(with_later_columns(rows, name).cast(SCHEMAS[name]))
    return to_frame(pa.concat_tables(parts))
