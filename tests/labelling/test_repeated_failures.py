"""Failed rows up to an attempt do not count: what a retry computes, and what it leaves alone."""

import computations
import pytest

from molsieve.labelling import Unfinished, label_structures
from molsieve.labelling.journal import SUFFIX, Journal
from molsieve.labelling.store import KnownStructures, is_terminal, new_attempt_id, read_attempts
from molsieve.levels import TbliteLevel


@pytest.mark.parametrize(
    ("status", "attempt", "newer_than", "terminal"),
    [
        ("ok", "1", "2", True),
        ("failed", "1", "", True),
        ("failed", "2", "2", False),
        ("failed", "3", "2", True),
    ],
)
def test_terminal_rows(status, attempt, newer_than, terminal):
    assert is_terminal(status, attempt, newer_than) == terminal


def test_known_structures_leave_out_what_is_to_be_repeated(folder, label_row):
    journal = Journal(folder.journals / f"theirs.1{SUFFIX}")
    for row in (label_row("ok"), label_row("failed", status="failed")):
        journal.append(row)
    stamp = new_attempt_id()
    known = KnownStructures(folder, newer_than=stamp)
    assert known.refresh() == {"ok"}
    journal.append(label_row("failed", status="failed"))
    assert known.refresh() == {"ok", "failed"}


@pytest.fixture
def one_iteration():
    return TbliteLevel(engine="tblite", max_iterations=1)


def labelled(rows, level, store, run, **how):
    how = {"workers": 2, "job": "retry", **how}
    return label_structures(rows, level, store, None, run=run, **how)


def test_only_failures_are_repeated_and_only_once(
    tmp_path, level, one_iteration, level_name, small_molecules, run, starts_file
):
    store, rows = tmp_path / "store", small_molecules(6)
    failed = labelled(rows.head(4), one_iteration, store, run)
    assert (failed["status"] == "failed").all()
    labelled(rows.tail(2), level, store, run)
    stamp = failed["attempt_id"].max()
    for _ in range(2):
        receipt = labelled(rows, level, store, run, newer_than=stamp, compute=computations.counted)
        assert (receipt["status"] == "ok").all()
    assert sorted(computations.starts()) == sorted(rows["structure_id"].head(4))
    attempts = read_attempts(store, level_name)
    assert attempts["status"].value_counts().to_dict() == {"ok": 6, "failed": 4}


def test_structure_that_fails_again_is_done_with_its_new_reason(
    tmp_path, one_iteration, level_name, small_molecules, run
):
    store, rows = tmp_path / "store", small_molecules(2)
    first = labelled(rows, one_iteration, store, run)
    stamp = first["attempt_id"].max()
    again = labelled(rows, one_iteration, store, run, newer_than=stamp)
    assert (again["status"] == "failed").all()
    assert (again["attempt_id"] > stamp).all()
    assert len(read_attempts(store, level_name)) == 4


def test_stopped_retry_goes_on_where_it_was(
    tmp_path, level, one_iteration, level_name, small_molecules, run, starts_file
):
    store, rows = tmp_path / "store", small_molecules(4)
    stamp = labelled(rows, one_iteration, store, run)["attempt_id"].max()
    labelled(rows.head(2), level, store, run, newer_than=stamp, compute=computations.counted)
    with pytest.raises(Unfinished) as stopped:
        labelled(rows, level, store, run, newer_than=stamp, deadline=1.0)
    assert (stopped.value.done, stopped.value.failed, stopped.value.left) == (2, 0, 2)
    labelled(rows, level, store, run, newer_than=stamp, compute=computations.counted)
    assert len(computations.starts()) == len(set(computations.starts())) == 4


def test_worker_that_dies_during_a_retry_is_a_newer_failure(
    tmp_path, level, one_iteration, small_molecules, run, starts_file
):
    store, rows = tmp_path / "store", small_molecules(2, ["HF", "H2O"])
    stamp = labelled(rows, one_iteration, store, run)["attempt_id"].max()
    receipt = labelled(
        rows, level, store, run, newer_than=stamp, compute=computations.fluorine_kills_the_worker
    )
    kinds = dict(zip(receipt["structure_id"], receipt["error_kind"], strict=True))
    assert kinds[rows["structure_id"][0]] == "worker_died"
    assert (receipt["status"] == "ok").sum() == 1
