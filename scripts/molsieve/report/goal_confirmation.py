"""What was confirmed where a campaign has several goals: every objective in one table."""

from __future__ import annotations

import pandas as pd

from molsieve.objective import Objective
from molsieve.report.answer import ERRORS
from molsieve.report.markup import (
    MISSING,
    is_missing,
    nothing,
    number,
    over,
    paragraph,
    plus_minus,
    section,
    signed,
    table,
    words,
)
from molsieve.report.results import Results

TITLE = "Confirmation"


def confirmed_by_goals(results: Results) -> str:
    """Predictions beside what the confirming level says, and the three errors told apart."""
    confirmed = results.ranking[results.ranking["confirmed_value"].notna()].sort_values("rank")
    if confirmed.empty:
        note = nothing("No candidate has been confirmed at the high level.")
        return section("confirmed", TITLE, note)
    level = results.campaign["ranking"]["confirm"]["level"]
    protocols = confirmed["confirmed_protocol"].dropna().unique()
    return section(
        "confirmed",
        TITLE,
        paragraph(
            f"Predicted and computed again at the level “{level}”"
            + (f" ({'; '.join(protocols)})" if len(protocols) else "")
            + ". Top candidates are picked because they look good, so their predictions flatter "
            "themselves (winner's curse); the random controls show the error without that choice."
        ),
        _values(confirmed, results),
        _errors(confirmed, results),
        paragraph("Errors: " + "; ".join(ERRORS.values()) + "."),
    )


def _values(confirmed: pd.DataFrame, results: Results) -> str:
    """A row a candidate: every objective, predicted and confirmed."""
    rows = [
        [
            (str(int(r["rank"])), int(r["rank"])),
            r["identifier"],
            words(r["why_confirmed"] or ""),
            *(cell for o in results.several for cell in _pair(r, o)),
        ]
        for _, r in confirmed.iterrows()
    ]
    columns = ["rank", "candidate", "why"]
    for o in results.several:
        heading = o.heading or words(o.name)
        columns += [over(heading, o.unit), f"{heading} confirmed"]
    return table(columns, rows, texts=("candidate", "why"))


def _pair(row: pd.Series, objective: Objective) -> list[tuple[str, float]]:
    mean, std, value = (
        row[f"{objective.name}_{column}"] for column in ("mean", "std", "confirmed_value")
    )
    digits = objective.decimals
    return [(plus_minus(mean, std, digits), mean), (number(value, digits), value)]


def _errors(confirmed: pd.DataFrame, results: Results) -> str:
    """A row an objective and reason to confirm: mean and mean absolute error of each kind."""
    rows = []
    for o in results.several:
        for why, part in confirmed.groupby(confirmed["why_confirmed"].fillna("unsaid"), sort=True):
            told = [_error(part[f"{o.name}_{error}"], o.decimals) for error in ERRORS]
            name = over(o.heading or words(o.name), o.unit)
            rows.append([name, words(str(why)), str(len(part)), *told])
    columns = ["error of", "confirmed as", "n", *map(words, ERRORS)]
    caption = "Mean error, in brackets the mean absolute error"
    return table(columns, rows, caption, texts=("error of", "confirmed as"))


def _error(values: pd.Series, digits: int) -> str:
    known = values.dropna().astype(float)
    mean = known.mean()
    if is_missing(mean):
        return MISSING
    return f"{signed(mean, digits)} ({number(known.abs().mean(), digits)})"
