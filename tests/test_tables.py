"""Contracts of tables, where they grew since the first ones were written."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from molsieve.table_streams import iter_table
from molsieve.tables import (
    FORMER_COLUMNS,
    LATER_COLUMNS,
    SCHEMAS,
    TableError,
    empty_table,
    read_table,
    write_table,
)


def written(folder: Path, *without: str) -> Path:
    """One candidate, in a file that lacks some columns."""
    path = folder / "candidates.parquet"
    required = {"candidate_id": "a", "identifier": "C", "status": "accepted", "source": "test"}
    write_table([required], "candidates", path)
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(list(without)), path)
    return path


def test_columns_that_a_file_is_too_old_for_are_null(tmp_path: Path) -> None:
    path = written(tmp_path, *LATER_COLUMNS["candidates"])
    rows = read_table(path, "candidates")
    assert list(rows.columns) == SCHEMAS["candidates"].names and len(rows) == 1
    assert rows[list(LATER_COLUMNS["candidates"])].isna().all(axis=None)
    chosen = read_table(path, "candidates", ["identifier", "framework_file"])
    assert chosen.columns.tolist() == ["identifier", "framework_file"]
    (part,) = iter_table(path, "candidates")
    assert len(part) == 1 and "framework_file" in part.columns


def test_columns_that_are_no_longer_written_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "ranking.parquet"
    write_table(empty_table("ranking"), "ranking", path)
    table = pq.read_table(path)
    new = ("templating_ev", "templating_std_ev")
    names = dict(zip(new, FORMER_COLUMNS["ranking"], strict=True))
    pq.write_table(table.rename_columns(names).replace_schema_metadata(table.schema.metadata), path)
    assert list(read_table(path, "ranking").columns) == SCHEMAS["ranking"].names


def test_any_other_column_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="contract"):
        read_table(written(tmp_path, "sa_score"), "candidates")


def test_later_columns_may_be_null() -> None:
    for name, columns in LATER_COLUMNS.items():
        assert all(SCHEMAS[name].field(column).nullable for column in columns)
