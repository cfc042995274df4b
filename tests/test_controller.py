"""The controller's lease and record of a campaign, and its last word."""

from __future__ import annotations

from pathlib import Path

import pytest

from molsieve import controller
from molsieve.leases import Lease
from molsieve.loading import load_mapping
from molsieve.section import CampaignError
from tests.campaigns import edited


def test_takes_records_and_gives_back(tmp_path: Path) -> None:
    campaign = load_mapping(edited())
    controller.take(campaign, tmp_path)
    lease = tmp_path / "controller.lease"
    assert lease.exists()
    assert (tmp_path / "campaign.json").exists()
    controller.give_back()
    assert not lease.exists()


def test_second_controller_is_named(tmp_path: Path) -> None:
    other = Lease(tmp_path / "controller.lease", stale_after_s=60)
    assert other.acquire()
    try:
        with pytest.raises(CampaignError, match="already run by another controller"):
            controller.take(load_mapping(edited()), tmp_path)
        assert not (tmp_path / "campaign.json").exists()
    finally:
        other.release()


def test_folder_of_another_question_is_refused_before_the_lease(tmp_path: Path) -> None:
    controller.take(load_mapping(edited()), tmp_path)
    controller.give_back()
    with pytest.raises(CampaignError, match="seed"):
        controller.take(load_mapping(edited(("seed", 99))), tmp_path)
    assert not (tmp_path / "controller.lease").exists()


def test_answer_of_an_unfinished_campaign_says_that_it_goes_on(tmp_path: Path) -> None:
    assert "goes on" in controller.answer(load_mapping(edited()), tmp_path)
