"""What has no label is listed with where, why and how often it was tried."""

from __future__ import annotations

from molsieve.jobs.leases import Lease
from molsieve.labelling.store import LevelFolder, new_attempt_id
from molsieve.levels import level_id
from molsieve.status.calculations import level_states, parts
from molsieve.status.failures import counts_text, failure_table, failures, shortened
from molsieve.tables import write_table
from tests.report.campaign_tables import campaign, structure, write_campaign


def failed(settings, structure_id: str, kind: str, message: str = "") -> dict:
    return {
        "structure_id": structure_id,
        "level_id": level_id(settings.level("xtb")),
        "attempt_id": new_attempt_id(),
        "status": "failed",
        "error_kind": kind,
        "error_message": message,
        "recovery_step": 0,
        "engine": "tblite",
        "engine_version": "0.8",
        "wall_s": 1.0,
        "cores": 1,
    }


def test_each_failure_once_with_its_last_word_and_every_place(tmp_path):
    settings = campaign(run={"label_store": str(tmp_path / "store")})
    results = tmp_path / "results/tiny"
    write_campaign(results, rounds=2)
    again = {"structure_id": "s0-1", "species_id": "shared", "candidate_id": None}
    write_table([structure(again)], "structures", results / "references/structures.parquet")
    folder = LevelFolder.made(settings.run.label_store, settings.level("xtb"))
    rows = [
        failed(settings, "s0-1", "timeout"),
        failed(settings, "s0-1", "scf_not_converged", "no convergence\nafter 250 cycles"),
        failed(settings, "s1-2", "timeout"),
        failed(settings, "s1-3", "timeout"),
        failed(settings, "s1-4", "timeout"),
        {**failed(settings, "s1-4", ""), "status": "ok", "error_kind": None},
        failed(settings, "not of this campaign", "timeout"),
    ]
    write_table(rows, "labels", folder.fragments / "0.parquet")
    with Lease(folder.claim_path("s1-3")):  # being repeated: neither failed nor done
        found = failures(parts(settings, results), level_states(settings))
    assert [(f.structure_id, f.kind, f.attempts) for f in found] == [
        ("s0-1", "scf_not_converged", 2),
        ("s1-2", "timeout", 1),
    ]
    assert found[0].stages == ("references", "round 0")
    assert counts_text(found) == "1 scf_not_converged, 1 timeout"
    table = failure_table(found)
    assert dict(zip(table.columns, table.rows[0], strict=True))["where"] == "references, round 0"
    assert table.rows[0][-1] == "no convergence after 250 cycles"
    assert table.rows[1][3] == found[1].candidate != ""


def test_a_long_message_is_cut_to_a_line():
    assert shortened("short") == "short"
    assert shortened("one\n two  three", length=9) == "one two …"
