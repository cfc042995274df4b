"""A plan in words: every number, plain where it is piped."""

from __future__ import annotations

import math

import pytest

from molsieve.plan.counts import plan
from molsieve.plan.text import bytes_text, hours, plan_text
from tests.report.campaign_tables import campaign


@pytest.fixture()
def planned(tmp_path):
    return plan(campaign(run={"label_store": str(tmp_path / "store")}))


def test_text_is_plain_where_it_is_piped_and_tells_every_number(planned):
    text = plan_text(planned)
    assert "\x1b" not in text and "─" not in text
    assert f"jobs        {planned.job_count:,}" in text
    assert f"{planned.labels_by_level['xtb']:,} at xtb" in text
    for stage in planned.stages:
        assert stage.work in text
    for line in [*planned.advice, *planned.assumptions]:
        assert line in text
    assert "\x1b" in plan_text(planned, terminal=True)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2.92e9, "2.92 GB")]
)
def test_bytes_in_their_natural_unit(count, text):
    assert bytes_text(count) == text


def test_hours_have_three_digits():
    assert [hours(v) for v in (0, 0.001, 0.1234, 12.345, 12345.6)] == [
        "–",
        "< 0.01",
        "0.123",
        "12.3",
        "12,346",
    ]
    assert math.isfinite(float(hours(99.99)))
