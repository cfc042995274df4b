"""Whether the committee's uncertainty can be believed: reliability, coverage, measures, domain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from molsieve.report.markup import (
    beside,
    figure,
    interval_text,
    nothing,
    number,
    paragraph,
    plus_minus,
    section,
    table,
    words,
)
from molsieve.report.results import Results, subheading
from molsieve.report.svg import Axis, Plot

LEVELS = (10, 20, 30, 40, 50, 60, 68, 70, 80, 90, 95)
QUANTITIES = {"": "objective", "force_": "forces", "energy_": "energies", "stress_": "stresses"}
"""Beginning of a figure's name → whose it is."""
ENTRIES = {
    "": "candidates",
    "force_": "force components",
    "energy_": "energies per atom",
    "stress_": "stress components",
}
TITLE = "Calibration of the uncertainty"


def calibration_section(results: Results) -> str:
    """How often the truth lay inside the interval that promised to hold it, and why."""
    # With several objectives each has its own part, and energies and forces theirs.
    parts = [*results.each(), *([results] if results.several else [])]
    told = [(part, q) for part in parts if (q := _judged(part))]
    if not told:
        note = nothing("No test candidate with an uncertainty: calibration cannot be judged yet.")
        return section("calibration", TITLE, note)
    return section(
        "calibration",
        TITLE,
        paragraph(
            "Intervals are set on the random calibration part of the labels and judged on the "
            "random test part, neither of which trains the committee. Below the diagonal: "
            "overconfident; above: too wide. Predictions carry the conformal intervals, whose "
            "width was read off the errors of the calibration part; the normal ones, for "
            "comparison, take the standard deviation for that of a bell curve."
        ),
        *(_quantities(part, judged) for part, judged in told),
        _domain(results),
    )


def _judged(results: Results) -> list[str]:
    return [q for q in QUANTITIES if len(results.metric_rows("test", f"{q}coverage_68"))]


def _quantities(results: Results, judged: list[str]) -> str:
    """Reliability, coverage and measures of some quantities."""
    heading = subheading(results) if "" in judged else ""
    drawings = beside(*(_reliability(results, quantity) for quantity in judged))
    return heading + drawings + _coverage(results, judged) + _measures(results)


def _reliability(results: Results, quantity: str) -> str:
    """Promised against observed share, of one quantity in the last judged round."""
    name, kind = QUANTITIES[quantity], ENTRIES[quantity]
    x = Axis("promised share inside the interval", 0.0, 1.0)
    plot = Plot(
        x, Axis("observed share", 0.0, 1.0), f"Reliability diagram: {name}", width=350, height=340
    )
    plot.diagonal("ideal")
    kinds = ((f"{quantity}coverage", "conformal"), (f"{quantity}normal_coverage", "normal"))
    for series, (prefix, label) in enumerate(kinds, start=1):
        rows = {level: _last(results, "test", f"{prefix}_{level}") for level in LEVELS}
        told = {level: row for level, row in rows.items() if row is not None}
        shares = [row["value"] for row in told.values()]
        plot.line([level / 100 for level in told], shares, f"series-{series}")
        plot.points(
            [level / 100 for level in told],
            shares,
            series,
            label if told else "",
            tips=[
                f"{level} % promised: {100 * v:.1f} %"
                for level, v in zip(told, shares, strict=True)
            ],
            y_errors=[_bounds(row["interval"]) for row in told.values()] if series == 1 else (),
            size=4.0 if series == 1 else 3.0,
        )
    last = _last(results, "test", f"{quantity}coverage_68")
    assert last is not None
    how = "exact, of a binomial share" if quantity == "" else "by resampling groups"
    return figure(
        plot.svg(),
        f"{name.capitalize()}: {int(last['n']):,} {kind} of the test part in round "
        f"{int(last['round'])}. Bars are 95 % intervals ({how}) of the conformal intervals' "
        "coverage; neighbouring points share their data.",
    )


def _last(results: Results, split: str, name: str) -> pd.Series | None:
    rows = results.metric_rows(split, name)
    return rows.iloc[-1] if len(rows) else None


def _bounds(interval: Any) -> tuple[float, float]:
    if interval is None or len(interval) != 2:
        return float("nan"), float("nan")
    return float(interval[0]), float(interval[1])


