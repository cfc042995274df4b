"""The controller's lease and record of a campaign, and its last word."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from molsieve.jobs import controller
from molsieve.jobs.attempts import CONTROLLER_VARIABLE, overtaken
from molsieve.jobs.leases import Lease, _this_holder
from molsieve.loading import load_mapping
from molsieve.section import CampaignError
from tests.campaigns import edited


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The token that taking a campaign leaves in the environment ends with the test."""
    monkeypatch.setenv(CONTROLLER_VARIABLE, "")
    monkeypatch.setattr(controller, "POLL_S", 0.05)
    yield
    controller.give_back()


def left_on_another_machine(results: Path, age_s: float) -> Path:
    """The lease of a controller elsewhere whose last heartbeat is ``age_s`` old."""
    lease = results / "controller.lease"
    holder = asdict(_this_holder("theirs")) | {"machine": "elsewhere", "host": "login2"}
    lease.write_text(json.dumps(holder))
    os.utime(lease, (time.time() - age_s, time.time() - age_s))
    return lease


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


def test_living_controller_of_another_machine_is_refused_at_its_first_heartbeat(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lease = left_on_another_machine(tmp_path, age_s=10)
    heart = threading.Timer(0.5, os.utime, [lease])
    heart.start()
    with pytest.raises(CampaignError, match="on login2"):
        controller.take(load_mapping(edited()), tmp_path)
    heart.join()
    assert "Waiting for a sign of life" in capsys.readouterr().out
    assert json.loads(lease.read_text())["token"] == "theirs"
    assert not (tmp_path / "controller.json").exists()


def test_dead_controller_of_another_machine_is_waited_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left_on_another_machine(tmp_path, age_s=controller.STALE_AFTER_S - 0.5)
    controller.take(load_mapping(edited()), tmp_path)
    assert "this controller takes over" in capsys.readouterr().out
    assert json.loads((tmp_path / "controller.lease").read_text())["token"] != "theirs"


def test_the_record_outlives_the_lease_and_refuses_jobs_of_earlier_controllers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = load_mapping(edited())
    controller.take(campaign, tmp_path)
    first = os.environ[CONTROLLER_VARIABLE]
    controller.give_back()
    controller.take(campaign, tmp_path)
    controller.give_back()
    assert overtaken(tmp_path) == ""
    monkeypatch.setenv(CONTROLLER_VARIABLE, first)
    assert "superseded" in overtaken(tmp_path)


def test_folder_of_another_question_is_refused_before_the_lease(tmp_path: Path) -> None:
    controller.take(load_mapping(edited()), tmp_path)
    controller.give_back()
    with pytest.raises(CampaignError, match="seed"):
        controller.take(load_mapping(edited(("seed", 99))), tmp_path)
    assert not (tmp_path / "controller.lease").exists()


def test_answer_of_an_unfinished_campaign_says_that_it_goes_on(tmp_path: Path) -> None:
    assert "goes on" in controller.answer(load_mapping(edited()), tmp_path)
