"""Where there are several goals: the front at once, then what was confirmed, in one table."""

from __future__ import annotations

import re
from html import unescape

import numpy as np
import pytest

from molsieve.chem.colour import chromaticity, matching_functions
from molsieve.report.light import SEEN_NM
from molsieve.tables import read_table
from tests.report.test_goals import page


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> tuple:
    folder = tmp_path_factory.mktemp("confirmed")
    text = unescape(page(folder))
    return text, read_table(folder / "ranking.parquet", "ranking")


def tables_of(text: str) -> list[list[dict[str, str]]]:
    """Rows, by heading, of each table of the section on confirmation."""
    part = text.split('<section id="confirmed"')[1].split("</section>")[0]
    found = []
    for table in part.split("<table>")[1:]:
        headings = re.findall(r"<button[^>]*>(.*?)</button>", table)
        rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in table.split("<tr>")[2:]]
        found.append([dict(zip(headings, row, strict=True)) for row in rows])
    return found


def test_the_front_follows_the_answer(told):
    sections = re.findall(r'<section id="(\w+)"', told[0])
    assert sections[:4] == ["answer", "pareto", "confirmed", "stop"]
    assert len(set(sections)) == len(sections)
    contents = re.findall(r'<li><a href="#(\w+)"', told[0])
    assert contents == sections


def test_confirmed_values_stand_beside_predictions(told):
    text, ranking = told
    values, _ = tables_of(text)
    confirmed = ranking[ranking["confirmed_value"].notna()].sort_values("rank")
    assert [int(row["rank"]) for row in values] == confirmed["rank"].tolist()
    first = confirmed.iloc[0]
    assert values[0]["S1 confirmed"] == f"{first['singlet_energy_confirmed_value']:.2f}"
    assert values[0]["S1 / eV"].startswith(f"{first['singlet_energy_mean']:.2f} ±")
    assert values[0]["f confirmed"] == f"{first['oscillator_strength_confirmed_value']:.3f}"


def test_errors_are_told_apart_with_their_sign(told):
    text, ranking = told
    _, errors = tables_of(text)
    top = ranking[ranking["why_confirmed"] == "top"]["singlet_energy_level_error"].dropna()
    (row,) = [r for r in errors if (r["error of"], r["confirmed as"]) == ("S1 / eV", "top")]
    mean, absolute = re.fullmatch(r"([+−]?[\d.]+) \(([\d.]+)\)", row["level error"]).groups()
    assert float(mean.replace("−", "-")) == pytest.approx(top.mean(), abs=0.005)
    assert float(absolute) == pytest.approx(top.abs().mean(), abs=0.005)
    assert int(row["n"]) == len(top)


def test_wanted_values_are_bands_and_predictions_have_bars(told):
    pareto = told[0].split('<section id="pareto"')[1].split("</section>")[0]
    assert pareto.count('<rect class="band" x="-7"') == 3, "singlet energy is in three pairs of six"
    assert 'class="error series-2"' in pareto


def test_the_border_of_all_colours_does_not_turn_back():
    x, y = chromaticity(matching_functions(SEEN_NM).T).T
    red = SEEN_NM > 525
    assert (np.diff(x[red]) > 0).all() and (np.diff(y[red]) < 0).all()
    assert x[-1] == pytest.approx(0.719, abs=0.01), "of 640 nm, CIE 1931"
