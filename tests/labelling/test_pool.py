"""The worker pool with real GFN2-xTB calculations: failures, deaths, limits, other jobs."""

import concurrent.futures
import functools
import os
import threading
import time

import computations
import pytest

from molsieve import tables
from molsieve.campaign import Run
from molsieve.engines import compute_label
from molsieve.jobs.allocation import Allocation
from molsieve.jobs.leases import Lease, _this_holder
from molsieve.labelling import LabelStoreError, Unfinished, label_structures, read_labels
from molsieve.labelling.compaction import compact_job
from molsieve.labelling.journal import Journal
from molsieve.labelling.pool import LabelPool
from molsieve.labelling.stopping import Stopping
from molsieve.labelling.worker import WorkerSetup, failed_columns
from molsieve.levels import level_id

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


def test_the_longest_calculations_begin_first(label, small_molecules):
    structures = small_molecules(4, names=("H2", "CH3OH", "C6H6", "H2O"))
    label(structures, compute=computations.counted)
    ids = dict(zip(structures["structure_id"], structures["species_id"], strict=True))
    assert [ids[i] for i in computations.starts()] == ["C6H6", "CH3OH", "H2O", "H2"]


def test_second_campaign_gets_labels_from_the_store_and_computes_the_rest(label, small_molecules):
    structures = small_molecules(6)
    label(structures.iloc[:4], compute=computations.counted, campaign="one")
    receipt = label(structures.iloc[2:], compute=computations.counted, campaign="two")
    assert len(receipt) == 4
    assert sorted(computations.starts()) == sorted(structures["structure_id"])


def test_no_structures_is_an_empty_receipt(label, small_molecules, tmp_path):
    assert len(label(small_molecules(1).iloc[:0])) == 0
    assert len(tables.read_table(tmp_path / "receipt.parquet", "receipt")) == 0


def test_a_receipt_that_says_the_same_is_left_untouched(label, small_molecules, tmp_path):
    structures, path = small_molecules(3), tmp_path / "receipt.parquet"
    label(structures.iloc[:2], compute=computations.counted)
    os.utime(path, (1, 1))
    label(structures.iloc[:2], compute=computations.counted)
    assert path.stat().st_mtime == 1, "a late copy of the job makes nothing new"
    label(structures, compute=computations.counted)
    assert path.stat().st_mtime > 1
    path.write_bytes(path.read_bytes()[:100])
    receipt = label(structures, compute=computations.counted)
    written = tables.read_table(path, "receipt")
    assert written["structure_id"].tolist() == receipt["structure_id"].tolist()


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


def test_full_disk_without_its_number_condemns_no_structure(label, stored, small_molecules):
    with pytest.raises(LabelStoreError, match="No space left"):
        label(small_molecules(2), compute=computations.library_hides_a_full_disk)
    assert stored().empty


@pytest.mark.parametrize(
    "compute, words",
    [
        (computations.file_system_does_not_answer, "timed out"),
        (computations.scratch_is_removed, "scratch folder is gone"),
    ],
)
def test_node_that_loses_its_scratch_condemns_no_structure(
    label, stored, small_molecules, compute, words
):
    with pytest.raises(LabelStoreError, match=words):
        label(small_molecules(2), compute=compute)
    assert stored().empty


def test_node_without_the_engine_condemns_no_structure(label, stored, small_molecules):
    with pytest.raises(LabelStoreError, match=r"cannot be used on .*no_such_engine"):
        label(small_molecules(2), compute=computations.engine_is_missing)
    assert stored().empty


def test_calculation_short_of_memory_is_repeated_alone_at_the_end(label, small_molecules):
    structures = small_molecules(6, FLUORINE)
    granted = Allocation(cores=2, memory_mb=4900)
    receipt = label(
        structures,
        compute=computations.fluorine_wants_more_memory,
        workers=2,
        allocation=granted,
    )
    assert set(receipt["status"]) == {"ok"} and len(receipt) == 6
    wanting = structures.loc[structures["species_id"] == "HF", "structure_id"].tolist()
    starts = computations.starts()
    assert sorted(starts[-len(wanting) :]) == sorted(wanting)
    assert sorted(starts) == sorted([*structures["structure_id"], *wanting])


def test_calculation_short_of_all_the_memory_is_a_row_that_says_so(label, stored, small_molecules):
    structures = small_molecules(1)
    label(structures, compute=computations.nothing_is_enough_memory)
    (row,) = stored().to_dict("records")
    assert row["error_kind"] == "engine_error" and "MemoryError" in row["error_message"]
    assert len(computations.starts()) == 2


def test_calculation_that_had_the_whole_job_becomes_a_timeout_row(
    label, stored, small_molecules, run
):
    structures = small_molecules(2)
    short = run.model_copy(update={"wall_margin_s": 0.0})
    with pytest.raises(Unfinished) as stop:
        label(
            structures,
            compute=computations.counted_for_an_hour,
            run=short,
            deadline=time.time() + 25.0,
        )
    assert (stop.value.done, stop.value.failed, stop.value.left) == (0, 1, 1)
    (row,) = stored().to_dict("records")
    assert row["error_kind"] == "timeout" and "longer wall time" in row["error_message"]
    assert row["wall_s"] > 10


