"""The answer: the top candidates drawn, what was confirmed, and the whole ranking."""

from __future__ import annotations

from html import escape

import pandas as pd

from molsieve.report.markup import (
    MISSING,
    interval_text,
    is_missing,
    nothing,
    number,
    over,
    paragraph,
    plus_minus,
    section,
    signed,
    table,
    warning,
    words,
)
from molsieve.report.molecules import draw_molecule
from molsieve.report.results import Results, subheading

CARDS = 12
UNCALIBRATED = (
    "The spread of this round's committee is not calibrated (too few calibration candidates): the "
    "± and the intervals are raw and not to be relied on."
)
RANKING_ROWS = 100
ERRORS = {
    "model_error": "model: prediction − label level, both at the committee's minimum",
    "geometry_error": "geometry: label level at the committee's minimum − at the built minimum",
    "level_error": "level: label level − confirming level, both from the committee's minimum",
}


def answer_section(results: Results) -> str:
    """Headline, cards of the top candidates, and the ranking as a sortable table."""
    ranking = results.ranking.sort_values("rank")
    if ranking.empty:
        return section("answer", "Answer", nothing("No candidate was ranked."))
    top = min(CARDS, int(results.campaign["stop"]["top_k"]))
    shown = ranking[ranking["rank"].notna()].head(top)
    level = results.campaign["ranking"]["confirm"]["level"]
    cards = "".join(_card(row, results) for _, row in shown.iterrows())
    return section(
        "answer",
        "Answer",
        f'<p class="headline">{escape(_headline(ranking, results))}</p>',
        "" if results.calibrated else warning(UNCALIBRATED),
        f'<div class="cards">{cards}</div>',
        paragraph(
            "Predictions are the committee's mean ± one standard deviation, scaled on calibration "
            "candidates; the 95 % interval is conformal where they are 19 or more, else from the "
            "largest of their errors. Candidates are ordered by the labelled value where there is "
            f"one, else by the prediction. Confirmed values are computed again at the level "
            f"“{level}” and are not predictions."
        ),
        paragraph(results.how_to_read) if results.how_to_read else "",
    )


def _headline(ranking: pd.DataFrame, results: Results) -> str:
    best = ranking.iloc[0]
    unit = results.unit
    accepted = int((results.candidates["status"] == "accepted").sum())
    known = [(plus_minus(best["mean"], best["std"]), "predicted", best["mean"])]
    known.append((number(best["label_value"]), "labelled", best["label_value"]))
    known.append((number(best["confirmed_value"]), "confirmed", best["confirmed_value"]))
    values = ", ".join(f"{text} {unit} {how}" for text, how, v in known if not is_missing(v))
    return (
        f"Best of {accepted:,} candidates: {best['identifier']}, {results.objective} {values} "
        f"(round {int(best['round'])})."
    )


def _card(row: pd.Series, results: Results) -> str:
    unit = escape(results.unit)
    facts = [
        ("predicted", f"{plus_minus(row['mean'], row['std'])} {unit}"),
        ("95 %", f"{interval_text(row['interval_95'])} {unit}"),
    ]
    if not is_missing(row["label_value"]):
        facts.append(("labelled", f"{number(row['label_value'])} {unit}"))
    if is_missing(row["confirmed_value"]):
        facts.append(("confirmed", MISSING))
    else:
        difference = row["mean"] - row["confirmed_value"]
        facts.append(("confirmed", f"{number(row['confirmed_value'])} {unit}"))
        facts.append(("pred. − conf.", f"{signed(difference)} {unit}"))
    facts += [(heading, number(row[name], digits)) for name, heading, digits in results.reported]
    listed = "".join(f"<dt>{escape(k)}</dt><dd>{v}</dd>" for k, v in facts)
    return (
        f'<article class="card"><div class="rank">{int(row["rank"])}</div>'
        f"{draw_molecule(results.drawn(row['identifier']))}<code>{escape(row['identifier'])}</code>"
        f"<dl>{listed}</dl>{_badges(row)}</article>"
    )


def _badges(row: pd.Series) -> str:
    flags = [] if row["flags"] is None else [words(str(f)) for f in row["flags"]]
    if row["in_domain"] is False and "out of domain" not in flags:
        flags.append("out of domain")
    good = ["Pareto front"] if row["pareto_front"] == 1 else []
    return '<p class="badges">' + (
        "".join(f'<span class="badge good">{escape(t)}</span>' for t in good)
        + "".join(f'<span class="badge warn">{escape(t)}</span>' for t in flags)
        + "</p>"
    )


