"""What does a second level of theory buy? One fidelity against two, at equal cost of labels.

The better ("high") level is what is wanted. Of a table with both levels at identical geometries
(``property_labels.py`` makes one) molecules are held out for the test; the rest is bought in a
drawn order until a budget of label seconds is spent, as the table's ``wall_s`` tells:

- high only: every molecule at the high level, one head;
- difference, joint: ``--share`` of the molecules at both levels, the others at the low one, which
  teaches; the better level's heads correct it (``properties.fidelity``), with and without the loss
  on the difference of the two labels;
- low only: every molecule at the low level; what is predicted is shifted by the mean difference of
  the pairs of "difference", whose cost it shares.

Errors are of the high level on the test molecules, mean over repeats with other test molecules.

    python benchmarks/multi_fidelity.py [--table FILE] [--budgets 0.25 0.5] [--share 0.3]
                                        [--repeats 3] [--members 2] [--epochs 60]

The last line is ``claim: ... | ours: ... | peer: ... | ratio: ...``.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from properties.excited_tables import (
    FIGURES,
    NAMES,
    ExcitedTables,
    dataset,
    errors,
    folds,
    read_excited,
    train_heads,
    with_gap,
)

from molsieve.campaign import Potential
from molsieve.properties.training_data import property_values
from molsieve.property_settings import Fidelity, Properties

TABLE = Path(__file__).parent / "results" / "property_labels" / "table.parquet"
METHODS = ("high only", "low only", "joint", "difference")
TEST_FOLDS = 4


@dataclass(frozen=True)
class Bought:
    """Structures by the level that they are labelled at, and the seconds spent."""

    low: list[str]
    high: list[str]
    seconds: float


def buy(order: list[str], cost: pd.DataFrame, budget_s: float, share: float) -> Bought:
    """Labels in ``order`` until the next molecule does not fit into the budget.

    Args:
        order: structures with both labels. cost: by structure, "low" and "high", s.
        share: of the molecules at the high level; where below 1, all are at the low one as well.
    """
    low: list[str] = []
    high: list[str] = []
    spent = 0.0
    for number, name in enumerate(order):
        # Whenever the share has fallen behind, so that it holds at every budget.
        both = len(high) < share * (number + 1)
        price = (cost.at[name, "high"] if both else 0.0) + (cost.at[name, "low"] * (share < 1))
        if spent + price > budget_s:
            break
        spent += price
        low += [name] if share < 1 else []
        high += [name] if both else []
    return Bought(low, high, spent)


def learned(
    method: str, tables: ExcitedTables, rows: pd.DataFrame, bought: Bought, arguments, seed: int
) -> np.ndarray:
    """(S, 4) errors of the high level on the test rows."""
    low = tables.low[tables.low["structure_id"].isin(bought.low)]
    high = tables.high[tables.high["structure_id"].isin(bought.high)]
    # Features of their own, so that labels of these levels are all that is learned from.
    epochs = {"max_epochs": arguments.epochs, "patience_epochs": arguments.epochs}
    epochs["representation"] = "own"
    settings = Properties(**epochs)
    labels = {"high only": {"high": high}, "low only": {"low": low}}.get(
        method, {"low": low, "high": high}
    )
    if len(labels) > 1:
        weight = 1.0 if method == "difference" else 0.0
        settings = Properties(**epochs, fidelity=Fidelity(level="high", difference_weight=weight))
    test = rows.loc[rows["split"] == "test", "structure_id"]
    structures = tables.structures.set_index("structure_id", drop=False)
    committee = train_heads(
        rows, tables.structures, labels, Potential(), settings, seed, arguments.members
    )
    found = errors(committee, structures.loc[test], tables.high)
    if method == "low only":
        pairs = [
            with_gap(property_values(bought.high, [part], NAMES)[:, 0])
            for part in (tables.low, tables.high)
        ]
        found = found + np.nanmean(pairs[0] - pairs[1], axis=0)
    return found


def main() -> None:
    """Buy, train, judge and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--budgets", type=float, nargs="+", default=[0.25, 0.5])
    parser.add_argument("--share", type=float, default=0.3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--members", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=60)
    arguments = parser.parse_args()
    tables = read_excited(arguments.table)
    paired = set(tables.low["structure_id"]) & set(tables.high["structure_id"])
    structures = tables.structures[tables.structures["structure_id"].isin(paired)]
    tables = ExcitedTables(structures.reset_index(drop=True), tables.low, tables.high)
    cost = pd.DataFrame(
        {
            name: part.drop_duplicates("structure_id").set_index("structure_id")["wall_s"]
            for name, part in (("low", tables.low), ("high", tables.high))
        }
    ).loc[sorted(paired)]
    print(
        f"{len(paired)} structures at both levels: {cost['low'].mean():.2f} s low, "
        f"{cost['high'].mean():.2f} s high on average"
    )
    found: dict[tuple[float, str], list[np.ndarray]] = {}
    for repeat in range(arguments.repeats):
        smiles = tables.structures["smiles"].tolist()
        test = folds(smiles, TEST_FOLDS, seed=repeat) == 0
        rows = dataset(tables.structures, test, seed=repeat)
        pool = rows.loc[rows["split"] != "test", "structure_id"].to_numpy(str)
        order = np.random.default_rng([repeat, 2]).permutation(pool).tolist()
        total = float(cost.loc[order, "high"].sum())
        for budget in arguments.budgets:
            for method in METHODS:
                share = 1.0 if method == "high only" else arguments.share
                bought = buy(order, cost, budget * total, share)
                error = np.abs(learned(method, tables, rows, bought, arguments, repeat))
                found.setdefault((budget, method), []).append(np.nanmean(error, axis=0))
                counts = f"{len(bought.low)} low, {len(bought.high)} high, {bought.seconds:.0f} s"
                print(f"repeat {repeat}, budget {budget:g}, {method}: {counts}", flush=True)
    for (budget, method), told in found.items():
        mean, spread = np.mean(told, axis=0), np.std(told, axis=0, ddof=min(1, len(told) - 1))
        text = [
            f"{figure} {m:.3f} ± {s:.3f}"
            for figure, m, s in zip(FIGURES, mean, spread, strict=True)
        ]
        print(f"budget {budget:g}, {method:10s} " + ", ".join(text))
    budget = arguments.budgets[-1]
    ours, peer = (np.mean(found[budget, m], axis=0) for m in ("difference", "high only"))
    print(
        "claim: mean absolute error of S1 and T1 at the better level, two levels against it alone "
        f"at equal label cost, eV | ours: {ours[0]:.2f}, {ours[1]:.2f} | peer: {peer[0]:.2f}, "
        f"{peer[1]:.2f} | ratio: {ours[0] / peer[0]:.2f}, {ours[1] / peer[1]:.2f}"
    )


if __name__ == "__main__":
    main()
