"""What does a second level of theory buy? One fidelity against two, at equal cost of labels.

The better ("high") level is what is wanted. Of a table with the cheap level on all molecules and
the better one on a random part of them at identical geometries (``excited_state_table.py``,
``property_labels.py``) a fold of the molecules that have both is held out for the test; labels are
bought of the rest in a drawn order until a budget of label seconds is spent, as the table's
``wall_s`` tells:

- high only: every molecule at the better level, one head;
- low only: every molecule at the cheap level, which is taken for the better one;
- shifted: as "linear", but what is predicted is shifted by the pairs' mean difference alone;
- linear: ``--shares`` of the molecules at both levels, the others at the cheap one, which teaches;
  the difference is a linear fit to the descriptors (``properties.fidelity.difference_weight: 0``);
- learned: the better level's heads learn what that fit leaves (``difference_weight: 1``).

Errors are of the better level on the test molecules, mean over the folds (and as many repeats).

    python benchmarks/multi_fidelity.py [--table FILE] [--budgets 0.5 1.0] [--shares 0.1 0.25]
                                        [--by smiles] [--folds 4] [--repeats 1] [--members 2]
                                        [--epochs 60] [--cost-ratio R]

A budget is a share of what all molecules that may be bought at the better level cost there.
``--cost-ratio`` replaces the seconds: 1 a cheap label, R a better one. The last line is
``claim: ... | ours: ... | peer: ... | ratio: ...``.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
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

TABLE = Path(__file__).parent / "results" / "excited_states" / "table.parquet"
SINGLE = ("high only", "low only", "shifted")
WEIGHTS = {"linear": 0.0, "learned": 1.0}


@dataclass(frozen=True)
class Bought:
    """Structures by the level that they are labelled at, and the seconds spent."""

    low: list[str]
    high: list[str]
    seconds: float


def buy_high(order: list[str], cost: pd.DataFrame, budget_s: float) -> Bought:
    """Labels at the better level alone, in ``order`` of structures that have one."""
    spent = np.cumsum(cost.loc[order, "high"].to_numpy())
    count = int((spent <= budget_s).sum())
    return Bought([], order[:count], float(spent[count - 1]) if count else 0.0)


def buy_both(
    paired: list[str], others: list[str], cost: pd.DataFrame, budget_s: float, share: float
) -> Bought:
    """Labels at the cheap level, of ``share`` of the molecules at the better one as well.

    Args:
        paired, others: in drawn order, structures with both labels and with the cheap one alone;
            once those run out, of the former the cheap label alone is bought.
        cost: by structure, "low" and "high", s.
    """
    low: list[str] = []
    high: list[str] = []
    spent, left, alone = 0.0, list(paired), [*others, *paired[::-1]]
    while left or alone:
        both = bool(left) and len(high) < share * (len(low) + 1)
        if not both and not alone:
            break
        name = left.pop(0) if both else alone.pop(0)
        if name in low:
            continue
        price = cost.at[name, "low"] + (cost.at[name, "high"] if both else 0.0)
        if spent + price > budget_s:
            break
        spent += price
        low.append(name)
        high += [name] if both else []
    return Bought(low, high, spent)


def learned(
    method: str, tables: ExcitedTables, rows: pd.DataFrame, bought: Bought, arguments, seed: int
) -> np.ndarray:
    """(S, 4) errors of the better level on the test rows."""
    low = tables.low[tables.low["structure_id"].isin(bought.low)]
    high = tables.high[tables.high["structure_id"].isin(bought.high)]
    # Features of their own, so that labels of these levels are all that is learned from.
    settings = Properties(
        representation="own", max_epochs=arguments.epochs, patience_epochs=arguments.epochs
    )
    labels = {"high": high} if method == "high only" else {"low": low}
    if method in WEIGHTS:
        labels = {"low": low, "high": high}
        fidelity = Fidelity(level="high", difference_weight=WEIGHTS[method])
        settings = settings.model_copy(update={"fidelity": fidelity})
    test = rows.loc[rows["split"] == "test", "structure_id"]
    structures = tables.structures.set_index("structure_id", drop=False)
    committee = train_heads(
        rows, tables.structures, labels, Potential(), settings, seed, arguments.members
    )
    found = errors(committee, structures.loc[test], tables.high)
    if method == "shifted":
        pairs = [
            with_gap(property_values(bought.high, [part], NAMES)[:, 0])
            for part in (tables.low, tables.high)
        ]
        found = found + np.nanmean(pairs[1] - pairs[0], axis=0)
    return found


def fold_errors(
    tables: ExcitedTables, cost: pd.DataFrame, test: np.ndarray, arguments, seed: int
) -> Mapping[tuple[float, str], np.ndarray]:
    """(budget, method) → (S, 4) absolute errors on a fold, of which ``test`` says True."""
    rows = dataset(tables.structures, test, seed=seed)
    drawn = rows.loc[rows["split"] != "test", "structure_id"].to_numpy(str)
    drawn = np.random.default_rng([seed, 2]).permutation(drawn).tolist()
    has_both = set(tables.high["structure_id"])
    paired = [name for name in drawn if name in has_both]
    others = [name for name in drawn if name not in has_both]
    judged = rows["split"].eq("test") & ~rows["structure_id"].isin(has_both)
    rows = rows[~judged].reset_index(drop=True)
    whole = float(cost.loc[paired, "high"].sum())
    found = {}
    for budget in arguments.budgets:
        asked = [("high only", 1.0), ("low only", 0.0)]
        asked += [(m, s) for s in arguments.shares for m in ("shifted", *WEIGHTS)]
        for method, share in asked:
            bought = (
                buy_high(paired, cost, budget * whole)
                if method == "high only"
                else buy_both(paired, others, cost, budget * whole, share)
            )
            name = method if method in SINGLE[:2] else f"{method} {share:g}"
            found[budget, name] = np.abs(learned(method, tables, rows, bought, arguments, seed))
            counts = f"{len(bought.low)} low, {len(bought.high)} high, {bought.seconds:.0f} s"
            mean = ", ".join(f"{value:.3f}" for value in np.nanmean(found[budget, name], axis=0))
            print(f"seed {seed}, budget {budget:g}, {name}: {counts}: {mean}", flush=True)
    return found


def label_costs(tables: ExcitedTables, ratio: float | None) -> pd.DataFrame:
    """By structure the cost of a label at each level, s; NaN where it has none."""
    cost = pd.DataFrame(
        {
            name: part.drop_duplicates("structure_id").set_index("structure_id")["wall_s"]
            for name, part in (("low", tables.low), ("high", tables.high))
        }
    )
    both = cost.dropna()
    print(
        f"{len(cost)} structures, {len(both)} at both levels: {both['low'].median():.1f} s low, "
        f"{both['high'].median():.1f} s high (medians), "
        f"{both['high'].sum() / both['low'].sum():.2f} times as dear"
    )
    if ratio is not None:
        cost = cost.where(cost.isna(), np.broadcast_to([1.0, ratio], cost.shape))
    return cost


def main() -> None:
    """Buy, train, judge and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--budgets", type=float, nargs="+", default=[0.5, 1.0])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 0.25])
    parser.add_argument("--by", choices=("smiles", "scaffold"), default="smiles")
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--members", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--cost-ratio", type=float)
    arguments = parser.parse_args()
    tables = read_excited(arguments.table)
    known = set(tables.low["structure_id"])
    structures = tables.structures[tables.structures["structure_id"].isin(known)]
    high = tables.high[tables.high["structure_id"].isin(known)]
    tables = ExcitedTables(structures.reset_index(drop=True), tables.low, high)
    cost = label_costs(tables, arguments.cost_ratio)
    found: dict[tuple[float, str], list[np.ndarray]] = {}
    for repeat in range(arguments.repeats):
        fold = folds(tables.structures[arguments.by].tolist(), arguments.folds, seed=repeat)
        for number in range(arguments.folds):
            seed = repeat * arguments.folds + number
            for key, told in fold_errors(tables, cost, fold == number, arguments, seed).items():
                found.setdefault(key, []).append(told)
    means = {key: np.nanmean(np.concatenate(told), axis=0) for key, told in found.items()}
    for (budget, method), mean in means.items():
        text = [f"{figure} {m:.3f}" for figure, m in zip(FIGURES, mean, strict=True)]
        print(f"budget {budget:g}, {method:13s} " + ", ".join(text))
    budget, share = arguments.budgets[-1], arguments.shares[0]
    ours, peer = means[budget, f"linear {share:g}"], means[budget, "high only"]
    print(
        "claim: mean absolute error of S1 and T1 at the better level, two levels against it alone "
        f"at equal label cost, eV | ours: {ours[0]:.2f}, {ours[1]:.2f} | peer: {peer[0]:.2f}, "
        f"{peer[1]:.2f} | ratio: {ours[0] / peer[0]:.2f}, {ours[1] / peer[1]:.2f}"
    )


if __name__ == "__main__":
    main()