@pytest.mark.parametrize("lost_s, overlong", [(0.0, True), (60.0, False)])
def test_only_the_job_s_whole_time_counts_as_the_whole_job(
    tmp_path, level, small_molecules, lost_s, overlong
):
    stopping = Stopping()
    pool = pool_with_costs(tmp_path, level, small_molecules(1), stopping, [1.0])
    (structure_id,) = pool.structures
    calculation = concurrent.futures.Future()
    calculation.set_running_or_notify_cancel()
    pool.running[calculation] = structure_id
    with Lease(pool.folder.claim_path(structure_id)):
        stopping.began = time.time() - lost_s
        time.sleep(1.0)
        pool.giving_up.note_overlong(pool.running)
    assert (structure_id in pool.giving_up._overlong) == overlong


def test_calculation_that_began_late_is_left_to_the_next_job(label, stored, small_molecules, run):
    structures = small_molecules(3)
    short = run.model_copy(update={"wall_margin_s": 0.0, "calculation_time_limit_s": 8.0})
    with pytest.raises(Unfinished) as stop:
        label(
            structures,
            compute=computations.counted_for_an_hour,
            run=short,
            deadline=time.time() + 14.0,
        )
    assert (stop.value.failed, stop.value.left) == (1, 2)
    assert "calculation_time_limit_s" in stored()["error_message"].iloc[0]


def test_nothing_is_begun_that_cannot_end_in_time(tmp_path, level, small_molecules, starts_file):
    pool_of = functools.partial(pool_with_costs, tmp_path, level, small_molecules(4))
    pool = pool_of(Stopping(time.time() + 60, time.time() + 60), [1000.0, 900.0, 30.0, 20.0])
    ids = list(pool.structures)
    assert pool._next_that_fits() == ids[0]  # one a worker, whatever it costs
    pool.begun = 1
    assert [pool._next_that_fits() for _ in range(3)] == [ids[2], ids[3], None]
    assert list(pool.queue) == [ids[1]]
    unlimited = pool_of(Stopping(), [1000.0, 900.0, 30.0, 20.0])
    unlimited.begun = 1
    assert unlimited._next_that_fits() == ids[0]


def pool_with_costs(folder, level, structures, stopping, costs_s):
    setup = WorkerSetup(
        job="j",
        store=folder / "store",
        level=level,
        level_id=level_id(level),
        scratch=folder,
        compute=computations.counted,
        controller_pid=os.getpid(),
    )
    rows = structures.to_dict("records")
    costs = dict(zip(structures["structure_id"], costs_s, strict=True))
    return LabelPool(rows, setup, 1, 60.0, stopping, costs)


def test_journals_carry_the_scheduler_s_job(label, small_molecules, folder, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "molsieve.labelling.job.compact_job", lambda folder, job, campaign: seen.append(job)
    )
    granted = Allocation(scheduler="slurm", job_id="12_3", pinnable=(), cores=1)
    label(small_molecules(1), allocation=granted)
    assert seen[0].startswith("rounds-0-shard-1-slurm12_3-")
    assert folder.journal_paths()[0].name.startswith(seen[0] + ".")


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


def test_a_node_that_kills_every_worker_condemns_no_structure(label, stored, small_molecules):
    structures = small_molecules(3, ["HF"])
    granted = Allocation(cores=1, memory_mb=4900)
    with pytest.raises(LabelStoreError, match=r"kills every worker .*4900 MB granted.*SIGKILL"):
        label(structures, compute=computations.fluorine_kills_the_worker, allocation=granted)
    assert stored().empty and len(computations.starts()) == 6
    receipt = label(structures.iloc[:2], compute=computations.fluorine_kills_the_worker)
    assert set(receipt["error_kind"]) == {"worker_died"}


def test_a_node_short_of_memory_for_all_condemns_no_structure(label, stored, small_molecules):
    with pytest.raises(LabelStoreError, match="cannot allocate 2 TB"):
        label(small_molecules(3), compute=computations.nothing_is_enough_memory)
    assert stored().empty and len(computations.starts()) == 6


def test_deadly_structures_are_given_up_once_a_calculation_ended(label, stored, small_molecules):
    structures = small_molecules(4, ["HF", "HF", "HF", "H2O"])
    label(structures, compute=computations.all_die_together_but_water_lives_alone)
    rows = stored().set_index("structure_id")
    assert rows.loc[structures["structure_id"].iloc[3], "status"] == "ok"
    assert (rows["error_kind"] == "worker_died").sum() == 3


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
            compute=computations.counted_for_half_a_second,
            run=limited,
            deadline=time.time() + 30.0 + 12.0,
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
