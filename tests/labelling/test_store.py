import os
import threading
import time

import pandas as pd
import pytest

from molsieve import tables
from molsieve.jobs.leases import Lease
from molsieve.labelling import read_labels
from molsieve.labelling.compaction import compact_dead_jobs, compact_job, merge_fragments
from molsieve.labelling.journal import Journal, encode
from molsieve.labelling.store import KnownStructures, new_attempt_id, read_attempts, rows_frame


def labels(folder, ids=None):
    return read_labels(folder.path.parent, folder.level_id, ids)


def journal(folder, name, *rows):
    for row in rows:
        Journal(folder.journals / f"{name}.jsonl").append(row)


def fragment(folder, name, *rows):
    path = folder.fragments / f"{name}.parquet"
    tables.write_table(rows_frame(rows), "labels", path)
    return path


def test_attempt_ids_sort_by_time_and_differ():
    ids = [new_attempt_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert [i[:16] for i in ids] == sorted(i[:16] for i in ids)


def test_empty_store_reads_as_an_empty_table_of_the_contract(tmp_path):
    rows = read_labels(tmp_path / "nowhere", "0123", ["a"])
    assert list(rows.columns) == tables.SCHEMAS["labels"].names and len(rows) == 0


def test_first_ok_attempt_wins_over_later_and_failed_ones(folder, label_row):
    failed = {"status": "failed", "error_kind": "timeout", "energy_ev": None}
    journal(folder, "j.1", label_row("a", attempt_id="2", energy_ev=2.0))
    fragment(folder, "f", label_row("a", attempt_id="3", energy_ev=3.0))
    fragment(folder, "g", label_row("a", attempt_id="1", **failed))
    journal(folder, "j.2", label_row("b", attempt_id="1", **failed))
    journal(folder, "j.3", label_row("b", attempt_id="2", **failed | {"error_kind": "bad_input"}))
    rows = labels(folder)
    assert rows["structure_id"].tolist() == ["a", "b"]
    assert rows["energy_ev"].iloc[0] == 2.0
    assert rows["error_kind"].iloc[1] == "bad_input"
    assert labels(folder, ["b", "unknown"])["structure_id"].tolist() == ["b"]


def test_compaction_keeps_every_row_exactly(folder, label_row):
    numbers = [0.1, -1e-300, 1 / 3]
    rows = [label_row(f"s{i}", forces_ev_per_angstrom=numbers, energy_ev=0.1 * i) for i in range(9)]
    journal(folder, "job.1", *rows[:5])
    journal(folder, "job.2", *rows[5:], rows[0])  # one row twice
    journal(folder, "other.1", label_row("elsewhere"))
    before = labels(folder)
    assert compact_job(folder, "job") == 10
    assert [p.name for p in folder.journal_paths()] == ["other.1.jsonl"]
    assert len(folder.fragment_paths()) == 1
    pd.testing.assert_frame_equal(labels(folder), before)
    assert list(labels(folder)["forces_ev_per_angstrom"].iloc[3]) == numbers
    assert len(pd.read_parquet(folder.fragment_paths()[0])) == 9


def test_journals_of_the_dead_are_compacted_and_those_of_the_living_left(folder, label_row):
    journal(folder, "dead.1", label_row("a"))
    journal(folder, "alive.1", label_row("b"))
    with Lease(folder.job_lease_path("alive")):
        assert compact_dead_jobs(folder) == 1
        assert [p.name for p in folder.journal_paths()] == ["alive.1.jsonl"]
    assert len(labels(folder)) == 2


def test_compaction_that_died_half_way_loses_nothing(folder, label_row):
    row = label_row("a")
    journal(folder, "dead.1", row)
    path = folder.journals / "dead.1.jsonl"
    path.rename(folder.journals / "dead.1.jsonl.sealed")
    assert labels(folder)["structure_id"].tolist() == ["a"]
    fragment(folder, "written-already", row)
    compact_dead_jobs(folder)
    assert folder.journal_paths() == []
    assert len(read_attempts(folder.path.parent, folder.level_id)) == 1


def test_half_written_last_record_is_skipped(folder, label_row):
    path = folder.journals / "dead.1.jsonl"
    path.write_bytes(encode(label_row("a")) + encode(label_row("b"))[:50])
    assert labels(folder)["structure_id"].tolist() == ["a"]
    compact_dead_jobs(folder)
    assert labels(folder)["structure_id"].tolist() == ["a"]
    assert folder.journal_paths() == []


def test_damaged_journal_gives_its_good_records_and_is_kept(folder, label_row, caplog):
    lines = [encode(label_row(i)) for i in "abc"]
    lines[1] = lines[1].replace(b"0.5", b"0.6")
    (folder.journals / "dead.1.jsonl").write_bytes(b"".join(lines))
    compact_dead_jobs(folder)
    assert labels(folder)["structure_id"].tolist() == ["a", "c"]
    assert len(list(folder.quarantine.iterdir())) == 1
    assert "1 damaged record" in caplog.text


@pytest.mark.parametrize("keep", [0, 3, 0.5, -1])
def test_truncated_fragment_is_set_aside_and_costs_no_other(folder, label_row, keep, caplog):
    fragment(folder, "whole", label_row("a"))
    path = fragment(folder, "broken", *[label_row(f"b{i}") for i in range(50)])
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    assert labels(folder)["structure_id"].tolist() == ["a"]
    assert "broken.parquet is damaged" in caplog.text
    assert [p.name for p in folder.quarantine.iterdir()] == ["broken.parquet"]
    assert [p.name for p in folder.fragment_paths()] == ["whole.parquet"]


def test_fragment_with_damaged_data_is_set_aside(folder, label_row):
    path = fragment(folder, "broken", *[label_row(f"b{i}") for i in range(50)])
    data = bytearray(path.read_bytes())
    data[4:400] = bytes(396)
    path.write_bytes(bytes(data))
    assert len(labels(folder)) == 0
    assert [p.name for p in folder.quarantine.iterdir()] == ["broken.parquet"]


def test_whole_table_of_another_contract_is_refused_not_set_aside(folder):
    path = folder.fragments / "strange.parquet"
    tables.write_table(tables.empty_table("metrics"), "metrics", path)
    with pytest.raises(tables.TableError, match="metrics"):
        labels(folder)
    assert path.exists()


def test_merge_keeps_every_attempt_and_bounds_the_files(folder, label_row):
    rows = [label_row(f"s{i % 7}") for i in range(40)]
    for i, row in enumerate(rows):
        fragment(folder, f"f{i:02}", row)
    fragment(folder, "twice", rows[0])
    before = labels(folder)
    assert not merge_fragments(folder, max_fragments=41)
    assert merge_fragments(folder)
    assert len(folder.fragment_paths()) == 1
    pd.testing.assert_frame_equal(labels(folder), before)
    assert len(read_attempts(folder.path.parent, folder.level_id)) == 40


def test_readers_see_every_row_while_others_compact_and_merge(folder, label_row):
    stop = threading.Event()

    def write():
        for i in range(20):
            fragment(folder, f"x{i}", label_row(f"extra{i}"))
            journal(folder, f"job{i}.1", label_row(f"journaled{i}"))
            compact_job(folder, f"job{i}")
            merge_fragments(folder, max_fragments=2)
        stop.set()

    fragment(folder, "first", label_row("a"))
    journal(folder, "dead.1", label_row("b"))
    writer = threading.Thread(target=write)
    known = KnownStructures(folder)
    writer.start()
    readings = 0
    while not stop.is_set():
        assert labels(folder, ["a", "b"])["structure_id"].tolist() == ["a", "b"]
        assert {"a", "b"} <= known.refresh()
        readings += 1
    writer.join()
    assert readings > 3
    assert len(labels(folder)) == 42


def test_known_structures_follow_journals_and_fragments(folder, label_row):
    known = KnownStructures(folder, skip_job="mine")
    assert known.refresh() == set()
    growing = Journal(folder.journals / "theirs.1.jsonl")
    growing.append(label_row("a"))
    journal(folder, "mine.1", label_row("own"))
    assert known.refresh() == {"a"}
    growing.append(label_row("b"))
    fragment(folder, "f", label_row("c"))
    assert known.refresh() == {"a", "b", "c"}


def test_empty_journals_tell_nothing_and_are_removed_with_their_job(folder):
    empty = Journal(folder.journals / "dead.1.jsonl")
    empty.open()
    assert empty.path.stat().st_size == 0
    assert KnownStructures(folder).refresh() == set()
    assert labels(folder).empty
    assert compact_dead_jobs(folder) == 0
    assert list(folder.journals.iterdir()) == [] and folder.fragment_paths() == []
    empty.close()


def test_a_job_that_was_alive_a_moment_ago_is_not_probed(folder, label_row):
    Journal(folder.journals / "dead.1.jsonl").append(label_row("a"))
    lease = folder.job_lease_path("dead")
    lease.write_text("{half a")
    os.utime(lease, (time.time() - 200,) * 2)
    assert compact_dead_jobs(folder, silent_for_s=300.0) == 0 and lease.exists()
    assert compact_dead_jobs(folder, silent_for_s=60.0) == 1 and not lease.exists()


def test_listings_are_refreshed_by_a_change_of_the_folders(folder):
    before = folder.journals.stat().st_ctime_ns
    time.sleep(0.02)
    folder.refresh_listings()
    assert folder.journals.stat().st_ctime_ns > before
