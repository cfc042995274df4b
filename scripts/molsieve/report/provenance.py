"""Where the numbers come from: levels against measurements, versions, settings, seeds."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from molsieve.levels import Level, level_id, resolved_level
from molsieve.report.markup import (
    beside,
    figure,
    figure_name,
    nothing,
    number,
    paragraph,
    section,
    signed,
    table,
    warning,
    words,
)
from molsieve.report.results import Results
from molsieve.report.svg import Plot, axis_over

SOFTWARE = ["molsieve", "rdkit", "ase", "tblite", "pyscf", "torch", "schnetpack", "snakemake"]
SOFTWARE += ["numpy", "scipy", "pandas", "pyarrow"]


def levels_section(results: Results) -> str:
    """How each level of theory reproduces measured systems, fitted and left out one by one."""
    parts = [
        _level_part(name, frame, results.reference_calibrations.get(name, {}))
        for name, frame in results.references.items()
    ]
    if not parts:
        parts = [nothing("No level has been calibrated against measurements.")]
    return section("levels", "Levels of theory against measurement", *parts)


def _level_part(name: str, frame: pd.DataFrame, calibration: Mapping[str, Any]) -> str:
    heading = f"<h3>{escape(name)}</h3>"
    good = frame[frame["measured"].notna() & frame["computed"].notna()]
    told = _fit_table(calibration), _failed_systems(calibration.get("failed", {}))
    if good.empty:
        return heading + nothing("No measured system has a value at this level.") + "".join(told)
    unit = str(good["unit"].iloc[0])
    drawing = figure(_level_plot(name, good, unit), _level_caption(good, unit))
    return heading + beside(drawing, told[0]) + told[1] + _systems_table(good, unit)


def _is_fitted(good: pd.DataFrame) -> bool:
    """Whether a level's values are scaled to the measured ones, not only set beside them."""
    return bool(good["fitted"].ne(good["computed"]).any())


def _level_plot(name: str, good: pd.DataFrame, unit: str) -> str:
    """Measured against computed values, with the line of the fit or of equal values."""
    used = good["used"].fillna(False).astype(bool)
    labels = ("in the fit", "not in the fit") if _is_fitted(good) else ("computed", "not used")
    x = axis_over(f"computed, as it comes / {unit}", good["computed"].tolist())
    y = axis_over(f"measured / {unit}", good["measured"].tolist())
    plot = Plot(x, y, f"Level {name} against measurement", width=560, height=440)
    _fit_line(plot, good[used & good["fitted"].notna()])
    for mask, series, label in ((used, 1, labels[0]), (~used, 4, labels[1])):
        part = good[mask]
        tips = [_reference_tip(r, unit) for _, r in part.iterrows()]
        if len(part):
            plot.points(
                part["computed"].tolist(),
                part["measured"].tolist(),
                series,
                f"{label}, n = {len(part)}",
                tips=tips,
            )
    return plot.svg()


def _failed_systems(failed: Mapping[str, str]) -> str:
    """Measured systems without a value, and why."""
    if not failed:
        return ""
    rows = [[name, str(reason)] for name, reason in sorted(failed.items())]
    listed = table(["system", "reason"], rows, texts=("system", "reason"))
    return warning(f"Measured systems without a value at this level: {len(rows)}.") + listed


def _fit_table(calibration: Mapping[str, Any]) -> str:
    """The numbers of a level's fit; lists and texts are left to calibration.json."""
    rows = [
        [figure_name(k), _fit_value(k, v)]
        for k, v in calibration.items()
        if isinstance(v, int | float) and not isinstance(v, bool)
    ]
    return table(["fit", "value"], rows, texts=("fit",)) if rows else ""


def _fit_value(key: str, value: float) -> str:
    """A number of the fit with the unit that its key names."""
    if isinstance(value, int):
        return f"{value:,}"
    units = {"_v": " V", "_ev": " eV", "_ev_per_t": " eV per T site"}
    ending = next((e for e in units if key.endswith(e)), "")
    return number(value, 4) + units.get(ending, "")


def _fit_line(plot: Plot, fitted: pd.DataFrame) -> None:
    if len(fitted) > 1 and fitted["computed"].nunique() > 1:
        slope, intercept = np.polyfit(fitted["computed"], fitted["fitted"], 1)
        ends = [plot.x.low, plot.x.high]
        sign = "+" if intercept >= 0 else "−"
        fit = f"fit: {slope:.3f} x {sign} {abs(intercept):.3f}"
        text = fit if _is_fitted(fitted) else "measured = computed"
        plot.line(ends, [slope * e + intercept for e in ends], name=text)


