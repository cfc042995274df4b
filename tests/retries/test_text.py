"""What `molsieve retry` says before and after an order."""

from __future__ import annotations

from pathlib import Path

import pytest

from molsieve import cli
from molsieve.campaign import Campaign
from molsieve.jobs.leases import Lease
from molsieve.retries.choice import Choice
from molsieve.retries.text import retry
from molsieve.section import CampaignError
from tests.failed_campaign import failed_campaign, freeze, label, put, put_hits, structures

FILE = Path("config/small.yaml")
WATER = structures(2)
AMMONIA = structures(1, "NH3")


@pytest.fixture(scope="module")
def campaign(tmp_path_factory) -> Campaign:
    campaign = failed_campaign(tmp_path_factory.mktemp("failures"))
    label(campaign, WATER, "gfn2")
    label(campaign, AMMONIA, "gfn1")
    return campaign


@pytest.fixture
def results(tmp_path: Path) -> Path:
    put(tmp_path, "rounds/0", WATER)
    put_hits(tmp_path, 0, AMMONIA)
    return tmp_path


def said(campaign: Campaign, results: Path, *conditions, **how) -> str:
    choice = Choice(**dict(conditions))
    return retry(campaign, FILE, choice, results=results, **how)


def test_without_a_choice_failures_are_listed_with_what_to_type(
    campaign: Campaign, results: Path
) -> None:
    text = said(campaign, results)
    assert "3 failed" in text
    assert "round 0" in text and "hits 0" in text
    assert f"molsieve retry {FILE} --kind scf_not_converged --dry-run" in text
    assert not (results / "retries").exists()


def test_settings_without_a_choice_are_refused(campaign: Campaign, results: Path) -> None:
    with pytest.raises(CampaignError, match="--all"):
        said(campaign, results, changes=["max_iterations=300"])


def test_dry_run_lists_what_the_order_would_hold(campaign: Campaign, results: Path) -> None:
    choice = ("everything", True)
    dry = said(campaign, results, choice, dry_run=True)
    assert not (results / "retries").exists()
    real = said(campaign, results, choice)
    for i in [*WATER["structure_id"], *AMMONIA["structure_id"]]:
        assert i in dry and i in real
    assert "Nothing was written" in dry and "snakemake --configfile" in real


def test_consequences_are_told(campaign: Campaign, results: Path) -> None:
    running = said(campaign, results, ("everything", True), dry_run=True)
    assert "enter the dataset of round 0" in running and "has ended" not in running
    assert "Hits of round 0: ranking and page are made again" in running
    for round in range(2):
        freeze(results, round)
    ended = said(campaign, results, ("level", "gfn2"), dry_run=True)
    assert "enter the dataset of round 2" in ended
    assert "change nothing until another round runs" in ended
    assert "Hits" not in ended


def test_measured_systems_change_the_calibration_and_that_is_said(
    campaign: Campaign, results: Path
) -> None:
    put(results, "references", WATER)
    with pytest.raises(CampaignError, match="add --references"):
        said(campaign, results, ("level", "gfn2"))
    text = said(campaign, results, ("level", "gfn2"), ("references", True))
    assert "calibrated again" in text and "all rounds are computed again" in text


def test_retry_in_vain_is_doubted(campaign: Campaign, results: Path) -> None:
    choice = ("level", "gfn2")
    assert "Likely to fail again" in said(campaign, results, choice, dry_run=True)
    changed = said(campaign, results, choice, changes=["max_iterations=300"], dry_run=True)
    assert "Likely" not in changed


def test_open_order_is_said(campaign: Campaign, results: Path) -> None:
    said(campaign, results, ("level", "gfn2"))
    with pytest.raises(CampaignError, match="order 0 will repeat"):
        said(campaign, results, ("level", "gfn2"))
    both = said(campaign, results, ("everything", True))
    assert "Left out: 2 that order 0 will repeat" in both
    assert sorted(p.name for p in (results / "retries").iterdir()) == ["0", "1"]


def test_running_controller_does_not_know_of_the_order(campaign: Campaign, results: Path) -> None:
    with Lease(results / "controller.lease"):
        text = said(campaign, results, ("everything", True))
    assert "does not know of this order" in text


def test_campaign_without_failures(tmp_path: Path) -> None:
    """Nothing to fail, no store to look into, and labels only are told apart."""
    campaign, results = failed_campaign(tmp_path), tmp_path / "results"
    rows = structures(1)
    assert "Nothing has been chosen" in said(campaign, results)
    put(results, "rounds/0", rows)
    assert "label store" in said(campaign, results)
    label(campaign, rows, "gfn2", iterations=250)
    assert said(campaign, results).endswith("no calculation has failed.")


def test_another_campaigns_results_are_refused(campaign: Campaign, results: Path) -> None:
    (results / "campaign.json").write_text("{}")
    with pytest.raises(CampaignError):
        said(campaign, results)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--time-limit", "soon"], "90min"),
        (["--kind", "timeout", "--time-limit", "2h"], "no calculation has failed"),
    ],
)
def test_command_line(
    tmp_path: Path, monkeypatch, capsys, arguments: list[str], words: str
) -> None:
    import yaml

    monkeypatch.chdir(tmp_path)
    mapping = failed_campaign(tmp_path).model_dump(mode="json")
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(mapping))
    cli.main(["retry", "small.yaml", *arguments])
    printed = capsys.readouterr()
    assert words in printed.out + printed.err
    assert "Traceback" not in printed.err
