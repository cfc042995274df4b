"""How the committee learned: parity, error and spread by round, why the loop ended."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from molsieve.acquisition.stopping import expected_missed
from molsieve.report.markup import (
    beside,
    figure,
    figure_name,
    interval_text,
    is_missing,
    nothing,
    number,
    over,
    paragraph,
    section,
    table,
    words,
)
from molsieve.report.results import Results, subheading
from molsieve.report.svg import Axis, Plot, axis_from_zero, axis_of_rounds, axis_over

HELD_OUT = ("test", "calibration")
SERIES = {"test": 1, "calibration": 2, "train": 3, "validation": 4}
NOT_TABULATED = ("round", "expected_missed", "objective", "unit", "best_candidate_id")
OF_OBJECTIVE = ("best_value", "mean_std", "random_test_mae", "random_test_rmse")
"""Figures in the objective's unit; the others are counts and shares."""
OF_EACH = ("mean_std", "random_test_mae")
"""Figures of each of several objectives in the table of rounds; calibration has the others."""
BY_GOALS = {"best_value": "best balance", "random_test_mae": "random test MAE of utilities"}
SIDE_BY_SIDE = 350
"""With several goals: what some figures are; the width of each objective's drawing."""
DRAWN = re.compile(r"coverage_(?!68|95)\d+$|normal_coverage|_loss_of_")
"""Figures that the section on calibration shows already."""


def stop_section(results: Results) -> str:
    """The verdict in its own words, expected misses drawn, the figures of every round."""
    stop = ", ".join(f"{words(k)} {v}" for k, v in results.campaign["stop"].items())
    verdict = results.verdict.strip()
    lines = "<br>".join(escape(line) for line in (verdict[:1].upper() + verdict[1:]).splitlines())
    return section(
        "stop",
        "Why the loop stopped",
        f'<p class="headline">{lines}</p>',
        beside(
            _hypervolume_plot(results) if results.goals else _expected_missed_plot(results),
            _figures_table(results),
        ),
        paragraph(f"Limits of the campaign file: {stop}."),
    )


def _figures_table(results: Results) -> str:
    """One row a figure, one column a round; figures that are lists are left to figures.json."""
    if not results.figures:
        return nothing("No round has ended.")
    keys = list(dict.fromkeys(k for f in results.figures for k in f if k not in NOT_TABULATED))
    names = {k: name for k in keys if (name := _figure_heading(k, results))}
    rows = [[names[k], *(_figure_text(f, k) for f in results.figures)] for k in names]
    rows = [row for row in rows if any(cell != "–" for cell in row[1:])]
    columns = ["figure", *(f"round {f.get('round', i)}" for i, f in enumerate(results.figures))]
    return table(columns, rows, texts=("figure",))


def _figure_heading(key: str, results: Results) -> str:
    """A figure's name with its unit; none where another section tells it."""
    for objective in results.several:
        if key.startswith(f"{objective.name}_"):
            own = key.removeprefix(f"{objective.name}_")
            told = f"{objective.heading or words(objective.name)}: {figure_name(own)}"
            return over(told, objective.unit) if own in OF_EACH else ""
    if results.several and key in BY_GOALS:
        return BY_GOALS[key]
    unit = results.figures[-1].get("unit", results.unit)
    return figure_name(key) + (f" / {unit}" if key in OF_OBJECTIVE else "")


def _figure_text(figures: Mapping[str, Any], key: str) -> str:
    """A figure with its interval where it has one."""
    value, interval = figures.get(key), figures.get(f"{key}_interval")
    if key == "expected_missed" or isinstance(value, list | dict):
        return "–"
    if value is None or isinstance(value, bool):
        return {None: "–", True: "yes", False: "no"}[value]
    text = number(value) if isinstance(value, float) else str(value)
    return f"{text} {interval_text(interval)}" if interval else text


