"""Calculations are counted from what the store and its claims say at this moment."""

from __future__ import annotations

import os
import time

import pytest

from molsieve.jobs.leases import Lease
from molsieve.labelling.journal import Journal
from molsieve.labelling.store import LevelFolder, new_attempt_id
from molsieve.levels import level_id
from molsieve.status.calculations import (
    calculations,
    level_states,
    live_journals,
    parts,
    used_levels,
    work_left,
)
from molsieve.tables import write_table
from tests.report.campaign_tables import campaign, structure, write_campaign


@pytest.fixture()
def settings(tmp_path):
    return campaign(run={"label_store": str(tmp_path / "store")})


@pytest.fixture()
def results(tmp_path):
    folder = tmp_path / "results/tiny"
    write_campaign(folder, rounds=2)
    return folder


def folder_of(settings, name="xtb") -> LevelFolder:
    return LevelFolder.made(settings.run.label_store, settings.level(name))


def row(settings, structure_id: str, ok: bool = True, wall_s: float = 2.0) -> dict:
    return {
        "structure_id": structure_id,
        "level_id": level_id(settings.level("xtb")),
        "attempt_id": new_attempt_id(),
        "status": "ok" if ok else "failed",
        "error_kind": None if ok else "timeout",
        "recovery_step": 0,
        "engine": "tblite",
        "engine_version": "0.8",
        "wall_s": wall_s,
        "cores": 1,
        "valence_electrons": 8,
    }


def look(settings, results):
    states, found = level_states(settings), parts(settings, results)
    counts = {(p.stage, p.level): calculations(p, states[p.level]) for p in found}
    return counts, work_left(found, states)


def test_every_calculation_is_in_one_state(settings, results):
    folder = folder_of(settings)
    write_table([row(settings, "s0-0"), row(settings, "s0-1", ok=False)], "labels",
                folder.fragments / "0.parquet")  # fmt: skip
    journal = Journal(folder.journals / "job.1.jsonl")
    journal.append(row(settings, "s0-2"))
    with Lease(folder.claim_path("s0-3")), Lease(folder.claim_path("of another campaign")):
        counts, work = look(settings, results)
    journal.close()
    first = counts["round 0", "xtb"]
    assert (first.selected, first.queued, first.running, first.done, first.failed) == (
        *(12, 8, 1, 2),
        1,
    )
    assert counts["round 1", "xtb"].queued == 12
    assert (work.queued, work.running, work.workers) == (20, 1, 1)


def test_a_failure_that_is_repeated_runs_and_one_that_succeeded_is_done(settings, results):
    folder = folder_of(settings)
    rows = [row(settings, "s0-0", ok=False), row(settings, "s0-1", ok=False)]
    rows.append(row(settings, "s0-1"))
    write_table(rows, "labels", folder.fragments / "0.parquet")
    with Lease(folder.claim_path("s0-0")), Lease(folder.claim_path("s0-1")):
        counts, work = look(settings, results)
    first = counts["round 0", "xtb"]
    assert (first.running, first.done, first.failed) == (1, 1, 0)
    assert work.running == 1
    assert level_states(settings)["xtb"].labels.set_index("structure_id")["attempts"]["s0-1"] == 2


def test_a_dead_workers_claim_is_queued(settings, results):
    claim = Lease(folder_of(settings).claim_path("s0-0"))
    assert claim.acquire()
    old = time.time() - 10_000
    os.utime(claim.path, (old, old))
    counts, work = look(settings, results)
    claim.release()
    assert counts["round 0", "xtb"].running == 0
    assert work.workers == 0 and work.wall_s is None


def test_references_and_hits_are_counted_at_both_levels(settings, results):
    atoms = {"candidate_id": None, "species_id": "p"}
    rows = [structure({**atoms, "structure_id": name}) for name in ("molecule", "atom")]
    rows[1]["role"] = "atom"
    write_table(rows, "structures", results / "references/structures.parquet")
    hits = results / "rounds/1/hits"
    kinds = {"h0": "committee_minimum", "h1": "built_minimum"}
    chosen = [
        {"round": 1, "structure_id": h, "species_id": "p", "reason": "top", "group": "g"}
        | {"geometry": kind}
        for h, kind in kinds.items()
    ]
    write_table(chosen, "selection", hits / "selection.parquet")
    write_table(
        [structure({**atoms, "structure_id": h}) for h in kinds],
        "structures",
        hits / "structures.parquet",
    )
    assert used_levels(settings) == ["xtb", "dft"]
    counts, _ = look(settings, results)
    assert {key: c.selected for key, c in counts.items()} == {
        ("references", "xtb"): 2,
        ("references", "dft"): 1,
        ("round 0", "xtb"): 12,
        ("round 1", "xtb"): 12,
        ("hits 1", "xtb"): 2,
        ("hits 1", "dft"): 1,
    }


def test_work_is_priced_by_what_the_labels_cost_and_shared_by_live_workers(settings, results):
    """Twelve labels of 50 s, all of one size: the other twelve are expected to take as long."""
    folder = folder_of(settings)
    rows = [row(settings, f"s0-{i}", wall_s=50.0) for i in range(12)]
    write_table(rows, "labels", folder.fragments / "0.parquet")
    claims = [Lease(folder.claim_path(f"s1-{i}")) for i in range(3)]
    assert all(claim.acquire() for claim in claims)
    _, work = look(settings, results)
    for claim in claims:
        claim.release()
    assert work.learned_from == 12
    assert work.core_s == pytest.approx(12 * 50.0, abs=5.0)  # less what the three have had
    assert work.wall_s == work.core_s / 3
    assert work.longest_s == pytest.approx(50.0)


def test_a_structure_wanted_twice_is_computed_once(settings, results):
    path = results / "rounds/1/structures.parquet"
    rows = [
        structure({"structure_id": f"s0-{i}", "species_id": "p", "candidate_id": None})
        for i in range(4)
    ]
    write_table(rows, "structures", path)
    counts, work = look(settings, results)
    assert counts["round 1", "xtb"].queued == 4
    assert work.queued == 12


@pytest.mark.parametrize("place", ["", "slurm45-", "pbs7-server-"])
def test_workers_of_this_campaigns_live_jobs_are_known_by_their_journals(settings, results, place):
    """Calculations of milliseconds leave no claim to see; other campaigns' workers are theirs."""
    folder = folder_of(settings)
    ours = f"tiny-0-1-{place}{new_attempt_id()}"
    others = [f"tiny-2-0-1-{new_attempt_id()}", f"big-0-1-{new_attempt_id()}"]
    gone = f"tiny-0-0-{new_attempt_id()}"
    leases = [Lease(folder.job_lease_path(job)) for job in (ours, *others)]
    assert all(lease.acquire() for lease in leases)
    for job in (ours, *others, gone):
        for writer in ("11", "12", "controller"):
            journal = Journal(folder.journals / f"{job}.{writer}.jsonl")
            journal.append(row(settings, "s0-0"))
            journal.close()
    Journal(folder.journals / f"{ours}.13.jsonl").open()  # nothing written: maybe nothing to do
    assert {p.name for p in live_journals(folder, "tiny")} == {
        f"{ours}.11.jsonl",
        f"{ours}.12.jsonl",
    }
    _, work = look(settings, results)
    for lease in leases:
        lease.release()
    assert (work.running, work.workers) == (0, 2)
