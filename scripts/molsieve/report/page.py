"""One HTML file that works offline: every section, style and script inside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from molsieve.report.answer import answer_section, confirmed_section, ranking_section
from molsieve.report.calibration import calibration_section
from molsieve.report.goal_confirmation import confirmed_by_goals
from molsieve.report.goals import answer_by_goals, front_by_goals, ranking_by_goals
from molsieve.report.learning import parity_section, rounds_section, stop_section
from molsieve.report.markup import words
from molsieve.report.molecules import draw_molecule
from molsieve.report.provenance import levels_section, provenance_section
from molsieve.report.results import ReportFiles, Results, read_results
from molsieve.report.space import (
    acquisition_section,
    failures_section,
    pareto_section,
    rejected_section,
)
from molsieve.tables import write_text

SECTIONS = {
    "answer": ("Answer", answer_section),
    "confirmed": ("Confirmation", confirmed_section),
    "stop": ("Stop", stop_section),
    "parity": ("Parity", parity_section),
    "rounds": ("Rounds", rounds_section),
    "calibration": ("Calibration", calibration_section),
    "acquisition": ("Acquisition", acquisition_section),
    "pareto": ("Pareto", pareto_section),
    "levels": ("Levels", levels_section),
    "ranking": ("Ranking", ranking_section),
    "rejected": ("Rejected", rejected_section),
    "failures": ("Failures", failures_section),
    "provenance": ("Provenance", provenance_section),
}
"""Anchor -> (name in the contents, function), in the order of the page."""

BY_GOALS = {
    "answer": ("Answer", answer_by_goals),
    "pareto": ("Pareto", front_by_goals),
    "confirmed": ("Confirmation", confirmed_by_goals),
    "ranking": ("Ranking", ranking_by_goals),
}
"""Sections that read otherwise where a campaign has several goals."""
FRONT_FIRST = ("answer", "pareto")
"""With several goals the front is the answer: it follows at once."""

HOVER_DRAWINGS = 300
"""Molecules drawn beside the pointer; the page stays under a few MB."""


def build_report(
    campaign: Mapping[str, Any], files: ReportFiles, verdict: str, template: Path, out: Path
) -> None:
    """Write the page of a campaign's round.

    Args:
        campaign: the resolved campaign, ``model_dump(mode="json")``.
        files: named paths of the tables; empty tables and absent lists are legal.
        verdict: why the loop stopped or goes on, in numbers.
        template: ``workflow/report/page.html``; ``page.css`` and ``page.js`` lie beside it.
        out: the HTML file.

    Raises:
        TableError: a table that does not keep its contract.
    """
    results = read_results(campaign, files, verdict)
    sections = SECTIONS
    if results.several:
        sections = {anchor: SECTIONS[anchor] for anchor in FRONT_FIRST} | SECTIONS | BY_GOALS
    body = "\n".join(function(results) for _, function in sections.values())
    contents = "".join(
        f'<li><a href="#{anchor}">{escape(name)}</a></li>' for anchor, (name, _) in sections.items()
    )
    page = Template(template.read_text()).substitute(
        title=escape(str(campaign["campaign"])),
        subtitle=escape(_subtitle(results)),
        style=template.with_name("page.css").read_text(),
        script=template.with_name("page.js").read_text(),
        contents=contents,
        body=body,
        drawings=_drawings(results),
    )
    write_text(page, out)


def _subtitle(results: Results) -> str:
    labelled = results.dataset["structure_id"].nunique() if len(results.dataset) else 0
    wanted = ", ".join(map(words, results.goals)) if results.several else results.objective
    return (
        f"{wanted}, {results.campaign['domain'].replace('_', ' ')} · round "
        f"{results.last_round} · {len(results.candidates):,} candidates, {labelled:,} labelled "
        "structures"
    )


def _drawings(results: Results) -> str:
    """Hidden drawings of the molecules that marks point at, the most looked-at first."""
    names = results.identifiers()
    parts = []
    for candidate in _most_looked_at(results):
        if candidate in names:
            drawing = draw_molecule(results.drawn(names[candidate]))
            parts.append(f'<template data-drawing="{escape(candidate)}">{drawing}</template>')
    return "".join(parts)


def _most_looked_at(results: Results) -> list[str]:
    held_out = results.parity[results.parity["split"].isin(("test", "calibration"))]
    ranking = results.ranking.sort_values("rank")
    sources: list[Iterable[Any]] = [
        ranking["candidate_id"].head(60),
        ranking.loc[ranking["pareto_front"] == 1, "candidate_id"],
        held_out.sort_values("round", ascending=False)["candidate_id"],
        results.selection.sort_values("round", ascending=False)["candidate_id"].dropna(),
    ]
    return list(dict.fromkeys(str(c) for source in sources for c in source))[:HOVER_DRAWINGS]
