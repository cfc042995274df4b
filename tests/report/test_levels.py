"""What the page says of levels of theory against measurement, fitted and not, and of zeolites."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from molsieve.domains.zeolite.objective import REPORTED
from molsieve.loading import load_campaign
from molsieve.report import ReportFiles, build_report
from molsieve.tables import read_table, write_json, write_table
from tests.report.campaign_tables import write_campaign
from tests.report.test_page import TEMPLATE, Elements, page_of

ROOT = Path(__file__).parents[2]


def levels_of(page: str) -> str:
    return page[page.index('<section id="levels">') : page.index('<section id="ranking">')]


def write_zeolites(folder: Path, *computed: float | None, **calibration: object) -> ReportFiles:
    """Two ranked pairs, and frameworks measured at 0.10, 0.11 … eV/SiO2."""
    row = {"round": 1, "objective": "binding_energy", "unit": "eV", "flags": [], "pareto_front": 1}
    pairs = [
        {"candidate_id": "a", "identifier": "ABW|pure|CN|1", "mean": -0.5, "rank": 1},
        {"candidate_id": "b", "identifier": "ACO|pure|CN|1", "mean": -0.4, "rank": 2},
    ]
    scores = {name: -0.0123 for name, *_ in REPORTED}
    write_table([row | pair | scores for pair in pairs], "ranking", folder / "ranking.parquet")
    known = {"level_id": "l", "unit": "eV/SiO2", "source": "s"}
    references = [
        known
        | {"name": f"F{i}", "identifier": f"F{i}", "measured": 0.1 + 0.01 * i}
        | {"computed": value, "fitted": value, "used": value is not None}
        for i, value in enumerate(computed)
    ]
    write_table(references, "references", folder / "references.parquet")
    write_json({"n": len(computed)} | calibration, folder / "calibration.json")
    return ReportFiles(
        ranking=folder / "ranking.parquet",
        references={"pbe": folder / "references.parquet"},
        reference_calibrations={"pbe": folder / "calibration.json"},
    )


def zeolite_page(files: ReportFiles, out: Path) -> str:
    path = ROOT / "tests/workflow/zeolite.yaml"
    campaign = load_campaign(path).model_dump(mode="json")
    build_report(campaign, files, "", TEMPLATE, out)
    return out.read_text()


def test_a_fitted_level_shows_its_fit(tmp_path: Path) -> None:
    levels = levels_of(page_of(write_campaign(tmp_path / "tiny"), tmp_path / "report.html"))
    assert "before any fit (n = 12 used)" in levels and "fit: " in levels
    assert "fitted / V" in levels and "left out − measured / V" in levels
    assert "without a value" not in levels


def test_systems_without_a_value_are_listed_with_the_reason(tmp_path: Path) -> None:
    files = write_campaign(tmp_path / "tiny")
    failed = {"<Q>1": "reduced: scf_not_converged", "Q2": "no geometry"}
    write_json({"slope": 0.9, "failed": failed}, files.reference_calibrations["xtb"])
    page = page_of(files, tmp_path / "report.html")
    assert "Measured systems without a value at this level: 2." in levels_of(page)
    assert "&lt;Q&gt;1" in page and "reduced: scf_not_converged" in page
    assert Elements(page).open == []
    frame = read_table(files.references["xtb"], "references").assign(computed=None)
    write_table(frame, "references", files.references["xtb"])
    none = levels_of(page_of(files, tmp_path / "report.html"))
    assert "No measured system has a value" in none and "no geometry" in none


def test_a_level_that_is_not_fitted_claims_no_fit(tmp_path: Path) -> None:
    mae = {"enthalpy_mae_ev_per_t": 0.02, "quartz_energy_ev_per_t": -30.5}
    files = write_zeolites(tmp_path, 0.12, 0.09, None, **mae, failed={"F2": "not built: timeout"})
    page = zeolite_page(files, tmp_path / "report.html")
    levels = levels_of(page)
    assert "nothing fitted (n = 2): mean absolute error 0.020 eV/SiO2" in levels
    assert "fit:" not in levels and "left out" not in levels and "measured = computed" in levels
    assert "not built: timeout" in levels
    assert "0.0200 eV per T site" in levels and "−30.5000 eV per T site" in levels
    assert re.search(r"computed − measured / eV/SiO2", levels)
    assert Elements(page).open == []


def test_every_number_of_a_zeolite_has_a_unit(tmp_path: Path) -> None:
    page = zeolite_page(write_zeolites(tmp_path), tmp_path / "report.html")
    ranking = page[page.index('<section id="ranking">') : page.index('<section id="rejected">')]
    headings = re.findall(r'<button type="button">([^<]*)</button>', ranking)
    plain = {"rank", "candidate", "Pareto front", "flags", "SA score", "T sites a guest"}
    assert len(headings) == 6 + len(REPORTED) + 2
    assert all("/ eV" in heading for heading in headings if heading not in plain), headings
    cards = page[page.index('<div class="cards">') : page.index('<section id="confirmed">')]
    assert cards.count("templating / eV") == 2 and "−0.0123" in cards
    assert "eV a guest, negative where the guest is bound" in cards
    frame = pd.read_parquet(tmp_path / "ranking.parquet")
    assert frame["templating_ev"].notna().all()
