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
    if good.empty:
        return heading + nothing("No measured system has a value at this level.")
    unit = str(good["unit"].iloc[0])
    used = good["used"].fillna(False).astype(bool)
    x = axis_over(f"computed, as it comes / {unit}", good["computed"].tolist())
    y = axis_over(f"measured / {unit}", good["measured"].tolist())
    plot = Plot(x, y, f"Level {name} against measurement", width=560, height=440)
    _fit_line(plot, good[used & good["fitted"].notna()])
    for mask, series, label in ((used, 1, "in the fit"), (~used, 4, "not in the fit")):
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
    drawing = figure(plot.svg(), _level_caption(good[used], unit))
    return heading + beside(drawing, _fit_table(calibration)) + _systems_table(good, unit)


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
    unit = {"v": " V", "ev": " eV"}.get(key.rpartition("_")[2], "")
    return number(value, 4) + unit


def _fit_line(plot: Plot, fitted: pd.DataFrame) -> None:
    if len(fitted) > 1 and fitted["computed"].nunique() > 1:
        slope, intercept = np.polyfit(fitted["computed"], fitted["fitted"], 1)
        ends = [plot.x.low, plot.x.high]
        text = f"fit: {slope:.3f} x {'+' if intercept >= 0 else '−'} {abs(intercept):.3f}"
        plot.line(ends, [slope * e + intercept for e in ends], name=text)


def _level_caption(used: pd.DataFrame, unit: str) -> str:
    text = f"Measured systems against the value computed, before any fit (n = {len(used)} used)."
    left_out = (used["left_out"] - used["measured"]).dropna().abs()
    if len(left_out):
        text += (
            f" Each system left out of its own fit: mean absolute error {left_out.mean():.3f} "
            f"{unit}, largest {left_out.max():.3f} {unit}."
        )
    return text


def _reference_tip(row: pd.Series, unit: str) -> str:
    return (
        f"{row['name']}\n{row['identifier']}\nmeasured {number(row['measured'])} {unit}\n"
        f"computed {number(row['computed'])}, fitted {number(row['fitted'])} {unit}\n"
        f"left out {number(row['left_out'])} {unit}"
    )


def _systems_table(good: pd.DataFrame, unit: str) -> str:
    columns = ["system", f"measured / {unit}", f"computed / {unit}", f"fitted / {unit}"]
    columns += [f"left out / {unit}", f"left out − measured / {unit}", "grade", "source"]
    rows = [
        [
            r["name"],
            *((number(r[c]), r[c]) for c in ("measured", "computed", "fitted", "left_out")),
            (signed(r["left_out"] - r["measured"]), abs(r["left_out"] - r["measured"])),
            r["grade"] or "–",
            r["source"],
        ]
        for _, r in good.iterrows()
    ]
    body = table(columns, rows, texts=("system", "grade", "source"))
    return f"<details><summary>All {len(rows)} systems and their sources</summary>{body}</details>"


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
        str(getattr(results.domain, "HOW_TO_READ", "")),
    ]
    return (
        "<h3>How to read this page</h3><ul>"
        + "".join(f"<li>{escape(n)}</li>" for n in notes if n)
        + "</ul>"
    )
