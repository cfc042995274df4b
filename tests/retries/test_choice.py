"""Choosing failures and ordering that they be repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from molsieve.campaign import Campaign
from molsieve.retries.choice import (
    Choice,
    Failed,
    all_failures,
    choose,
    next_number,
    orders_for,
    write_order,
)
from molsieve.retries.orders import read_orders
from molsieve.section import CampaignError
from molsieve.status.failures import Failure
from molsieve.tables import read_table
from tests.failed_campaign import failed_campaign, label, put, put_hits, structures

WATER = structures(3)
AMMONIA = structures(2, "NH3")
FLUORIDE = structures(1, "HF")
IDS = {
    "round": sorted(WATER["structure_id"])[:2],
    "hits": sorted(AMMONIA["structure_id"]),
    "references": sorted(FLUORIDE["structure_id"]),
}


@pytest.fixture(scope="module")
def campaign(tmp_path_factory) -> Campaign:
    """Failures: two of round 0 at gfn2, one hit at both levels, one at gfn1, one reference."""
    folder = tmp_path_factory.mktemp("failures")
    campaign = failed_campaign(folder)
    failing = WATER[WATER["structure_id"].isin(IDS["round"])]
    label(campaign, failing, "gfn2")
    label(campaign, WATER, "gfn2", iterations=250)
    label(campaign, FLUORIDE, "gfn2")
    label(campaign, AMMONIA, "gfn1")
    label(campaign, AMMONIA.head(1), "gfn2")
    return campaign


@pytest.fixture
def results(tmp_path: Path) -> Path:
    put(tmp_path, "rounds/0", WATER)
    put(tmp_path, "references", FLUORIDE)
    put_hits(tmp_path, 0, AMMONIA)
    return tmp_path


def chosen_ids(campaign: Campaign, results: Path, choice: Choice) -> list[str]:
    chosen = choose(all_failures(campaign, results), choice, campaign)
    return sorted(f.failure.structure_id for f in chosen.repeated)


def test_failures_of_rounds_references_and_hits_are_found(
    campaign: Campaign, results: Path
) -> None:
    found = all_failures(campaign, results)
    assert sorted((f.failure.level, *f.failure.stages) for f in found) == [
        ("gfn1", "hits 0"),
        ("gfn1", "hits 0"),
        ("gfn2", "hits 0"),
        ("gfn2", "references"),
        ("gfn2", "round 0"),
        ("gfn2", "round 0"),
    ]
    assert {f.failure.kind for f in found} == {"scf_not_converged"}


def test_conditions_choose_together(campaign: Campaign, results: Path) -> None:
    def by(**conditions) -> list[str]:
        return chosen_ids(campaign, results, Choice(**conditions))

    everything = sorted([*IDS["round"], *IDS["hits"], AMMONIA["structure_id"][0]])
    assert by(everything=True) == by(kinds=["scf_not_converged"]) == by(round=0) == everything
    assert by(level="gfn1") == IDS["hits"]
    assert by(structures=[IDS["round"][1]]) == IDS["round"][1:]
    assert by(structures=[IDS["round"][0][:10]], level="gfn2", round=0) == IDS["round"][:1]


@pytest.mark.parametrize(
    ("conditions", "word"),
    [
        ({"kinds": ["timeout"]}, "scf_not_converged"),
        ({"level": "gfn3"}, "gfn1, gfn2"),
        ({"round": 1}, "meets all"),
        ({"structures": [""]}, "give more"),
        ({"structures": ["nothing"]}, "no failed structure"),
    ],
)
def test_choice_of_nothing_says_what_there_is(
    campaign: Campaign, results: Path, conditions: dict, word: str
) -> None:
    with pytest.raises(CampaignError, match=word):
        chosen_ids(campaign, results, Choice(**conditions))


def test_measured_systems_need_to_be_asked_for(campaign: Campaign, results: Path) -> None:
    found = all_failures(campaign, results)
    without = choose(found, Choice(everything=True), campaign)
    assert [f.failure.structure_id for f in without.references] == IDS["references"]
    asked = choose(found, Choice(references=True, level="gfn2"), campaign)
    assert not asked.references
    assert {f.failure.structure_id for f in asked.repeated} > set(IDS["references"])
    alone = choose(found, Choice(references=True), campaign)
    assert [f.failure.structure_id for f in alone.repeated] == IDS["references"]
    assert IDS["references"][0] in {f.failure.structure_id for f in asked.repeated}


def test_a_candidate_that_is_also_a_measured_system_counts_as_one(
    campaign: Campaign, results: Path
) -> None:
    put(results, "references", WATER)
    chosen = choose(all_failures(campaign, results), Choice(round=0, level="gfn2"), campaign)
    assert sorted(f.failure.structure_id for f in chosen.references) == IDS["round"]


def ordered(campaign: Campaign, results: Path, choice: Choice, **how):
    chosen = choose(all_failures(campaign, results), choice, campaign).repeated
    asked = {"changes": [], "time_limit_s": None, **how}
    orders = orders_for(chosen, campaign, first_number=next_number(results), **asked)
    for order, mine in orders:
        write_order(order, mine, results, campaign)
    return [order for order, _ in orders]


def test_one_order_a_level_holds_all_that_its_job_needs(campaign: Campaign, results: Path) -> None:
    orders = ordered(
        campaign, results, Choice(everything=True),
        changes=["max_iterations=300"], time_limit_s=60.0,
    )  # fmt: skip
    assert read_orders(results) == orders
    of_level = {order.level: order for order in orders}
    assert of_level["gfn2"].rounds == [0] and of_level["gfn2"].hits == [0]
    assert of_level["gfn1"].rounds == [] and of_level["gfn1"].hits == [0]
    for order, count in ((of_level["gfn2"], 3), (of_level["gfn1"], 2)):
        folder = results / "retries" / str(order.number)
        rows = read_table(folder / "structures.parquet", "structures")
        assert len(rows) == order.calculations == count
        assert order.settings == {"max_iterations": 300}
        assert order.time_limit_s == 60.0
        names = ["forecast.json", "order.json", "structures.parquet"]
        assert sorted(path.name for path in folder.iterdir()) == names


@pytest.mark.parametrize(("failed", "shards"), [(1, 1), (31, 1), (32, 2), (400, 4)])
def test_failures_are_packed_into_few_jobs(campaign: Campaign, failed: int, shards: int) -> None:
    """One calculation a job would pay a job's start for each."""
    wide = campaign.model_copy(update={"labels": campaign.labels.model_copy(update={"shards": 4})})
    failure = Failure("s", "gfn2", ("round 0",), "c", "timeout", "", 1)
    mine = [Failed(failure, "a", None)] * failed
    ((order, _),) = orders_for(mine, wide, [], None, 0)
    assert order.shards == shards


