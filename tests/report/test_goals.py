"""The page of a campaign with several goals: every objective, the front, colour only if stated."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from molsieve.domains.oled.config import Campaign
from molsieve.domains.oled.objective import OBJECTIVES
from molsieve.report import ReportFiles, build_report
from molsieve.report.goals import _badges
from molsieve.report.light import power
from molsieve.tables import read_table, write_json, write_table
from tests.acquisition.emitters import (
    GOALS,
    PREDICTIONS,
    STATES,
    TABLES,
    choose,
    figures_of,
    ranked,
    values_of,
)

TEMPLATE = Path(__file__).parents[2] / "workflow/report/page.html"
EMISSION = {"stokes_shift_ev": 0.4, "linewidth_ev": 0.4, "calibrated_on": "made up <here>"}


def campaign(emission) -> dict:
    level = {"engine": "pyscf", "functional": "PBE0", "basis": "def2-SVP", "excitations": {}}
    told = {
        "campaign": "emitters",
        "domain": "oled",
        "candidates": {"source": {"kind": "fragments", "lists": ["push_pull"]}},
        "objective": GOALS.model_dump(mode="json"),
        "levels": {"low": level, "high": level | {"functional": "CAM-B3LYP"}},
        "labels": {"level": "low"},
        "acquisition": {"function": "expected_hypervolume_improvement"},
        "ranking": {"confirm": {"level": "high"}, "photophysics": {"emission": emission}},
    }
    return Campaign.model_validate(told).model_dump(mode="json")


def page(folder: Path, emission=None) -> str:
    ranked(folder, emission=emission)
    selection = choose(folder, 0, "diverse")
    places = range(0, 30)
    figures = [figures_of(folder, places, selection) | {"round": r} for r in (0, 1)]
    for r, told in enumerate(figures):
        write_json(told, folder / f"figures{r}.json")
    for name, rows in (("candidates", TABLES[0].assign(identifier="CC=O")),
                       ("species", TABLES[1]), ("predictions", PREDICTIONS)):  # fmt: skip
        write_table(rows, name, folder / f"{name}.parquet")
    truth = values_of(STATES)
    parity = PREDICTIONS.drop(columns=["status", "in_domain"]).assign(
        split="test",
        label_value=np.concatenate([truth[o.name] for o in OBJECTIVES]),
    )
    write_table(parity, "parity", folder / "parity.parquet")
    files = ReportFiles(
        ranking=folder / "ranking.parquet",
        candidates=[folder / "candidates.parquet"],
        species=[folder / "species.parquet"],
        predictions=[folder / "predictions.parquet"],
        selections=[folder / "0-diverse.parquet"],
        metrics=[folder / "metrics.parquet"],
        figures=[folder / f"figures{r}.json" for r in (0, 1)],
        parity=[folder / "parity.parquet"],
    )
    build_report(campaign(emission), files, "goes on: <so>", TEMPLATE, folder / "page.html")
    return (folder / "page.html").read_text()


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    """The folder of the page without an emission."""
    folder = tmp_path_factory.mktemp("plain")
    page(folder)
    return folder


@pytest.fixture(scope="module")
def pages(plain, tmp_path_factory) -> tuple[str, str]:
    text = (plain / "page.html").read_text()
    return text, page(tmp_path_factory.mktemp("lit"), EMISSION)


def test_every_objective_and_goal_is_told(pages):
    for text in pages:
        for said in (
            "minimise singlet triplet gap",
            "singlet energy in 2.5 to 3 eV",
            "S1 − T1 / eV",
            "Hypervolume of the front against round",
            "on the Pareto front",
        ):
            assert said in text
        # Six pairs of four goals, and a parity plot for each of three objectives.
        assert text.count(" ranked candidates are drawn. Bars: ") == 6
        assert text.count('aria-label="Predicted against labelled"') == 3


def test_without_a_stated_shift_there_is_absorption_and_no_colour(pages):
    plain, lit = pages
    assert "no colour of emission is shown" in plain and "<dt>absorption</dt>" in plain
    assert 'class="swatch"' not in plain and 'aria-label="Chromaticity"' not in plain
    assert "<dt>absorption</dt>" not in lit and "<dt>emission</dt>" in lit
    assert lit.count('class="swatch"') > 40 and 'aria-label="Chromaticity"' in lit
    assert "made up &lt;here&gt;" in lit and "<here>" not in lit


@pytest.mark.parametrize(
    ("value", "text"), [(3.2e7, "3·10⁷"), (1.0, "1·10⁰"), (0.004, "< 1"), (float("nan"), "–")]
)
def test_rates_have_one_digit(value, text):
    assert power(value) == text


def test_the_headline_counts_the_first_front(plain):
    fronts = read_table(plain / "ranking.parquet", "ranking")["pareto_front"]
    assert (fronts == 2).any()
    told = f"{(fronts == 1).sum()} of {len(TABLES[0])} candidates are on the Pareto front"
    assert told in (plain / "page.html").read_text()


def test_both_rates_are_told_by_their_names(plain):
    """On the card of the first, and in its row of the ranking, whose last cells are flags."""
    first = read_table(plain / "ranking.parquet", "ranking").sort_values("rank").iloc[0]
    text = unescape((plain / "page.html").read_text())
    emission, back = (
        power(first[name]) for name in ("radiative_rate_per_s", "reverse_crossing_rate_per_s")
    )
    assert emission != back
    card = text.split('<article class="card">')[1].split("</article>")[0]
    assert f"<dt>k_r</dt><dd>{emission} s⁻¹</dd>" in card
    assert f"<dt>k_RISC</dt><dd>{back} s⁻¹</dd>" in card
    ranking = text.split('<section id="ranking"')[1].split("</table>")[0]
    headings = re.findall(r"<button[^>]*>(.*?)</button>", ranking)
    cells = re.findall(r"<td[^>]*>(.*?)</td>", ranking.split("<tbody><tr>")[1].split("</tr>")[0])
    row = dict(zip(headings, cells, strict=True))
    assert (row["k_r / s⁻¹"], row["k_RISC / s⁻¹"]) == (emission, back)


@pytest.mark.parametrize(("front", "kind"), [(1, "good"), (2, "warn")])
def test_only_the_first_front_is_praised(front, kind):
    row = pd.Series({"pareto_front": front, "flags": ["label_failed"]})
    assert _badges(row) == (
        f'<span class="badge {kind}">Pareto front {front}</span>'
        '<span class="badge warn">label failed</span>'
    )


def test_what_labels_dominate_and_what_is_expected_are_drawn_apart(plain):
    """The expected one lies higher, on the screen at the smaller y."""
    figures = json.loads((plain / "figures1.json").read_text())
    volumes = figures["hypervolume"], figures["expected_hypervolume"]
    assert volumes[0] < volumes[1]
    plot = (plain / "page.html").read_text().split('aria-label="Hypervolume of the front')[1]
    plot = plot.split("</svg>")[0]
    heights = []
    for name, volume in zip(("labelled", "expected, were all labelled"), volumes, strict=True):
        (mark,) = re.findall(rf'<[^<]*data-tip="round 1, {name}: {volume:.4g}"[^<]*>', plot)
        heights.append(float(re.search(r'(?:cy="|d="M[\d.]+ )([\d.]+)', mark).group(1)))
    assert heights[0] > heights[1] + 10
