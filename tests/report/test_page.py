"""The page: one file, offline, everything in it, nothing unescaped, empties told in words."""

from __future__ import annotations

import dataclasses
import html.parser
import json
import re
from pathlib import Path

import pandas as pd
import pytest

from molsieve.report import ReportFiles, build_report
from molsieve.report.page import SECTIONS
from molsieve.tables import empty_table, read_table, write_json, write_table
from tests.report.campaign_tables import campaign, smiles, write_campaign

TEMPLATE = Path(__file__).parents[2] / "workflow/report/page.html"
VERDICT = "converged: 0.33 candidates are expected <missed> & the error has levelled"


class Elements(html.parser.HTMLParser):
    """Every start tag with its attributes, and the elements left open."""

    VOID = ("meta", "link", "br", "input", "img")

    def __init__(self, text: str):
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()


def page_of(files: ReportFiles, out: Path, **changes) -> str:
    build_report(campaign(**changes).model_dump(mode="json"), files, VERDICT, TEMPLATE, out)
    return out.read_text()


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("report")
    return page_of(write_campaign(folder / "tiny"), folder / "report.html")


def test_asks_the_network_for_nothing(page):
    for tag, attributes in Elements(page).found:
        for name in ("src", "href", "srcset", "action", "data", "xlink:href"):
            value = attributes.get(name) or ""
            assert value[:1] == "#" or value.startswith("data:") or not value, (tag, name, value)
    assert not re.search(r"https?://|@import|url\((?!#)|fetch\(|XMLHttpRequest", page)


def test_is_well_formed_and_every_link_arrives(page):
    elements = Elements(page)
    assert elements.open == []
    ids = [a["id"] for _, a in elements.found if "id" in a]
    assert len(ids) == len(set(ids))
    links = [a["href"][1:] for tag, a in elements.found if tag == "a"]
    assert links == list(SECTIONS)
    assert set(links) <= set(ids)


def test_draws_the_top_candidates_as_molecules(page):
    cards = page[page.index('<div class="cards">') : page.index('<section id="confirmed">')]
    assert cards.count("<article") == campaign().stop.top_k
    assert cards.count('<svg class="molecule"') == campaign().stop.top_k
    drawings = re.findall(r'<svg class="molecule".*?</svg>', cards)
    assert all(d.count("<path") >= 8 for d in drawings)
    assert len(set(drawings)) == len(drawings)


def test_is_small(page):
    assert len(page.encode()) < 8_000_000


def test_tells_what_is_in_the_tables(page):
    assert "Too many heavy atoms" not in page
    assert "too many heavy atoms" in page
    assert "scf not converged" in page
    assert "embedding failed" in page
    assert "mean absolute error 0.020 V" in page
    assert "Bars are" in page
    assert "n = 24" in page  # held-out candidates of the parity plot
    assert "GFN2-xTB" in page
    assert "random test MAE / V" in page


def test_escapes_what_comes_from_outside(page):
    assert "0.33 candidates are expected &lt;missed&gt; &amp; the error" in page
    assert "alert: &lt;peroxide&gt;" in page
    assert "no conformer &lt;b&gt;after&lt;/b&gt; 50 tries" in page
    assert "<peroxide>" not in page and "<b>" not in page


def test_confirmed_values_and_controls_stand_in_their_own_table(page):
    part = page[page.index('<section id="confirmed">') : page.index('<section id="stop">')]
    assert part.count("control") >= 2
    assert "winner" in part
    assert part.count("<tr>") == 1 + 5 + 1 + 4  # 5 confirmed; 2 whys x 2 errors that have values


def test_every_mark_of_the_parity_plot_names_its_molecule(page):
    part = page[page.index('<section id="parity">') : page.index('<section id="rounds">')]
    marks = re.findall(r'class="mark series-\d" data-tip="([^"]*)" data-molecule="(\w+)"', part)
    assert len(marks) == 24
    known = {s.replace("&", "&amp;") for s in smiles()}
    assert {tip.splitlines()[0] for tip, _ in marks} <= known
    drawn = set(re.findall(r'data-drawing="(\w+)"', page))
    assert {molecule for _, molecule in marks} <= drawn


def test_a_campaign_with_nothing_yet_still_makes_a_page(tmp_path):
    ranking = tmp_path / "ranking.parquet"
    write_table(empty_table("ranking"), "ranking", ranking)
    page = page_of(ReportFiles(ranking=ranking), tmp_path / "report.html")
    assert Elements(page).open == []
    assert page.count('class="nothing"') >= 8
    assert "nan" not in re.sub(r"<(script|style)>.*?</\1>", "", page, flags=re.S).lower().split()


