"""The answer where a campaign has several goals: cards, front, colours and the ranking."""

from __future__ import annotations

from html import escape
from itertools import combinations

import numpy as np
import pandas as pd

from molsieve.objective import Objective
from molsieve.report.light import colour_plot, light_facts, light_text, power, swatch
from molsieve.report.markup import (
    Html,
    beside,
    figure,
    is_missing,
    nothing,
    number,
    over,
    paragraph,
    plus_minus,
    section,
    table,
    warning,
    words,
)
from molsieve.report.molecules import draw_molecule
from molsieve.report.results import Results
from molsieve.report.svg import Axis, Plot, axis_over

CARDS, RANKING_ROWS, PLOTTED = 12, 100, 3000
UNCALIBRATED = (
    "The spread of an objective is not calibrated in this round (too few calibration candidates): "
    "the ± are raw and not to be relied on."
)


def answer_by_goals(results: Results) -> str:
    """Headline, and cards of the first candidates of the Pareto front."""
    ranking = results.ranking.sort_values("rank")
    if ranking.empty:
        return section("answer", "Answer", nothing("No candidate was ranked."))
    shown = ranking.head(min(CARDS, int(results.campaign["stop"]["top_k"])))
    level = results.campaign["ranking"]["confirm"]["level"]
    return section(
        "answer",
        "Answer",
        f'<p class="headline">{escape(_headline(ranking, results))}</p>',
        paragraph("Wanted: " + "; ".join(_goal_text(n, results) for n in results.goals) + "."),
        "" if results.calibrated else warning(UNCALIBRATED),
        f'<div class="cards">{"".join(_card(row, results) for _, row in shown.iterrows())}</div>',
        paragraph(
            "Candidates that are better than worst by every goal come first, in Pareto fronts: who "
            "is in front 1 can gain by no goal without losing by another. Inside a front the order "
            "is by the hypervolume that the front would lose without the candidate (of the first "
            "thousand), then by the "
            "balance, the utility of the goal that is met worst, mostly. Values are labels where "
            "there is one, else the committee's mean ± one calibrated standard deviation; "
            f"confirmed values are computed again at the level “{level}”."
        ),
        paragraph(light_text(results)),
        paragraph(results.how_to_read) if results.how_to_read else "",
    )


def _headline(ranking: pd.DataFrame, results: Results) -> str:
    accepted = int((results.candidates["status"] == "accepted").sum())
    front = ranking[ranking["pareto_front"] == 1]
    best = ranking.iloc[0]
    values = ", ".join(f"{o.heading or o.name} {_best_text(best, o)}" for o in results.several)
    return (
        f"{len(front):,} of {accepted:,} candidates are on the Pareto front (round "
        f"{int(best['round'])}). First: {best['identifier']}, {values}."
    )


def _best_text(row: pd.Series, objective: Objective) -> str:
    """The label, else prediction ± std, with its unit."""
    label, digits = row[f"{objective.name}_label_value"], objective.decimals
    unit = "" if objective.unit == "1" else f" {objective.unit}"
    if not is_missing(label):
        return f"{number(label, digits)}{unit} (labelled)"
    mean, std = (row[f"{objective.name}_{figure}"] for figure in ("mean", "std"))
    return f"{plus_minus(mean, std, digits)}{unit}"


def _goal_text(name: str, results: Results) -> str:
    goal = results.goals[name]
    unit = {o.name: o.unit for o in results.several}.get(name, "1")
    ends = "" if unit == "1" else f" {unit}"
    if goal["direction"] == "window":
        low, high = goal["window"]
        return f"{words(name)} in {low:g} to {high:g}{ends} (worth nothing {goal['worst']:g} off)"
    told = f"worst {goal['worst']:g}, ideal {goal['ideal']:g}{ends}".replace("-", "−")
    return f"{goal['direction']} {words(name)} ({told})"


def _card(row: pd.Series, results: Results) -> str:
    facts = []
    for o in results.several:
        confirmed = row[f"{o.name}_confirmed_value"]
        facts.append((o.heading or words(o.name), escape(_best_text(row, o))))
        if not is_missing(confirmed):
            unit = "" if o.unit == "1" else f" {escape(o.unit)}"
            facts.append(("confirmed", f"{number(confirmed, o.decimals)}{unit}"))
    facts += [(heading, number(row[name], digits)) for name, heading, digits in results.reported]
    facts += light_facts(row)
    listed = "".join(f"<dt>{escape(k)}</dt><dd>{v}</dd>" for k, v in facts)
    return (
        f'<article class="card"><div class="rank">{int(row["rank"])}</div>'
        f"{draw_molecule(results.drawn(row['identifier']))}<code>{escape(row['identifier'])}</code>"
        f'<dl>{listed}</dl><p class="badges">{_badges(row)}</p></article>'
    )


def _badges(row: pd.Series) -> str:
    """The front, good only if it is the first, and the flags."""
    front = row["pareto_front"]
    flags = [words(str(f)) for f in (row["flags"] if row["flags"] is not None else [])]
    kind = "good" if front == 1 else "warn"
    return f'<span class="badge {kind}">Pareto front {int(front)}</span>' + "".join(
        f'<span class="badge warn">{escape(flag)}</span>' for flag in flags
    )


def front_by_goals(results: Results) -> str:
    """Every pair of goals with the front marked, and where the colours lie."""
    ranking = results.ranking.sort_values("rank")
    if ranking.empty:
        return section("pareto", "Pareto front", nothing("No candidate was ranked."))
    best = pd.DataFrame({name: _best_column(ranking, name) for name in results.goals})
    pairs = combinations(results.goals, 2)
    plots = [_pair_plot(ranking, best, first, second, results) for first, second in pairs]
    text = (
        "Front 1, in orange, can be improved by no goal without losing by another; with more than "
        "two goals it looks scattered in every pair of them. What is worse than worst by any goal "
        "comes after all fronts of those that are not."
    )
    return section("pareto", "Pareto front", paragraph(text), beside(*plots, colour_plot(ranking)))


