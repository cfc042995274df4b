"""Tables read and written part by part are the tables of molsieve.tables."""

import pandas as pd
import pytest

from molsieve.table_streams import iter_table, read_rows, table_stream
from molsieve.tables import TableError, read_table, write_table


def rows(count, start=0):
    return [
        {"structure_id": f"s{k}", "level_id": "l", "attempt_id": "0", "status": "ok"}
        for k in range(start, start + count)
    ]


def test_a_stream_writes_what_write_table_writes(tmp_path):
    with table_stream("receipt", tmp_path / "stream.parquet", "tiny") as append:
        append(rows(3))
        append([])
        append(rows(4, 3))
        assert not (tmp_path / "stream.parquet").exists()
    write_table(rows(7), "receipt", tmp_path / "whole.parquet", "tiny")
    streamed = read_table(tmp_path / "stream.parquet", "receipt")
    pd.testing.assert_frame_equal(streamed, read_table(tmp_path / "whole.parquet", "receipt"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["stream.parquet", "whole.parquet"]


def test_an_empty_stream_is_an_empty_table(tmp_path):
    with table_stream("receipt", tmp_path / "none.parquet"):
        pass
    assert read_table(tmp_path / "none.parquet", "receipt").empty


def test_an_error_leaves_no_file_and_no_trace(tmp_path):
    (tmp_path / "old.parquet").write_text("what was there")
    with (
        pytest.raises(TableError, match="unknown column"),
        table_stream("receipt", tmp_path / "old.parquet") as append,
    ):
        append(rows(2))
        append([{"nonsense": 1}])
    assert [p.name for p in tmp_path.iterdir()] == ["old.parquet"]
    assert (tmp_path / "old.parquet").read_text() == "what was there"


def test_parts_are_the_whole_in_order(tmp_path):
    write_table(rows(10), "receipt", tmp_path / "t.parquet")
    parts = list(iter_table(tmp_path / "t.parquet", "receipt", rows=4))
    assert [len(part) for part in parts] == [4, 4, 2]
    whole = pd.concat(parts, ignore_index=True)
    pd.testing.assert_frame_equal(whole, read_table(tmp_path / "t.parquet", "receipt"))
    with pytest.raises(TableError, match="holds table 'receipt'"):
        next(iter_table(tmp_path / "t.parquet", "labels"))


def test_wanted_rows_are_those_of_the_whole_table(tmp_path, monkeypatch):
    monkeypatch.setattr("molsieve.tables.ROW_GROUP_ROWS", 3)
    files = [tmp_path / f"{n}.parquet" for n in range(3)]
    for path, part in zip(files, (rows(8), [], rows(7, 4)), strict=True):
        write_table(part, "receipt", path)
    whole = read_table(files, "receipt")
    for wanted in ({"s1", "s7", "s10", "elsewhere"}, set()):
        found = read_rows(files, "receipt", "structure_id", wanted)
        expected = whole[whole["structure_id"].isin(wanted)].reset_index(drop=True)
        pd.testing.assert_frame_equal(found, expected)
    with pytest.raises(TableError, match="holds table 'receipt'"):
        read_rows(files, "species", "species_id", set())