def test_empty_tables_of_every_kind_are_legal(tmp_path):
    files = {}
    for field, name in (
        ("candidates", "candidates"),
        ("species", "species"),
        ("predictions", "predictions"),
        ("selections", "selection"),
        ("metrics", "metrics"),
        ("parity", "parity"),
        ("receipts", "receipt"),
    ):
        path = tmp_path / f"{name}.parquet"
        write_table(empty_table(name), name, path)
        files[field] = [path]
    for name in ("ranking", "dataset", "references"):
        write_table(empty_table(name), name, tmp_path / f"{name}.parquet")
    page = page_of(
        ReportFiles(
            ranking=tmp_path / "ranking.parquet",
            dataset=tmp_path / "dataset.parquet",
            references={"xtb": tmp_path / "references.parquet"},
            **files,
        ),
        tmp_path / "report.html",
    )
    assert Elements(page).open == []


def test_without_held_out_couples_and_without_confirmation(tmp_path):
    files = write_campaign(tmp_path / "tiny", held_out=False)
    ranking = read_table(files.ranking, "ranking")
    ranking["confirmed_value"] = None
    ranking["why_confirmed"] = None
    write_table(ranking, "ranking", files.ranking)
    page = page_of(files, tmp_path / "report.html")
    assert "No candidate has been held out" in page
    assert "calibration cannot be judged yet" in page
    assert "No candidate has been confirmed" in page


def test_an_uncalibrated_spread_is_said_before_the_answer(page, tmp_path):
    files = write_campaign(tmp_path / "tiny")
    figures = json.loads(files.figures[-1].read_text())
    write_json({**figures, "calibrated": False}, files.figures[-1])
    uncalibrated = page_of(files, tmp_path / "report.html")
    assert uncalibrated.index('class="warning"') < uncalibrated.index('class="cards"')
    assert 'class="warning"' not in page
    assert "the spread of the members, not calibrated" in uncalibrated
    assert "± one calibrated standard deviation" in page and "not calibrated" not in page


def test_every_reason_has_a_mark_of_its_own_and_a_lane_in_its_round(tmp_path):
    files = write_campaign(tmp_path / "tiny", rounds=2)
    reasons = ["acquired", "random", "attack", "dynamics", "normal_modes", "random_displacement"]
    frame = read_table(files.selections[1], "selection")
    frame["reason"] = [reasons[i % 6] for i in range(len(frame))]
    write_table(frame, "selection", files.selections[1])
    page = page_of(files, tmp_path / "report.html")
    drawing = page[page.index("Labelled candidates by round and reason") :]
    drawing = drawing[: drawing.index("</svg>")]
    marks = set(re.findall(r'class="(mark series-\d(?: hollow)?)"', drawing))
    assert len(marks) == len({*reasons, "seed"})


def test_the_stability_of_the_dynamics_is_told(page, tmp_path):
    files = write_campaign(tmp_path / "tiny")
    row = {"round": 2, "split": "train", "name": "dynamics_stability", "unit": "1"}
    row |= {"n": 16, "value": 0.75, "interval": [0.476, 0.927]}
    metrics = read_table(files.metrics[-1], "metrics")
    write_table(pd.concat([metrics, pd.DataFrame([row])]), "metrics", files.metrics[-1])
    told = page_of(files, tmp_path / "report.html")
    assert "12 of 16 trajectories of 1 ps at 600 K ended sane (75 %, 95 % interval 48 to 93" in told
    assert "ended sane" not in page


def test_a_single_round_and_a_single_candidate(tmp_path):
    files = write_campaign(tmp_path / "tiny", rounds=1)
    ranking = read_table(files.ranking, "ranking").head(1)
    write_table(ranking, "ranking", files.ranking)
    parity = read_table(files.parity, "parity").iloc[[2]]
    write_table(parity, "parity", files.parity[0])
    assert Elements(page_of(files, tmp_path / "report.html")).open == []


def test_a_candidate_that_has_a_label_but_no_prediction(tmp_path):
    files = write_campaign(tmp_path / "tiny")
    ranking = read_table(files.ranking, "ranking")
    for column in ("mean", "std", "interval_95", "in_domain"):
        ranking[column] = None
    ranking["flags"] = [["prediction_failed"]] * len(ranking)
    ranking["label_value"] = 0.7
    write_table(ranking, "ranking", files.ranking)
    page = page_of(files, tmp_path / "report.html")
    assert "0.700 V labelled" in page
    assert "prediction failed" in page
    assert "nan" not in page.lower().split()


def test_the_same_tables_make_the_same_page(tmp_path):
    files = write_campaign(tmp_path / "tiny")
    first = page_of(files, tmp_path / "1.html")
    shuffled = read_table(files.candidates, "candidates").iloc[::-1]
    write_table(shuffled, "candidates", files.candidates[0])
    assert page_of(files, tmp_path / "2.html") == first


def test_another_table_is_refused(tmp_path):
    files = write_campaign(tmp_path / "tiny")
    wrong = dataclasses.replace(files, ranking=files.parity[0])
    with pytest.raises(ValueError, match="holds table 'parity'"):
        page_of(wrong, tmp_path / "report.html")
