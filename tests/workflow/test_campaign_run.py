"""The real workflow on a small real campaign: what comes out, and what a second command does."""

from __future__ import annotations

import json

import pandas as pd
import pyarrow.parquet as pq
import pytest

from molsieve.geometry_settings import DISTORTED
from molsieve.tables import SCHEMAS

from .conftest import Workspace, attempts

pytestmark = pytest.mark.slow


def test_every_table_opens_with_plain_pandas(finished: Workspace) -> None:
    tables = set()
    for path in finished.results.rglob("*.parquet"):
        frame = pd.read_parquet(path)
        name = pq.read_schema(path).metadata[b"molsieve.table"].decode()
        assert list(frame.columns) == SCHEMAS[name].names
        tables.add(name)
    assert tables >= {
        "candidates", "species", "structures", "dataset", "predictions", "selection",
        "metrics", "ranking", "receipt", "references", "geometries",
    }  # fmt: skip


def test_ranking_is_complete_and_confirmed(finished: Workspace) -> None:
    ranking = pd.read_parquet(finished.results / "rounds" / "1" / "ranking.parquet")
    candidates = pd.concat(map(pd.read_parquet, sorted(finished.results.glob("candidates/*"))))
    accepted = candidates[candidates["status"] == "accepted"]
    assert set(ranking["candidate_id"]) <= set(accepted["candidate_id"])
    assert list(ranking["rank"]) == list(range(1, len(ranking) + 1))
    confirmed = ranking[ranking["confirmed_value"].notna()]
    assert (confirmed["why_confirmed"] == "top").sum() == 2
    assert (confirmed["why_confirmed"] == "control").sum() == 1
    told_apart = confirmed["model_error"] + confirmed["level_error"]
    assert (confirmed["mean"] - confirmed["confirmed_value"]).to_numpy() == pytest.approx(
        told_apart.to_numpy(), abs=1e-9
    )


def test_splits_never_cut_a_couple_and_no_structure_is_selected_twice(
    finished: Workspace,
) -> None:
    dataset = pd.read_parquet(finished.results / "rounds" / "1" / "dataset" / "dataset.parquet")
    assert dataset.groupby("group")["split"].nunique().max() == 1
    assert {"train", "validation", "calibration"} <= set(dataset["split"])
    selected = pd.concat(
        pd.read_parquet(finished.results / "rounds" / str(r) / "selection.parquet")
        for r in range(2)
    )
    assert not selected["structure_id"].duplicated().any()
    distorted = selected[selected["reason"].isin(DISTORTED)]
    assert set(distorted["reason"]) == set(DISTORTED)
    assert distorted["score"].notna().all()
    assert set(distorted["round"]) == {1}


def test_stability_of_the_dynamics_joins_the_metrics_of_every_round(finished: Workspace) -> None:
    for round in range(2):
        metrics = pd.read_parquet(finished.results / "rounds" / str(round) / "metrics.parquet")
        stable = metrics.set_index("name").loc["dynamics_stability"]
        low, high = stable["interval"]
        assert low <= stable["value"] <= high
        assert stable["n"] == 6
    page = (finished.results / "rounds" / "1" / "report.html").read_text()
    assert "dynamics stability" in page


def test_no_label_was_computed_twice(finished: Workspace) -> None:
    rows = attempts(finished)
    assert not rows.duplicated(["structure_id", "level_id"]).any()


def test_page_is_one_offline_file(finished: Workspace) -> None:
    page = (finished.results / "rounds" / "1" / "report.html").read_text()
    assert "<svg" in page
    assert 'src="http' not in page
    assert 'href="http' not in page.replace('href="https://doi.org', "")


def test_same_command_again_has_nothing_to_do(finished: Workspace) -> None:
    before = len(attempts(finished))
    done = finished.run()
    assert "Nothing to be done" in done.stdout + done.stderr
    assert len(attempts(finished)) == before


def test_raised_round_limit_runs_only_the_new_round(finished: Workspace) -> None:
    stamps = {
        path: path.stat().st_mtime_ns
        for path in finished.results.rglob("*")
        if path.is_file() and "/logs/" not in str(path) and path.suffix in (".parquet", ".pt")
    }
    finished.edit(stop={"max_rounds": 3})
    planned = finished.run("--dry-run").stdout
    for rule in ("build_structures", "enumerate_candidates", "label_references"):
        assert f"rule {rule}:" not in planned
    finished.run()
    assert (finished.results / "rounds" / "2" / "ranking.parquet").exists()
    changed = [str(p) for p, stamp in stamps.items() if p.stat().st_mtime_ns != stamp]
    assert not changed
    finished.edit(stop={"max_rounds": 2})


def test_a_changed_acquisition_spares_the_seed_round(finished: Workspace) -> None:
    before = finished.campaign()["acquisition"]
    finished.edit(acquisition={"function": "greedy", "batch_labels": 24})
    planned = finished.run("--dry-run").stdout
    finished.edit(acquisition=before | {"function": "upper_confidence_bound"})
    assert "output: results/small/rounds/1/selection.parquet" in planned
    assert "output: results/small/rounds/0/" not in planned


def test_a_changed_quorum_redoes_nothing(finished: Workspace) -> None:
    finished.edit(labels={"quorum": 0.5})
    done = finished.run("--dry-run")
    finished.edit(labels={"quorum": 0.9})
    assert "Nothing to be done" in done.stdout + done.stderr


def test_second_campaign_shares_the_label_store(finished: Workspace) -> None:
    before = attempts(finished)
    finished.edit(campaign="sibling")
    try:
        finished.run(*(f"results/sibling/rounds/0/receipts/{shard}.parquet" for shard in range(2)))
    finally:
        finished.edit(campaign="small")
    after = attempts(finished)
    assert (finished.folder / "results" / "sibling" / "references").exists()
    assert len(after) == len(before)


def test_fresh_run_gives_the_same_labels_and_ranking(finished: Workspace, fresh: Workspace) -> None:
    fresh.run()
    columns = ["structure_id", "level_id", "energy_ev"]
    ours, theirs = attempts(fresh)[columns], attempts(finished)[columns]
    both = ours.merge(theirs, on=["structure_id", "level_id"], suffixes=("", "_again"))
    assert len(both) == len(ours)
    assert (both["energy_ev"] == both["energy_ev_again"]).all()
    rankings = [
        pd.read_parquet(space.results / "rounds" / "1" / "ranking.parquet")
        for space in (finished, fresh)
    ]
    pd.testing.assert_frame_equal(*rankings)


def test_converged_figures_end_the_loop_below_its_limit(finished: Workspace) -> None:
    """Last, as it rewrites figures: two sure rounds, four more allowed, none of them run."""
    for round in range(2):
        path = finished.results / "rounds" / str(round) / "figures.json"
        sure = {"calibrated": True, "expected_missed": [0.0] * 100, "random_test_mae": 0.1}
        path.write_text(json.dumps(json.loads(path.read_text()) | sure))
    finished.edit(stop={"max_rounds": 6})
    done = finished.run()
    assert "Campaign small: 2 rounds. converged: 0.00 unlabelled candidates" in done.stdout
    assert not (finished.results / "rounds" / "3").exists()
