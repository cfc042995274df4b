"""The worker pool with real GFN2-xTB calculations: failures, deaths, limits, other jobs."""

import threading
import time

import computations
import pytest

from molsieve import tables
from molsieve.campaign import Run
from molsieve.engines import compute_label
from molsieve.labelling import LabelStoreError, Unfinished, label_structures, read_labels
from molsieve.labelling.compaction import compact_job
from molsieve.labelling.journal import Journal
from molsieve.labelling.worker import failed_columns
from molsieve.leases import Lease, _this_holder

FLUORINE = ["H2O", "HF", "CH3OH", "NH3"]


@pytest.fixture
def label(tmp_path, level, run, starts_file):
    """(structures, **overrides) -> receipt, the store in ``tmp_path``."""

    def call(structures, **overrides):
        arguments = {"workers": 1, "run": run, "job": "rounds/0 shard 1", **overrides}
        return label_structures(
            structures, level, tmp_path / "store", tmp_path / "receipt.parquet", **arguments
        )

    return call


@pytest.fixture
def stored(tmp_path, level_name):
    return lambda ids=None: read_labels(tmp_path / "store", level_name, ids)


def test_labels_are_those_of_the_engine_and_leave_no_litter(
    label, stored, small_molecules, folder, tmp_path, level, run
):
    structures = small_molecules(8)
    receipt = label(structures)
    assert receipt["structure_id"].tolist() == sorted(structures["structure_id"])
    assert set(receipt["status"]) == {"ok"}
    written = tables.read_table(tmp_path / "receipt.parquet", "receipt")
    assert written["attempt_id"].tolist() == receipt["attempt_id"].tolist()
    rows = stored().set_index("structure_id")
    first = structures.iloc[0]
    from molsieve.chem.identities import atoms_from_row

    alone = compute_label(atoms_from_row(first), level)
    assert rows.loc[first["structure_id"], "energy_ev"] == pytest.approx(alone.energy_ev, abs=1e-9)
    assert len(rows.loc[first["structure_id"], "forces_ev_per_angstrom"]) == 9
    assert list(folder.claims.iterdir()) == [] and list(folder.journals.iterdir()) == []
    assert len(folder.fragment_paths()) == 1
    assert list((tmp_path / "scratch").iterdir()) == []


def test_second_campaign_gets_labels_from_the_store_and_computes_the_rest(label, small_molecules):
    structures = small_molecules(6)
    label(structures.iloc[:4], compute=computations.counted, campaign="one")
    receipt = label(structures.iloc[2:], compute=computations.counted, campaign="two")
    assert len(receipt) == 4
    assert sorted(computations.starts()) == sorted(structures["structure_id"])


def test_no_structures_is_an_empty_receipt(label, small_molecules, tmp_path):
    assert len(label(small_molecules(1).iloc[:0])) == 0
    assert len(tables.read_table(tmp_path / "receipt.parquet", "receipt")) == 0


def test_every_failure_is_a_row_with_its_reason(label, stored, small_molecules):
    structures = small_molecules(4, ["HF", "NH3", "CH3Cl", "H2O"])
    receipt = label(structures, compute=computations.all_ways_to_fail)
    assert sorted(receipt["status"]) == ["failed", "failed", "failed", "ok"]
    rows = stored().set_index("structure_id")
    hf, nh3, ch3cl, water = (rows.loc[i] for i in structures["structure_id"])
    assert (hf["error_kind"], hf["error_message"]) == (
        "scf_not_converged",
        "no convergence in 250 cycles",
    )
    assert nh3["error_kind"] == "engine_error" and "KeyError: 'nitrogen'" in nh3["error_message"]
    assert ch3cl["error_kind"] == "engine_error" and "finite" in ch3cl["error_message"]
    assert water["status"] == "ok" and hf["engine_version"] == water["engine_version"]


def test_full_disk_stops_the_job_and_condemns_no_structure(label, stored, small_molecules):
    with pytest.raises(LabelStoreError, match="No space left"):
        label(small_molecules(2), compute=computations.disk_is_full)
    assert stored().empty
    assert set(label(small_molecules(2))["status"]) == {"ok"}


