"""Advice on shards: jobs of tens of minutes that keep their workers busy, said both ways."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molsieve.loading import load_campaign
from molsieve.plan import pricing
from molsieve.plan.counts import labels_by_round, plan
from molsieve.plan.shard_advice import (
    CALCULATIONS_A_WORKER,
    JOB_CORES,
    LONGEST_MIN,
    MOST_SHARDS,
    SHORTEST_MIN,
    Load,
    length_advice,
    line,
    loads,
    prediction_load,
)
from tests.report.campaign_tables import campaign


def load(*totals_min: float, shards: int = 1, calculations: int | None = None) -> Load:
    times = {f"part {n}": total for n, total in enumerate(totals_min)}
    return Load("x.shards", shards, times, JOB_CORES, calculations=calculations)


@settings(max_examples=200, deadline=None)
@given(
    totals=st.lists(st.floats(0.01, 1e6), min_size=1, max_size=3),
    calculations=st.none() | st.integers(1, 10_000),
)
def test_the_better_count_is_good_and_the_smallest_that_is(totals, calculations):
    better = load(*totals, calculations=calculations).suitable
    again = load(*totals, shards=better, calculations=calculations)
    assert again.is_good and "better" not in line(again)
    if better > 1:
        assert min(again.minutes(better)) >= SHORTEST_MIN
        assert not again.starves(better)
        assert max(again.minutes(better - 1)) > LONGEST_MIN
    assert better <= MOST_SHARDS
    # Then one more would be too many, or make jobs too small.
    if max(again.minutes(better)) > LONGEST_MIN and better < MOST_SHARDS:
        more = load(*totals, calculations=calculations)
        assert min(more.minutes(better + 1)) < SHORTEST_MIN or more.starves(better + 1)


@pytest.mark.parametrize(
    ("totals", "shards", "better"),
    [
        ((600.0,), 1, 10),  # too long
        ((600.0,), 100, 10),  # too short
        ((600.0,), 30, None),  # 20 min: as good as 60
        ((5.0,), 4, 1),  # little work: one job
        ((5.0,), 1, None),
        ((63.0,), 1, None),  # prices are rough
        ((1e6,), 10, 200),  # as many as Snakemake plans in seconds
        ((6000.0, 600.0), 10, 60),  # a seed ten times a batch: the batch's job still has 10 min
    ],
)
def test_lengths_out_of_range_get_a_better_count(totals, shards, better):
    said = re.search(r"better (\d+)", line(load(*totals, shards=shards)))
    assert (said and int(said.group(1))) == better


def test_few_long_calculations_are_not_spread_over_idle_workers():
    few = load(210.0, shards=10, calculations=60)
    assert few.starves(10)
    assert few.suitable == 60 // (CALCULATIONS_A_WORKER * JOB_CORES) == 3


def test_minutes_are_those_of_the_prices(tmp_path):
    chosen = campaign(
        run={"label_store": str(tmp_path / "store")}, labels={"level": "dft", "shards": 3}
    )
    planned = plan(chosen)
    price = pricing.mean_cost_s(pricing.CostModel(), planned.space.numbers, chosen.level("dft"))
    by_round = labels_by_round(chosen)
    found = {
        each.key: each
        for each in loads(
            chosen,
            planned.space,
            planned.stages,
            by_round,
            pricing.label_work(chosen, planned.space, sum(by_round)),
        )
    }
    labels = found["labels.shards"]
    expected = by_round[0] * price * (1 + pricing.RECOVERY_SHARE) / 60 / JOB_CORES / 3
    assert labels.minutes(3)[0] == pytest.approx(expected)
    structures = next(s for s in planned.stages if s.name == "structures")
    shards = chosen.candidates.shards
    built = found["candidates.shards"].minutes(shards)
    assert built == [pytest.approx(60 * structures.core_hours / JOB_CORES / shards)]
    assert planned.advice == [line(each) for each in found.values()]


def test_a_gpu_is_a_job_s_one_worker(tmp_path):
    store = {"label_store": str(tmp_path / "store")}
    on_gpu = plan(campaign(run=store, potential={"device": "gpu"})).advice
    prediction = next(text for text in on_gpu if text.startswith("prediction.shards"))
    assert "on 1 GPU" in prediction


def test_a_better_count_that_candidates_shards_forbids_names_them() -> None:
    short = load(600.0, shards=1)
    assert "candidates.shards" not in line(short) and "better 10" in line(short)
    whole = [line(replace(short, divides=count)) for count in (60, 7)]
    assert ["candidates.shards" in text for text in whole] == [False, True]


def test_of_zeolites_a_prediction_job_takes_whole_candidate_shards(tmp_path: Path) -> None:
    zeolite = load_campaign(Path(__file__).parents[2] / "config" / "zeolite.yaml")
    small = campaign(run={"label_store": str(tmp_path / "store")})
    planned, by_round = plan(small), labels_by_round(zeolite)
    short = zeolite.run.model_copy(update={"longest_job_h": 1e-9})
    zeolite = zeolite.model_copy(update={"run": short})
    load = prediction_load(zeolite, planned.stages, by_round)
    assert load.divides == 60
    assert prediction_load(small, planned.stages, by_round).divides is None
    told = length_advice(zeolite, planned.space, planned.stages, by_round)[-1]
    assert "raise prediction.shards with candidates.shards" in told


@pytest.mark.parametrize(
    ("longest_h", "said"), [(1e6, []), (1e-4, ["checkpoint when", "has no checkpoint"])]
)
def test_what_a_cluster_would_end_too_early_is_said(tmp_path, longest_h, said):
    run = {"label_store": str(tmp_path / "store"), "longest_job_h": longest_h}
    lines = plan(campaign(run=run)).advice[4:]
    assert len(lines) == len(said)
    assert all(word in text for word, text in zip(said, lines, strict=True))


@pytest.mark.parametrize("name", ["quickstart", "flow_battery"])
def test_shipped_campaigns_follow_the_advice(name, tmp_path, monkeypatch):
    path = Path(__file__).parents[2] / "config" / f"{name}.yaml"
    monkeypatch.chdir(tmp_path)  # no label store whose timings would change the prices
    assert not [text for text in plan(load_campaign(path)).advice if "better" in text]