def _coverage(results: Results, judged: list[str]) -> str:
    """Coverage of the intervals that predictions carry, by round."""
    rows = []
    for quantity in judged:
        for _, r in results.metric_rows("test", f"{quantity}coverage_68").iterrows():
            at = int(r["round"])
            other = results.metric_rows("test", f"{quantity}coverage_95")
            other = other[other["round"] == at]
            cells = [QUANTITIES[quantity], str(at), f"{int(r['n']):,}"]
            for told in (r.to_dict(), other.iloc[0].to_dict() if len(other) else {}):
                cells.append(number(told.get("value"), 3))
                cells.append(interval_text(told.get("interval"), 3))
            cells.append(number(_correlation(results, quantity, at), 2))
            rows.append(cells)
    columns = ["quantity", "round", "n", "in 68 %", "95 % interval", "in 95 %", "95 % interval "]
    columns.append("rank correlation of |error| and spread")
    return table(
        columns, rows, caption="Test part inside its intervals", texts=("quantity",)
    ) + _not_vouched(results, judged)


def _not_vouched(results: Results, judged: list[str]) -> str:
    """Which intervals of the last round rest on too few groups for conformal prediction."""
    missing = [
        f"{level} % of {QUANTITIES[quantity]}"
        for quantity in judged
        for level in (68, 95)
        if _calibration_of(results, quantity).get(f"q{level}_conformal") is False
    ]
    if not missing:
        return ""
    return paragraph(
        f"Too few calibration groups for a conformal guarantee (95 % needs 19): "
        f"{', '.join(missing)}; these intervals take the quantile of single entries, the largest "
        "error seen or the normal quantile instead."
    )


def _correlation(results: Results, quantity: str, round: int) -> float | None:
    name = f"{quantity}rank_correlation" if quantity else "objective_spread_correlation"
    rows = results.metric_rows("test", name)
    rows = rows[rows["round"] == round]
    return float(rows["value"].iloc[0]) if len(rows) else None


def _calibration_of(results: Results, quantity: str) -> Mapping[str, Any]:
    """A quantity's part of calibration.json; the objective's is the top."""
    if not quantity:
        return results.calibration
    part: Mapping[str, Any] = results.calibration.get(quantity.rstrip("_"), {})
    return part


def _measures(results: Results) -> str:
    """Which spreads were compared on the calibration part, and which was kept."""
    rows = []
    for quantity, name in QUANTITIES.items():
        told = _calibration_of(results, quantity)
        for figures in told.get("measures", []):
            kept = figures["measure"] == told["measure"]
            rows.append(
                [
                    name,
                    _sum(figures["measure"]),
                    "kept" if kept else "",
                    (number(figures["loss"]), figures["loss"]),
                    plus_minus(figures["behind"], figures["behind_error"]),
                    number(figures["interval_score"], 4),
                    number(figures["rank_correlation"], 2),
                ]
            )
    if not rows:
        return ""
    columns = [
        "quantity",
        "std² is a sum of",
        "choice",
        "loss",
        "above the lowest",
        "interval score",
    ]
    columns.append("rank correlation")
    body = table(columns, rows, texts=("quantity", "std² is a sum of", "choice"))
    rule = paragraph(
        "Measures of the uncertainty on the calibration part, each group judged by a fit to the "
        "others. Loss: mean negative log-likelihood of the errors; interval score: width of the 68 "
        "and 95 % intervals plus a penalty for misses; lower is better in both. Rank correlation: "
        "of error and spread, 1 at best. Kept is the first listed whose loss is within one "
        "standard error of the lowest; a floor alone, the same for every structure, is never kept, "
        "and with fewer than 20 groups the first is."
    )
    return f"<details><summary>Measures compared ({len(rows)})</summary>{rule}{body}</details>"


def _sum(measure: str) -> str:
    """A measure's inputs as a sum."""
    return measure.replace("feature_distance", "feature distance").replace("_", " + ")


def _domain(results: Results) -> str:
    """The flag for structures unlike the calibration data, and how often it is raised in vain."""
    domain = results.calibration.get("domain")
    if domain is None:
        return ""
    text = (
        f"A structure is out of domain when its {words(domain['measure'])} exceeds the limit set "
        f"on the {domain['structures']} calibration structures ({domain['groups']} groups), or its "
        "feature distance is more than twice the largest among them; that is how far the network's "
        "description of it lies from those of the training part, in units of their own scatter"
    )
    alarms = _last(results, "test", "false_alarm_share")
    if alarms is not None:
        text += (
            f". At most {100 * domain['rate']:.1f} % of false alarms are promised, "
            f"{100 * alarms['value']:.1f} % {_percent(alarms['interval'])} of {int(alarms['n'])} "
            "test structures were flagged"
        )
    predictions = results.predictions.drop_duplicates("candidate_id")
    outside = predictions[predictions["reason"].fillna("").str.contains("unlike the calibration")]
    text += f". {len(outside):,} of {len(predictions):,} candidates are out of domain by this."
    return paragraph(text)


def _percent(interval: Any) -> str:
    low, high = _bounds(interval)
    return f"[{100 * low:.1f}, {100 * high:.1f}]"
