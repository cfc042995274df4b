"""Estimates of the time left: of what runs, of the round, of the whole."""

from __future__ import annotations

import pytest

from molsieve.status.calculations import Calculations, LevelState, WorkLeft
from molsieve.status.rounds import RoundStatus
from molsieve.status.time_left import duration, time_left
from molsieve.tables import empty_table
from tests.report.campaign_tables import campaign

IDLE = WorkLeft(
    queued=0, running=0, core_s=0.0, longest_s=0.0, workers=0, learned_from=0, by_default=0
)
SETTINGS = campaign()
FIGURES = {
    "calibrated": False,
    "n_selectable": 50,
    "labels_attempted_total": 200,
    "random_test_mae": 0.1,
    "expected_missed": [],
}
STATE = LevelState(SETTINGS.level("xtb"), empty_table("labels"), {}, 0)


def assessed(seconds: float, after: float) -> RoundStatus:
    return round_status(FIGURES, seconds, after, 0.0)


def round_status(figures, seconds, after, since_labels) -> RoundStatus:
    labels = Calculations("round 0", "xtb", 200, 0, 0, 200, 0)
    return RoundStatus(
        round=0,
        stage="",
        labels=labels,
        members=0,
        predicted_shards=0,
        geometries=False,
        figures=figures,
        ranked=False,
        seconds=seconds,
        seconds_after_labels=after,
        seconds_since_labels=since_labels,
    )


def test_work_over_the_workers_of_now():
    work = WorkLeft(10, 2, core_s=600.0, longest_s=90.0, workers=2, learned_from=40, by_default=0)
    text = time_left(SETTINGS, [], work, work, STATE)[0]
    assert "10 queued, 2 running: 10 min of one core (cost learned from 40 labels)" in text
    assert "5 min if the 2 workers at work now go on" in text


def test_what_is_learned_and_what_is_guessed_are_told_apart():
    work = WorkLeft(5, 1, 60.0, longest_s=10.0, workers=1, learned_from=40, by_default=2)
    text = time_left(SETTINGS, [], work, work, STATE)[0]
    assert "learned from 40 labels; of 2 calculations by default" in text
    assert "60 s if the 1 worker at work now goes on" in text


def test_no_estimate_is_shorter_than_the_longest_calculation():
    work = WorkLeft(0, 4, core_s=1000.0, longest_s=900.0, workers=4, learned_from=0, by_default=4)
    assert work.wall_s == 900.0


def test_nobody_at_work_is_said():
    work = WorkLeft(10, 0, core_s=600.0, longest_s=90.0, workers=0, learned_from=0, by_default=10)
    text = time_left(SETTINGS, [], work, work, STATE)[0]
    assert "cost by default" in text and text.endswith("no worker is alive")


def test_the_round_ends_at_the_pace_of_the_earlier_ones():
    """200 s of labels, then the 600 s that followed the labels of the round before."""
    work = WorkLeft(10, 2, core_s=400.0, longest_s=20.0, workers=2, learned_from=40, by_default=0)
    rounds = [assessed(1000.0, 600.0), round_status(None, None, None, None)]
    assert "this round  about 13.3 min" in time_left(SETTINGS, rounds, work, work, STATE)[1]
    rounds[1] = round_status(None, None, None, since_labels=500.0)
    assert "this round  about 1.67 min" in time_left(SETTINGS, rounds, IDLE, IDLE, STATE)[0]


def test_a_first_round_has_no_pace():
    lines = time_left(SETTINGS, [round_status(None, None, None, None)], IDLE, IDLE, STATE)
    assert not any(line.startswith(("this round", "pace")) for line in lines)


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5 s"), (120, "2 min"), (7200, "2 h"), (259_200, "3 d")]
)
def test_durations_in_their_natural_unit(seconds, text):
    assert duration(seconds) == text