def confirmed_section(results: Results) -> str:
    """What was labelled again at the high level: each value, and the three errors told apart."""
    confirmed = results.ranking[results.ranking["confirmed_value"].notna()].sort_values("rank")
    if confirmed.empty:
        note = nothing("No candidate has been confirmed at the high level.")
        return section("confirmed", "Confirmation", note)
    # The balance of several objectives comes first, then each of them.
    parts = [results, *(results.each() if results.several else [])]
    protocols = confirmed["confirmed_protocol"].dropna().unique()
    return section(
        "confirmed",
        "Confirmation",
        paragraph(
            "Top candidates are picked because they look good, so their predictions flatter "
            "themselves (winner's curse); the random controls show the error without that choice."
        ),
        *map(_confirmed, parts),
        paragraph("Errors: " + "; ".join(ERRORS.values()) + "."),
        paragraph("Confirmed by: " + "; ".join(protocols) + ".") if len(protocols) else "",
    )


def _confirmed(results: Results) -> str:
    """Values and errors of one objective."""
    confirmed = results.ranking[results.ranking["confirmed_value"].notna()].sort_values("rank")
    unit = results.unit
    rows = [
        [
            (str(int(r["rank"])), int(r["rank"])),
            r["identifier"],
            words(r["why_confirmed"] or ""),
            (plus_minus(r["mean"], r["std"]), r["mean"]),
            (number(r["confirmed_value"]), r["confirmed_value"]),
            *((signed(r[e]), None if is_missing(r[e]) else abs(r[e])) for e in ERRORS),
        ]
        for _, r in confirmed.iterrows()
    ]
    columns = ["rank", "candidate", "why", over("predicted", unit), over("confirmed", unit)]
    columns += [over(words(e), unit) for e in ERRORS]
    shown = table(columns, rows, texts=("candidate", "why"))
    return subheading(results) + shown + _error_summary(confirmed, unit)


def _error_summary(confirmed: pd.DataFrame, unit: str) -> str:
    """Mean signed and mean absolute error by why the candidate was confirmed."""
    rows = []
    for why, part in confirmed.groupby(confirmed["why_confirmed"].fillna("unsaid"), sort=True):
        for name in ERRORS:
            values = part[name].dropna()
            if len(values):
                mean, absolute = values.mean(), values.abs().mean()
                rows.append(
                    [words(str(why)), words(name), str(len(values)), signed(mean), number(absolute)]
                )
    if not rows:
        return ""
    columns = ["confirmed as", "error", "n", over("mean", unit), over("mean absolute", unit)]
    return table(columns, rows, texts=("confirmed as", "error"))


def ranking_section(results: Results) -> str:
    """The first hundred rows of the ranking, sortable."""
    ranking = results.ranking.sort_values("rank")
    unit = results.unit
    rows = [
        [
            (str(int(r["rank"])), int(r["rank"])),
            r["identifier"],
            (plus_minus(r["mean"], r["std"]), r["mean"]),
            interval_text(r["interval_95"]),
            (number(r["label_value"]), r["label_value"]),
            (number(r["confirmed_value"]), r["confirmed_value"]),
            *((number(r[name], digits), r[name]) for name, _, digits in results.reported),
            MISSING if is_missing(r["pareto_front"]) else str(int(r["pareto_front"])),
            ", ".join(words(str(f)) for f in (r["flags"] if r["flags"] is not None else [])),
        ]
        for _, r in ranking.head(RANKING_ROWS).iterrows()
    ]
    columns = ["rank", "candidate", f"predicted / {unit}", f"95 % interval / {unit}"]
    columns += [f"labelled / {unit}", f"confirmed / {unit}"]
    columns += [heading for _, heading, _ in results.reported]
    columns += ["Pareto front", "flags"]
    shown = f"The first {len(rows):,} of {len(ranking):,} ranked candidates; ranking.parquet has "
    return section(
        "ranking",
        "Ranking",
        paragraph(shown + "all of them. A click on a heading sorts."),
        table(columns, rows, texts=("candidate", "flags")),
    )