def _level_caption(good: pd.DataFrame, unit: str) -> str:
    used = good[good["used"].fillna(False).astype(bool)]
    if not _is_fitted(good):
        error = (used["computed"] - used["measured"]).abs().mean()
        return (
            f"Measured systems against the value computed, nothing fitted (n = {len(used)}): mean "
            f"absolute error {number(error)} {unit}."
        )
    text = f"Measured systems against the value computed, before any fit (n = {len(used)} used)."
    left_out = (used["left_out"] - used["measured"]).dropna().abs()
    if len(left_out):
        text += (
            f" Each system left out of its own fit: mean absolute error {left_out.mean():.3f} "
            f"{unit}, largest {left_out.max():.3f} {unit}."
        )
    return text


def _reference_tip(row: pd.Series, unit: str) -> str:
    lines = [str(row["name"])]
    lines += [str(row["identifier"])] if row["identifier"] != row["name"] else []
    lines.append(f"measured {number(row['measured'])} {unit}")
    lines.append(f"computed {number(row['computed'])} {unit}")
    if row["fitted"] != row["computed"]:
        lines.append(f"fitted {number(row['fitted'])} {unit}")
        lines.append(f"left out {number(row['left_out'])} {unit}")
    return "\n".join(lines)


def _systems_table(good: pd.DataFrame, unit: str) -> str:
    """Every measured system: of a fitted level the fitted values, else the error as it comes."""
    judged = "left_out" if _is_fitted(good) else "computed"
    shown = ["measured", "computed"] + ["fitted", "left_out"] * _is_fitted(good)
    columns = ["system", *(f"{words(c)} / {unit}" for c in shown)]
    columns += [f"{words(judged)} − measured / {unit}", "grade", "source"]
    rows = [
        [
            r["name"],
            *((number(r[c]), r[c]) for c in shown),
            (signed(r[judged] - r["measured"]), abs(r[judged] - r["measured"])),
            r["grade"] or "–",
            r["source"],
        ]
        for _, r in good.iterrows()
    ]
    body = table(columns, rows, texts=("system", "grade", "source"))
    return f"<details><summary>Systems and their sources, {len(rows)}</summary>{body}</details>"


def provenance_section(results: Results) -> str:
    """Versions, levels with every setting that changes a number, the whole campaign file."""
    campaign = results.campaign
    levels = [
        [name, identity, ", ".join(f"{k} {_short(v)}" for k, v in settings.items())]
        for name, identity, settings in _levels(campaign)
    ]
    versions = [[name, _version(name)] for name in SOFTWARE]
    settings = json.dumps(campaign, indent=1, sort_keys=False, ensure_ascii=False)
    return section(
        "provenance",
        "Provenance",
        paragraph(
            f"Campaign “{campaign['campaign']}”, domain {campaign['domain']}, seed "
            f"{campaign['seed']}; the page shows round {results.last_round}. Python "
            f"{platform.python_version()}. Every number on it is in the Parquet tables beside it."
        ),
        table(["level", "level_id", "settings"], levels, texts=("level", "level_id", "settings")),
        table(["software", "version"], versions, texts=("software", "version")),
        f"<details><summary>The campaign file, every default filled in</summary>"
        f"<pre>{escape(settings)}</pre></details>",
        _how_to_read(results),
    )


def _levels(campaign: Mapping[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    adapter: TypeAdapter[Any] = TypeAdapter(Level)
    levels = {name: adapter.validate_python(value) for name, value in campaign["levels"].items()}
    return [(name, level_id(level), resolved_level(level)) for name, level in levels.items()]


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _how_to_read(results: Results) -> str:
    notes = [
        "A prediction is the mean over the committee's members; its standard deviation is scaled "
        "on calibration candidates that no member was trained on.",
        "“Out of domain” marks a candidate unlike anything that was labelled: its uncertainty "
        "is not to be trusted.",
        ""
        if results.several
        else f"“Extrapolated” marks a {results.objective} beyond all measured systems that its "
        "level was fitted to.",
        "Test candidates were drawn at random, never picked by the acquisition; only they judge "
        "the error and the coverage.",
    ]
    return (
        "<h3>How to read this page</h3><ul>"
        + "".join(f"<li>{escape(n)}</li>" for n in notes)
        + "</ul>"
    )
