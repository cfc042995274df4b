"""What the card of an exported committee says of its property heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

TOLD = {
    "singlet_energy": "S1",
    "triplet_energy": "T1",
    "sqrt_oscillator_strength": "square root of f",
}
FIGURES = {
    "mae": "mean absolute error",
    "coverage_68": "share inside its 68 % interval",
    "coverage_95": "share inside its 95 % interval",
}
OBJECTIVES = {"singlet_triplet_gap": "S1 − T1", "oscillator_strength": "f"}
LOADING = """```python
from molsieve.predict.heads import load_heads
quantities, reasons = load_heads("path/to/this/folder").predict([atoms])
```"""


def heads_card(
    manifest: Mapping[str, Any], calibration: Mapping[str, Any], metrics: pd.DataFrame
) -> str:
    """Markdown: a section of its own.

    Args:
        manifest: of the folder, with property heads; calibration: the round's.
        metrics: of the round's evaluation.
    """
    network = manifest["property_architecture"]
    *teachers, level = manifest["property_levels"]
    said = (
        "S1, T1 and the oscillator strength f of S1 of molecules, vertical at the geometry that is "
        f"given (as trained: minima of GFN2-xTB), at level {_named(level)}"
        + "".join(f", on what {_named(one)} taught" for one in teachers)
        + f". Pooling: {network['pooling']}; descriptors of GFN2-xTB's orbitals: "
        + (f"{network['descriptors']} (elements up to Cl)." if network["descriptors"] else "none.")
    )
    use = "`molsieve predict` gives them beside the energies; in Python:\n\n" + LOADING
    return "\n\n".join(["## Excited states", said, use, _errors(metrics), _spreads(calibration)])


def _named(level: Mapping[str, Any]) -> str:
    name = level.get("name")
    return f"{name} ({level['level_id']})" if name else str(level["level_id"])


def _errors(metrics: pd.DataFrame) -> str:
    test = metrics[metrics["split"] == "test"]
    asked = {
        f"property_{name}_{figure}": f"{words}, {meaning}"
        for name, words in TOLD.items()
        for figure, meaning in FIGURES.items()
    }
    rows = [(test[test["name"] == name], words) for name, words in asked.items()]
    for objective, words in OBJECTIVES.items():
        own = test[test["objective"] == objective]
        for name in ("objective_mae", "coverage_68", "coverage_95"):
            meaning = FIGURES[name.removeprefix("objective_")]
            rows.append((own[own["name"] == name], f"{words}, {meaning}"))
    lines = [_line(found.iloc[0], words) for found, words in rows if len(found)]
    if not lines:
        return "Nothing was held out to test on: their errors are unknown."
    head = "| on test molecules | value | 95 % interval | n |\n|---|---|---|---|\n"
    note = "\n\nTest molecules were drawn at random from the campaign's candidates: on chemistry "
    note += "unlike theirs (another scaffold) errors are larger."
    return head + "\n".join(lines) + note


def _line(row: pd.Series, words: str) -> str:
    unit = "" if row["unit"] == "1" else f" {row['unit']}"
    interval = row["interval"]
    ends = "–" if interval is None else f"{interval[0]:.3g} … {interval[1]:.3g}"
    return f"| {words} | {row['value']:.3g}{unit} | {ends} | {row['n']} |"


def _spreads(calibration: Mapping[str, Any]) -> str:
    parts = (calibration.get("objectives") or {"": calibration}).values()
    count = min((part["n_calibration"] for part in parts), default=0)
    if all(part["calibrated"] for part in parts):
        return f"Their spreads were calibrated on {count} molecules that no member has seen."
    return f"**Their spreads are not calibrated**: {count} calibration molecules are too few."