def _expected_missed_plot(results: Results) -> str:
    k = int(results.campaign["stop"]["top_k"])
    told = [(int(f["round"]), expected_missed(f, k)) for f in results.figures]
    pairs = [(r, missed) for r, missed in told if missed is not None]
    if not pairs:
        return ""
    rounds, missed = [r for r, _ in pairs], [m for _, m in pairs]
    bound = float(results.campaign["stop"]["expected_missed"])
    x = axis_of_rounds(rounds)
    y = axis_from_zero("expected number missed", missed, [bound])
    plot = Plot(x, y, "Expected number of missed candidates against round", 500, 320)
    plot.line([x.low, x.high], [bound, bound], name=f"bound {bound:g}")
    plot.line(rounds, missed, "series-1")
    tips = [f"round {r}: {m:.3g}" for r, m in pairs]
    plot.points(rounds, missed, 1, "expected missed", tips=tips, size=5)
    return figure(
        plot.svg(),
        f"Expected number of unlabelled candidates that belong in the top {k}, after each round "
        f"(n = {len(pairs)} rounds; candidates out of domain counted in). Below "
        "the dashed bound the answer is deemed complete.",
    )


def _hypervolume_plot(results: Results) -> str:
    """What the labelled front dominates, and what labelling everything is expected to dominate."""
    told = [f for f in results.figures if "hypervolume" in f]
    if not told:
        return ""
    rounds = [int(f["round"]) for f in told]
    found, expected = ([float(f[k]) for f in told] for k in ("hypervolume", "expected_hypervolume"))
    x = axis_of_rounds(rounds)
    y = axis_from_zero("hypervolume", found, expected)
    plot = Plot(x, y, "Hypervolume of the front against round", 500, 320)
    for series, name, values in (
        (2, "expected, were all labelled", expected),
        (1, "labelled", found),
    ):
        tips = [f"round {r}, {name}: {v:.4g}" for r, v in zip(rounds, values, strict=True)]
        plot.line(rounds, values, f"series-{series}")
        plot.points(rounds, values, series, name, tips=tips, size=5)
    return figure(
        plot.svg(),
        "Hypervolume: the volume of utilities that the Pareto front of the labelled candidates "
        f"dominates, after each round (n = {len(told)} rounds). A utility is 0 at what the "
        "campaign calls worst and 1 at what it calls ideal.",
    )


def parity_section(results: Results) -> str:
    """Predicted against labelled, of held-out candidates of the last round that has any."""
    if not results.several:
        return section("parity", "Parity", _parity(results))
    drawn, rows = beside(*map(_parity, results.each())), []
    for objective, part in zip(results.several, results.each(), strict=True):
        name = over(objective.heading or words(objective.name), objective.unit)
        rows += [[name, *row] for row in _errors(_last_held_out(part.parity))]
    columns = ["error of", "split", "n", "MAE", "RMSE", "bias"]
    errors = table(columns, rows, texts=("error of", "split")) if rows else ""
    return section("parity", "Parity", drawn, errors)


def _parity(results: Results) -> str:
    """Drawing and errors of one objective."""
    last = _last_held_out(results.parity)
    if last.empty:
        return nothing("No candidate has been held out and labelled yet.")
    names = results.identifiers()
    unit = results.unit
    axis = over(f"{{}} {results.objective}", unit)
    spread = np.nan_to_num(last["std"].to_numpy(float))
    both = [last["label_value"], last["mean"] - spread, last["mean"] + spread]
    whole = axis_over("", *both)
    x = Axis(axis.format("labelled"), whole.low, whole.high)
    y = Axis(axis.format("predicted"), whole.low, whole.high)
    width, height = (SIDE_BY_SIDE, SIDE_BY_SIDE - 20) if results.several else (560, 520)
    plot = Plot(x, y, "Predicted against labelled", width, height)
    plot.diagonal("exact")
    for split in HELD_OUT:
        part = last[last["split"] == split]
        plot.points(
            part["label_value"].tolist(),
            part["mean"].tolist(),
            SERIES[split],
            f"{split}, n = {len(part)}",
            tips=[_parity_tip(r, names, unit) for _, r in part.iterrows()],
            molecules=part["candidate_id"].tolist(),
            y_errors=part["std"].tolist(),
        )
    drawing = figure(
        plot.svg(),
        f"Round {int(last['round'].max())}: committee against labels on candidates that never "
        f"trained it, n = {len(last)}. {_bars_of_parity(results)}",
    )
    if results.several:
        return subheading(results) + drawing
    columns = ["split", "n", *(over(error, unit) for error in ("MAE", "RMSE", "bias"))]
    return beside(drawing, table(columns, _errors(last), texts=("split",)))


