import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molsieve.labelling.journal import Journal, decode, encode, read_journal

values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=5),
)
records = st.dictionaries(st.text(max_size=8), values, max_size=5)


@given(records)
def test_record_round_trips_exactly_on_one_line(record):
    line = encode(record)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert json.loads(line)["record"] == record
    assert repr(decode(line[:-1])) == repr(record)  # repr tells 0.0 from -0.0 and 1 from 1.0


@given(st.lists(records, min_size=1, max_size=4), st.data())
def test_journal_cut_anywhere_keeps_every_record_before_the_cut(tmp_path_factory, written, data):
    lines = [encode(r) for r in written]
    content = b"".join(lines)
    cut = data.draw(st.integers(0, len(content)))
    path = tmp_path_factory.mktemp("journal") / "a.jsonl"
    path.write_bytes(content[:cut])
    whole = sum(cut >= len(b"".join(lines[: i + 1])) for i in range(len(lines)))
    found = read_journal(path)
    assert found.records == written[:whole]
    assert found.corrupted == 0
    assert found.half_written == (cut > len(b"".join(lines[:whole])))
    assert found.end == len(b"".join(lines[:whole]))


@given(st.lists(records, min_size=2, max_size=4), st.data())
def test_damaged_byte_costs_at_most_two_records_and_is_counted(tmp_path_factory, written, data):
    lines = [encode(r) for r in written]
    content = bytearray(b"".join(lines))
    place = data.draw(st.integers(0, len(content) - 2))
    content[place] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("journal") / "a.jsonl"
    path.write_bytes(bytes(content))
    found = read_journal(path)
    assert found.corrupted >= 1
    assert len(written) - 2 <= len(found.records) < len(written)
    assert all(record in written for record in found.records)


def test_append_is_readable_at_once_and_reading_goes_on_from_an_offset(tmp_path):
    journal = Journal(tmp_path / "new folder" / "a.jsonl")
    journal.append({"n": 1})
    first = read_journal(journal.path)
    assert first.records == [{"n": 1}]
    journal.append({"n": 2})
    assert read_journal(journal.path, first.end).records == [{"n": 2}]


def test_half_written_record_of_an_earlier_life_does_not_spoil_the_next(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(encode({"n": 1}) + encode({"n": 2})[:-10])
    Journal(path).append({"n": 3})
    found = read_journal(path)
    assert [r["n"] for r in found.records] == [1, 3]
    assert found.corrupted == 1


def test_numbers_that_are_not_finite_are_refused_and_the_journal_stays_usable(tmp_path):
    journal = Journal(tmp_path / "a.jsonl")
    with pytest.raises(ValueError):
        journal.append({"energy_ev": float("nan")})
    journal.append({"energy_ev": 1.0})
    assert read_journal(journal.path).records == [{"energy_ev": 1.0}]


def test_record_appended_after_the_journal_was_taken_away_is_not_lost(tmp_path):
    journal = Journal(tmp_path / "a.jsonl")
    journal.append({"n": 1})
    journal.path.rename(tmp_path / "a.jsonl.sealed")
    journal.append({"n": 2})
    found = [r for p in tmp_path.glob("*.jsonl") for r in read_journal(p).records]
    assert found == [{"n": 2}]
    assert journal.path.name != "a.jsonl"