def _best_column(ranking: pd.DataFrame, name: str) -> pd.Series:
    """Label, else prediction, of an objective; or the column of what is known."""
    if name in ranking:
        return ranking[name].astype(float)
    label = ranking[f"{name}_label_value"].astype(float)
    return label.fillna(ranking[f"{name}_mean"].astype(float))


def _axis(name: str, values: pd.Series, results: Results) -> Axis:
    unit = {o.name: o.unit for o in results.several}.get(name, "1")
    return axis_over(over(words(name), unit), values.tolist())


def _pair_plot(
    ranking: pd.DataFrame, best: pd.DataFrame, first: str, second: str, results: Results
) -> str:
    x, y = (_axis(name, best[name], results) for name in (first, second))
    plot = Plot(x, y, f"{words(second)} against {words(first)}", width=520, height=400)
    _mark_windows(plot, results, first, second)
    on_front = (ranking["pareto_front"] == 1).to_numpy(bool)
    labelled = ranking["label_value"].notna().to_numpy(bool)
    kinds = (
        (~on_front & ~labelled, 6, "predicted", 2.2, False),
        (~on_front & labelled, 1, "labelled", 3.0, True),
        (on_front & ~labelled, 2, "front, predicted", 4.4, True),
        (on_front & labelled, 2, "front, labelled", 4.4, False),
    )
    drawn = 0
    for mask, series, name, size, hollow in kinds:
        every = np.flatnonzero(mask)
        some = every[:: max(1, -(-len(every) // PLOTTED))]
        drawn += len(some)
        rows = ranking.iloc[some]
        plot.points(
            best[first].to_numpy()[some].tolist(),
            best[second].to_numpy()[some].tolist(),
            series,
            f"{name}, n = {len(every):,}",
            tips=[_tip(row, results) for _, row in rows.iterrows()],
            molecules=rows["candidate_id"].tolist(),
            y_errors=_spreads(rows, second) if name == "front, predicted" else (),
            size=size,
            hollow=hollow,
        )
    bars = "calibrated" if results.calibrated else "raw"
    return figure(
        plot.svg(),
        f"Best estimates (label, else prediction); {drawn:,} of {len(ranking):,} ranked candidates "
        f"are drawn. Bars: ± one {bars} standard deviation of the front's predictions.",
    )


def _mark_windows(plot: Plot, results: Results, first: str, second: str) -> None:
    """Bands of the values that goals with a window want."""
    for name in (first, second):
        if (window := results.goals[name]["window"]) is None:
            continue
        low, high = window
        told = f"{words(name)} wanted"
        if name == first:
            plot.band(low, high, plot.y.low, plot.y.high, told)
        else:
            plot.band(plot.x.low, plot.x.high, low, high, told)


def _spreads(rows: pd.DataFrame, name: str) -> list[float]:
    """Standard deviations of a goal's predictions; none of what is known from structure."""
    return rows[f"{name}_std"].astype(float).tolist() if f"{name}_std" in rows else []


def _tip(row: pd.Series, results: Results) -> str:
    values = "\n".join(
        f"{o.heading or words(o.name)} {_best_text(row, o)}" for o in results.several
    )
    return (
        f"{row['identifier']}\nrank {int(row['rank'])}, front {int(row['pareto_front'])}\n{values}"
    )


def ranking_by_goals(results: Results) -> str:
    """The first hundred rows of the ranking with every objective, sortable."""
    ranking = results.ranking.sort_values("rank")
    colours = bool(ranking["cie_x"].notna().any())
    light = "emission_nm" if colours else "absorption_nm"
    rows = [
        [
            (str(int(r["rank"])), int(r["rank"])),
            r["identifier"],
            str(int(r["pareto_front"])),
            (number(r["utility"], 2), r["utility"]),
            *(cell for o in results.several for cell in _objective_cells(r, o)),
            *((number(r[name], digits), r[name]) for name, _, digits in results.reported),
            (Html(f"{number(r[light], 0)} {swatch(r)}"), r[light]),
            *((power(r[k]), r[k])
              for k in ("radiative_rate_per_s", "reverse_crossing_rate_per_s")),
            ", ".join(words(str(f)) for f in (r["flags"] if r["flags"] is not None else [])),
        ]
        for _, r in ranking.head(RANKING_ROWS).iterrows()
    ]  # fmt: skip
    columns = ["rank", "candidate", "front", "balance"]
    for o in results.several:
        heading = o.heading or words(o.name)
        columns += [over(heading, o.unit), f"{heading} labelled", f"{heading} confirmed"]
    columns += [heading for _, heading, _ in results.reported]
    columns += [f"{light.split('_')[0]} / nm", "k_r / s⁻¹", "k_RISC / s⁻¹", "flags"]
    shown = f"The first {len(rows):,} of {len(ranking):,} ranked candidates; ranking.parquet has "
    return section(
        "ranking",
        "Ranking",
        paragraph(shown + "all of them. A click on a heading sorts."),
        table(columns, rows, texts=("candidate", "flags")),
    )


def _objective_cells(row: pd.Series, objective: Objective) -> list[tuple[str, float]]:
    """Predicted ± std, labelled and confirmed."""
    mean, std, label, confirmed = (
        row[f"{objective.name}_{figure}"]
        for figure in ("mean", "std", "label_value", "confirmed_value")
    )
    digits = objective.decimals
    return [
        (plus_minus(mean, std, digits), mean),
        (number(label, digits), label),
        (number(confirmed, digits), confirmed),
    ]