def _bars_of_parity(results: Results) -> str:
    if not results.calibrated:
        return "Bars are ± the spread of the members, not calibrated."
    return (
        "Bars are ± one calibrated standard deviation; the calibration candidates set that scale, "
        "the test candidates judge it."
    )


def _last_held_out(parity: pd.DataFrame) -> pd.DataFrame:
    """Held-out rows with both values, of the last round that has any."""
    known = parity[parity["mean"].notna() & parity["label_value"].notna()]
    held = known[known["split"].isin(HELD_OUT)]
    return held[held["round"] == held["round"].max()]


def _parity_tip(row: pd.Series, names: dict[str, str], unit: str) -> str:
    return (
        f"{names.get(row['candidate_id'], row['candidate_id'])}\n"
        f"predicted {number(row['mean'])} ± {number(row['std'])} {unit}\n"
        f"labelled {number(row['label_value'])} {unit}"
    )


def _errors(frame: pd.DataFrame) -> list[list[str]]:
    rows = []
    for split in HELD_OUT:
        part = frame[frame["split"] == split]
        error = (part["mean"] - part["label_value"]).to_numpy(float)
        if len(error):
            mean_absolute, root = np.abs(error).mean(), math.sqrt((error**2).mean())
            values = [number(mean_absolute), number(root), number(error.mean())]
            rows.append([split, str(len(error)), *values])
    return rows


def rounds_section(results: Results) -> str:
    """Held-out error and calibrated spread against round, as the rounds themselves judged them."""
    parts = map(_rounds, results.each())
    drawn = beside(*parts) if results.several else "".join(parts)
    return section("rounds", "Error and spread by round", drawn, _metrics_table(results))


def _rounds(results: Results) -> str:
    """Error and spread of one objective."""
    split = next((s for s in HELD_OUT if len(results.metric_rows(s, "objective_mae"))), None)
    if split is None:
        return nothing("No held-out candidate yet, so no error can be told.")
    error = results.metric_rows(split, "objective_mae")
    spread = results.metric_rows(split, "objective_std")
    bars = [_interval(i) for i in error["interval"]]
    x = axis_of_rounds(error["round"].tolist())
    highs = [high for _, high in bars]
    heading = over("error and spread", results.unit) if results.several else results.unit
    y = axis_from_zero(heading, highs, error["value"].tolist(), spread["value"].tolist())
    width = SIDE_BY_SIDE if results.several else 640
    plot = Plot(x, y, "Error and spread against round", width, height=340)
    for frame, series, name in (
        (error, 1, f"mean absolute error ({split})"),
        (spread, 2, f"mean calibrated std ({split})"),
    ):
        rounds, values = frame["round"].astype(float).tolist(), frame["value"].tolist()
        tips = [
            f"round {int(r)}, {name}: {v:.3f} {results.unit}, n = {n}"
            for r, v, n in zip(rounds, values, frame["n"], strict=True)
        ]
        plot.line(rounds, values, f"series-{series}")
        plot.points(
            rounds, values, series, name, tips=tips, y_errors=bars if series == 1 else (), size=5
        )
    listed = ", ".join(str(n) for n in error["n"])
    return subheading(results) + figure(
        plot.svg(),
        f"Mean absolute error of the {split} candidates and the committee's mean calibrated "
        f"standard deviation on the same candidates (n by round: {listed}). Bars are 95 % "
        "bootstrap intervals of the mean absolute error over candidates.",
    )


def _interval(interval: Any) -> tuple[float, float]:
    """(low, high), NaN where there is none."""
    if interval is None or len(interval) != 2:
        return math.nan, math.nan
    return float(interval[0]), float(interval[1])


def _metrics_table(results: Results) -> str:
    if results.metrics.empty:
        return ""
    rows = [
        [
            (str(int(r["round"])), int(r["round"])),
            r["split"],
            words(r["name"] if is_missing(r["objective"]) else f"{r['objective']} {r['name']}"),
            (number(r["value"], 4), r["value"]),
            interval_text(r["interval"], 4),
            r["unit"],
            str(int(r["n"])),
        ]
        for _, r in results.metrics.iterrows()
        if not DRAWN.search(r["name"])
    ]
    columns = ["round", "split", "figure", "value", "95 % interval", "unit", "n"]
    body = table(columns, rows, texts=("split", "figure", "unit"))
    return f"<details><summary>All figures of all rounds ({len(rows)})</summary>{body}</details>"
