"""Labels at a better level of theory (``properties.fidelity``) are counted, and can be repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from molsieve.jobs.leases import Lease
from molsieve.labelling.fidelity import structures_at_both_levels
from molsieve.labelling.store import LevelFolder, new_attempt_id
from molsieve.levels import level_id
from molsieve.loading import load_mapping
from molsieve.retries.choice import Choice, all_failures, choose, orders_for
from molsieve.retries.orders import orders_before_dataset
from molsieve.retries.text import consequences
from molsieve.section import CampaignError
from molsieve.status.calculations import calculations, level_states, live_journals, parts
from molsieve.tables import SCHEMAS, read_table, write_table
from tests.failed_campaign import put, put_hits, structures

WATER = structures(8)
EXCITATIONS = {"excitations": {"singlets": 1, "triplets": 1}}
GAP = {"direction": "minimise", "worst": 1.0, "ideal": 0.0}
EMITTERS = {
    "campaign": "small",
    "domain": "oled",
    "candidates": {"source": {"kind": "fragments", "lists": ["push_pull"]}},
    "objective": {"goals": {"singlet_triplet_gap": GAP}},
    "levels": {
        "low": {"engine": "pyscf", "functional": "PBE0", "basis": "STO-3G"} | EXCITATIONS,
        "high": {"engine": "pyscf", "functional": "PBE0", "basis": "3-21G"} | EXCITATIONS,
        "dear": {"engine": "pyscf", "functional": "PBE0", "basis": "6-31G"} | EXCITATIONS,
    },
    "labels": {"level": "low"},
    "properties": {"fidelity": {"level": "high", "share": 0.5}},
    "stop": {"max_rounds": 2},
    "ranking": {"confirm": {"level": "dear"}},
}


@pytest.fixture
def campaign(tmp_path):
    return load_mapping({**EMITTERS, "run": {"label_store": str(tmp_path / "store")}})


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """One round of eight waters, the last of which test; two hits."""
    folder = tmp_path / "results"
    put(folder, "rounds/0", WATER)
    selection = WATER.assign(round=0, reason="seed", group=WATER["structure_id"], split=None)
    selection.loc[7, "split"] = "test"
    selection = selection.reindex(columns=SCHEMAS["selection"].names)
    write_table(selection, "selection", folder / "rounds/0/selection.parquet")
    put_hits(folder, 0, structures(2, "NH3"))
    return folder


def test_they_are_those_that_the_rule_labels(campaign, results):
    found = {(part.stage, part.level): part.structures for part in parts(campaign, results)}
    selection = read_table(results / "rounds/0/selection.parquet", "selection")
    rule = structures_at_both_levels(WATER, selection, 0.5, campaign.seed)
    assert WATER["structure_id"][7] in rule["structure_id"].tolist() and len(rule) < 8
    assert found["round 0", "high"]["structure_id"].tolist() == rule["structure_id"].tolist()
    assert len(found["round 0", "low"]) == 8
    # Hits are labelled where objectives are, not at the level that only teaches.
    assert {level for stage, level in found if stage == "hits 0"} == {"high", "dear"}


def test_one_that_failed_is_counted_and_ordered_again(campaign, results):
    failing = WATER.tail(1)
    ident = failing["structure_id"].item()
    fail(campaign, failing, "high")
    counts = {
        (part.stage, part.level): calculations(part, level_states(campaign)[part.level])
        for part in parts(campaign, results)
    }
    assert counts["round 0", "high"].failed == 1 and counts["round 0", "low"].failed == 0
    found = all_failures(campaign, results)
    assert [(f.failure.level, f.rounds, f.failure.structure_id) for f in found] == [
        ("high", [0], ident)
    ]
    with pytest.raises(CampaignError, match="allowed: dear, high, low"):
        choose(found, Choice(level="higher"), campaign)
    chosen = choose(found, Choice(level="high"), campaign)
    ((order, _),) = orders_for(chosen.repeated, campaign, [], None, 0)
    assert order.level_id == level_id(campaign.level("high")) and order.rounds == [0]
    assert orders_before_dataset([order], results, 0) == [order]


def fail(campaign, rows, level: str) -> None:
    """A row that failed, as a worker writes it."""
    folder = LevelFolder.made(campaign.run.label_store, campaign.level(level))
    made = [
        {
            "structure_id": name, "level_id": folder.level_id, "attempt_id": new_attempt_id(),
            "status": "failed", "error_kind": "scf_not_converged", "recovery_step": 0,
            "engine": "pyscf", "engine_version": "2", "wall_s": 1.0, "cores": 1,
        }
        for name in rows["structure_id"]
    ]  # fmt: skip
    write_table(made, "labels", folder.fragments / "0.parquet")


def test_what_a_new_calibration_of_it_changes(campaign, results):
    reference = structures(1, "HF")
    put(results, "references", reference)
    fail(campaign, reference, "high")
    chosen = choose(all_failures(campaign, results), Choice(references=True), campaign)
    ((order, _),) = orders_for(chosen.repeated, campaign, [], None, 0)
    (said,) = consequences(order, campaign, results)
    assert "evaluations, predictions and rankings of all rounds are computed again" in said


def test_its_jobs_workers_are_the_campaigns(campaign):
    folder = LevelFolder.made(campaign.run.label_store, campaign.level("high"))
    jobs = [f"small-0-{kind}0-{new_attempt_id()}" for kind in ("fidelity-", "other-")]
    leases = [Lease(folder.job_lease_path(job)) for job in jobs]
    assert all(lease.acquire() for lease in leases)
    for job in jobs:
        (folder.journals / f"{job}.11.jsonl").write_text("{}")
    found = [path.name for path in live_journals(folder, "small")]
    for lease in leases:
        lease.release()
    assert found == [f"{jobs[0]}.11.jsonl"]