def test_order_repeats_failures_and_the_label_wins(results: Path, tmp_path: Path) -> None:
    campaign = failed_campaign(tmp_path)
    label(campaign, WATER, "gfn2")
    assert label(campaign, WATER, "gfn2", iterations=250)["status"].eq("failed").all()
    (order,) = ordered(campaign, results, Choice(round=0))
    receipt = label(campaign, WATER, "gfn2", iterations=250, newer_than=order.newer_than)
    assert receipt["status"].eq("ok").all()
    assert not all_failures(campaign, results)


def test_open_order_is_not_ordered_twice_until_it_has_failed_again(
    results: Path, tmp_path: Path
) -> None:
    campaign = failed_campaign(tmp_path)
    label(campaign, WATER, "gfn2")
    (order,) = ordered(campaign, results, Choice(round=0))
    again = choose(all_failures(campaign, results), Choice(round=0), campaign)
    assert not again.repeated
    assert {f.order for f in again.ordered} == {order.number}
    # Another shard keeps the order open; these structures have failed once more.
    receipt = label(campaign, WATER.head(1), "gfn2", newer_than=order.newer_than)
    assert receipt["status"].eq("failed").all()
    newest = choose(all_failures(campaign, results), Choice(round=0), campaign)
    assert [f.failure.structure_id for f in newest.repeated] == [WATER["structure_id"][0]]
    assert newest.repeated[0].attempt_id == receipt["attempt_id"].iloc[0] > order.newer_than


def test_two_at_once_never_share_a_number(campaign: Campaign, results: Path) -> None:
    chosen = choose(all_failures(campaign, results), Choice(level="gfn1"), campaign).repeated
    ((order, mine),) = orders_for(chosen, campaign, [], None, 0)
    write_order(order, mine, results, campaign)
    with pytest.raises(CampaignError, match="retries/0"):
        write_order(order, mine, results, campaign)
    assert [path.name for path in (results / "retries").iterdir()] == ["0"]
