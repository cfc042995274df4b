"""What a retry may change, and what it may not."""

from __future__ import annotations

import pytest

from molsieve.campaign import Run
from molsieve.jobs.forecasts import Work
from molsieve.jobs.resources import label_minutes
from molsieve.levels import level_id, parse_level
from molsieve.loading import load_mapping
from molsieve.retries.settings import checked_settings, checked_time_limit, seconds
from molsieve.section import CampaignError
from tests.campaigns import edited

XTB = parse_level({"engine": "tblite"})
DFT = parse_level({"engine": "pyscf", "functional": "PBE", "basis": "def2-SVP"})
CP2K = parse_level({"engine": "cp2k", "version": "2023.1"})
RELAXED = parse_level({"engine": "tblite", "geometry": "optimised"})


@pytest.mark.parametrize(
    ("level", "changes", "settings"),
    [
        (XTB, ["max_iterations=1000"], {"max_iterations": 1000}),
        (DFT, ["max_cycles = 400"], {"max_cycles": 400}),
        (RELAXED, ["max_optimiser_steps=9", "max_iterations=8"],
         {"max_optimiser_steps": 9, "max_iterations": 8}),
        (XTB, [], {}),
        (CP2K, ["max_scf=500", "scf_solver=diagonalisation"],
         {"max_scf": 500, "scf_solver": "diagonalisation"}),
    ],
)  # fmt: skip
def test_longer_search_is_the_same_level(level, changes: list[str], settings: dict) -> None:
    found = checked_settings("mine", level, changes)
    assert found == settings
    assert level_id(parse_level({**level.model_dump(), **found})) == level_id(level)


@pytest.mark.parametrize(
    ("level", "change", "words"),
    [
        (CP2K, "cutoff_ry=600", ["changes the numbers", "max_scf, scf_solver"]),
        (DFT, "functional=PBE0", ["changes the numbers", "max_cycles", "'mine'"]),
        (DFT, "scf_tolerance_hartree=1e-5", ["changes the numbers"]),
        (XTB, "max_cycles=400", ["max_iterations", "--level"]),
        (XTB, "max_optimiser_steps=400", ["does not act"]),
        (XTB, "max_iteration=400", ["did you mean max_iterations"]),
        (XTB, "max_iterations=0", ["greater than or equal to 1"]),
        (XTB, "max_iterations=many", ["integer"]),
        (XTB, "max_iterations", ["integer"]),
    ],
)
def test_what_changes_numbers_or_is_no_setting_is_refused(level, change: str, words) -> None:
    with pytest.raises(CampaignError) as caught:
        checked_settings("mine", level, [change])
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("text", "value"),
    [("90", 90), ("30s", 30), ("90min", 5400), ("4h", 14400), ("1.5d", 129600), ("2 h", 7200)],
)
def test_time_limits_are_read_with_their_unit(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "h", "4 weeks", "-4h", "0", "1:30"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(CampaignError, match="90min"):
        seconds(text)


def test_time_limit_must_fit_into_a_job() -> None:
    run = Run(longest_job_h=4.0, wall_margin_s=60.0)
    assert checked_time_limit(14_040.0, run) == 14_040.0
    with pytest.raises(CampaignError, match="longest_job_h"):
        checked_time_limit(14_100.0, run)


def test_longest_time_limit_asks_for_no_more_than_the_longest_job() -> None:
    """A job a minute longer than its partition would wait for ever."""
    campaign = load_mapping(edited(("run.longest_job_h", 4.0)))
    limit_s = checked_time_limit(14_040.0, campaign.run)
    work = Work(count=1, core_s=limit_s, longest_s=limit_s)
    asked = label_minutes(campaign, XTB, work, 1, 1, attempt=3, time_limit_s=limit_s)
    assert asked == 4 * 60


def test_the_campaigns_own_limit_is_never_refused() -> None:
    """Its jobs hold one calculation at that limit, whatever the longest job."""
    run = Run(longest_job_h=1.0)
    assert checked_time_limit(None, run) == run.calculation_time_limit_s > 3600
