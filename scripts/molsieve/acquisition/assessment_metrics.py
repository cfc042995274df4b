"""A round's figures as rows of the ``metrics`` table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from molsieve.acquisition.front_assessment import FRONT_FIGURES

TABULATED_K = (1, 5, 10, 20, 50, 100)
"""Which of the expected-missed figures go into the metrics table; the JSON holds all."""


def round_metrics(figures: Mapping[str, Any], evaluation: pd.DataFrame | None) -> pd.DataFrame:
    """The figures as ``metrics`` rows, below those of the committee's evaluation."""
    number, labelled = figures["round"], figures["n_labelled_candidates"]
    if "objectives" in figures:
        rows = [row for name, unit in figures["objectives"].items()
                for row in _test_metrics(figures, unit, f"{name}_", name)]  # fmt: skip
        rows += [
            (
                "test",
                "random_test_mae",
                "1",
                figures["random_test_n"],
                figures["random_test_mae"],
                figures["random_test_mae_interval"],
                None,
            )
        ]
        rows += [("labelled", name, "1", labelled, figures[name], None, None)
                 for name in FRONT_FIGURES]  # fmt: skip
    else:
        rows = _test_metrics(figures, figures["unit"])
        rows += [
            ("unlabelled", f"expected_missed_top_{k}", "1", figures["n_unlabelled"],
             figures["expected_missed"][k - 1], None, None)
            for k in TABULATED_K
        ]  # fmt: skip
    rows += [
        ("all", name, "1", figures["n_candidates"], float(value), None, None)
        for name, value in figures.items()
        if isinstance(value, int) and (name.startswith(("n_", "labels_")))
    ]
    rows.append(("labelled", "best_value", figures["unit"], labelled,
                 figures["best_value"], None, None))  # fmt: skip
    columns = ["split", "name", "unit", "n", "value", "interval", "objective"]
    own = pd.DataFrame(rows, columns=columns)
    own = own.assign(round=number).astype({"value": float, "objective": object})
    return own if evaluation is None or evaluation.empty else pd.concat([evaluation, own])


def _test_metrics(
    figures: Mapping[str, Any], unit: str, prefix: str = "", objective: str | None = None
) -> list[tuple]:
    """Errors and coverages of one objective on the random test candidates."""
    rows: list[tuple] = [
        ("test", f"random_test_{name}", unit, figures[f"{prefix}random_test_n"],
         figures[f"{prefix}random_test_{name}"],
         figures.get(f"{prefix}random_test_{name}_interval"), objective)
        for name in ("mae", "rmse")
    ]  # fmt: skip
    rows += [
        ("test", f"random_test_coverage_{level}", "1", figures[f"{prefix}coverage_{level}_n"],
         figures[f"{prefix}coverage_{level}"], figures[f"{prefix}coverage_{level}_interval"],
         objective)
        for level in (68, 95)
    ]  # fmt: skip
    return rows