def test_failed_row_is_terminal(label, small_molecules):
    structures = small_molecules(2, ["HF", "H2O"])
    label(structures, compute=computations.all_ways_to_fail)
    receipt = label(structures, compute=computations.counted)
    assert sorted(receipt["status"]) == ["failed", "ok"]
    assert computations.starts() == []


def test_killed_worker_is_replaced_and_its_calculation_repeated(label, small_molecules):
    structures = small_molecules(5)
    receipt = label(structures, compute=computations.first_start_kills_the_worker)
    assert set(receipt["status"]) == {"ok"} and len(receipt) == 5
    assert sorted(computations.starts()) == sorted([*structures["structure_id"]] * 2)


def test_structure_that_kills_its_workers_becomes_a_failed_row(label, stored, small_molecules):
    structures = small_molecules(4, FLUORINE)
    label(structures, compute=computations.fluorine_kills_the_worker)
    rows = stored().set_index("structure_id")
    fatal = structures["structure_id"].iloc[1]
    assert rows.loc[fatal, "error_kind"] == "worker_died"
    assert "SIGKILL" in rows.loc[fatal, "error_message"]
    assert (rows["status"] == "ok").sum() == 3
    assert computations.starts().count(fatal) == 2


def test_calculation_over_its_time_limit_becomes_a_failed_row(
    label, stored, small_molecules, tmp_path, folder
):
    structures = small_molecules(4, FLUORINE)
    limited = Run(calculation_time_limit_s=3, scratch=str(tmp_path))
    label(structures, compute=computations.fluorine_takes_for_ever, run=limited)
    rows = stored().set_index("structure_id")
    assert rows.loc[structures["structure_id"].iloc[1], "error_kind"] == "timeout"
    assert (rows["status"] == "ok").sum() == 3
    assert list(folder.claims.iterdir()) == []


def test_deadline_stops_the_job_which_hands_in_what_is_done(
    label, stored, small_molecules, run, tmp_path, folder
):
    structures = small_molecules(40)
    limited = run.model_copy(update={"wall_margin_s": 30.0})
    with pytest.raises(Unfinished) as stop:
        label(
            structures,
            compute=computations.counted_slowly,
            run=limited,
            deadline=time.time() + 30.0 + 4.0,
            workers=1,
        )
    assert stop.value.done > 0 and stop.value.left > 0
    assert stop.value.done + stop.value.left == 40
    assert f"{stop.value.left} of 40 structures" in str(stop.value)
    assert len(stored()) == stop.value.done and folder.journal_paths() == []
    assert not (tmp_path / "receipt.parquet").exists()
    begun = len(computations.starts())
    receipt = label(structures, compute=computations.counted)
    assert len(receipt) == 40
    assert len(computations.starts()) == begun + stop.value.left


def test_stale_claim_of_a_lost_node_is_taken_over(label, small_molecules, folder):
    import json
    import os
    from dataclasses import asdict

    structures = small_molecules(2)
    claim = folder.claim_path(structures["structure_id"].iloc[0])
    holder = asdict(_this_holder("theirs")) | {"machine": "elsewhere"}
    claim.write_text(json.dumps(holder))
    os.utime(claim, (1, 1))
    assert len(label(structures, compute=computations.counted)) == 2
    assert len(computations.starts()) == 2
    assert list(folder.claims.iterdir()) == []


def test_what_another_job_computes_is_waited_for_and_not_repeated(
    label, stored, small_molecules, folder, label_row
):
    structures = small_molecules(3)
    theirs = structures["structure_id"].iloc[1]
    claim = Lease(folder.claim_path(theirs))
    assert claim.acquire()

    def deliver():
        while len(computations.starts()) < 2:
            time.sleep(0.05)
        time.sleep(1.0)
        Journal(folder.journals / "their-job.1.jsonl").append(label_row(theirs, energy_ev=-77.0))
        claim.release()

    other = threading.Thread(target=deliver)
    with Lease(folder.job_lease_path("their-job")):
        other.start()
        assert len(label(structures, compute=computations.counted)) == 3
        other.join()
    assert theirs not in computations.starts() and len(computations.starts()) == 2
    assert stored([theirs])["energy_ev"].tolist() == [-77.0]
    compact_job(folder, "their-job")
    assert len(stored()) == 3


def test_long_messages_are_cut():
    assert len(failed_columns("engine_error", "x" * 10**6)["error_message"]) <= 2000
