"""What calibrations promise and what comes true, over seeds and divisions."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from calibration.frames import DIVISIONS, PARTS, Tables, divided
from molsieve.potential import evaluation
from molsieve.potential.calibration import coverage_by_group, rank_correlation
from molsieve.potential.committee import Committee
from molsieve.potential.domain_of_validity import DomainOfValidity
from molsieve.potential.evaluation import Residuals
from molsieve.potential.evaluation_metrics import Quantity, normal_quantile
from molsieve.potential.feature_distance import FeatureSpace
from molsieve.potential.spread_model import SpreadModel, fit_model

AIMS = {68: 5.0, 95: 3.0}
"""Percentage points that coverage may be off in the domain."""


def judge(name: str, tables: Tables, committee: Committee, seed: int) -> list[dict[str, Any]]:
    """What calibrations say and what came true, of every part that is judged, by division."""
    dataset, structures, labels = tables
    parts = {
        split: evaluation.committee_residuals(committee, rows, structures, labels)
        for split in ("train", "calibration", *PARTS[name])
        if len(rows := dataset[dataset["split"] == split])
    }
    space = evaluation.feature_space(parts["train"])
    found = [judge_division(name, parts, space)]
    for division in range(1, DIVISIONS[name]):
        parts |= divided(parts, np.random.default_rng([seed, division]))
        found.append(judge_division(name, parts, space))
    return found


def judge_division(
    name: str, parts: dict[str, Residuals], space: FeatureSpace | None
) -> dict[str, Any]:
    """What one calibration says and what came true."""
    fitted = evaluation.fit_calibration(parts["calibration"], space)
    base = {q.name: q for q in evaluation.quantities(parts["calibration"], space)}
    found: dict[str, Any] = {"calibration": fitted, "parts": {}}
    for split, words in PARTS[name].items():
        part = parts[split]
        domain = DomainOfValidity.from_dict(fitted["domain"])
        score = domain.relative_score(part.spreads(space).domain)
        flagged = pd.Series(score > 1, part.groups)
        told = {
            q.name: judge_quantity(q, base[q.name], fitted, flagged)
            for q in evaluation.quantities(part, space)
        }
        found["parts"][words] = told | {"flagged": flagged}
    return found


def judge_quantity(
    quantity: Quantity, base: Quantity, fitted: dict[str, Any], flagged: pd.Series
) -> dict[str, Any]:
    """Hits by kind of interval and level, and what else describes one quantity."""
    model = SpreadModel.from_dict(fitted[quantity.name])
    std, size = model.std(quantity.inputs), np.abs(quantity.errors)
    raw = np.maximum(quantity.inputs[quantity.plain[0]], 1e-12)
    scaled = fitted[f"{quantity.name}_scale"] * raw
    hits = {
        level: {
            "ours": size <= model.quantiles[level / 100] * std,
            "normal": size <= normal_quantile(level / 100) * std,
            "scaled": size <= normal_quantile(level / 100) * scaled,
            "raw": size <= normal_quantile(level / 100) * raw,
        }
        for level in AIMS
    }
    every = {
        "_".join(m): fit_model(m, base.inputs, base.errors, base.groups) for m in base.measures
    }
    return {
        "groups": quantity.groups,
        "flagged": flagged.reindex(quantity.groups).to_numpy(),
        "hits": hits,
        "rmse": float(np.sqrt(np.mean(size**2))),
        "width_95": float(np.mean(model.quantiles[0.95] * std)),
        "rank_correlation": rank_correlation(quantity.errors, std),
        "raw_rank_correlation": rank_correlation(quantity.errors, raw),
        "measures": {name: coverages(m, quantity) for name, m in every.items()},
    }


def coverages(model: SpreadModel, quantity: Quantity) -> list[float]:
    """Coverage of the 68 and 95 % intervals that another measure would have given, in percent."""
    ratio = np.abs(quantity.errors) / model.std(quantity.inputs)
    return [100 * float(np.mean(ratio <= model.quantiles[level])) for level in (0.68, 0.95)]


def pooled(
    runs: list[dict], divisions: int, kind: str, level: int, which: str | None = None
) -> dict[str, Any]:
    """Coverage over all runs in percent, its interval by frame, the range over seeds.

    Args:
        runs: by seed, then division.
        which: "flagged" or "unflagged" frames only.
    """
    hits = [run["hits"][level][kind] for run in runs]
    keep = [
        np.ones(len(h), bool) if which is None else run["flagged"] == (which == "flagged")
        for run, h in zip(runs, hits, strict=True)
    ]
    groups = np.concatenate([run["groups"][k] for run, k in zip(runs, keep, strict=True)])
    share = coverage_by_group(
        np.concatenate([h[k] for h, k in zip(hits, keep, strict=True)]), groups, seed=0
    )
    shares = [float(h[k].mean()) if k.any() else np.nan for h, k in zip(hits, keep, strict=True)]
    single = np.nanquantile(shares, [0.05, 0.95])
    by_seed = np.nanmean(np.reshape(shares, (-1, divisions)), axis=1)
    value, low, high = (100 * float(x) for x in share)
    return {
        "coverage": value,
        "interval": [low, high],
        "seeds": [100 * float(by_seed.min()), 100 * float(by_seed.max())],
        "single": [100 * float(x) for x in single],
        "n": len(groups),
    }


def summarise(name: str, runs: list[dict]) -> dict[str, Any]:
    """The figures of one set over its seeds."""
    found: dict[str, Any] = {}
    divisions = DIVISIONS[name]
    for words in PARTS[name].values():
        flags = pd.concat([run["parts"][words]["flagged"] for run in runs])
        share = coverage_by_group(flags.to_numpy(), flags.index.to_numpy(), seed=0)
        found[words] = {"flagged": [100 * x for x in share], "structures": len(flags)}
        for quantity in ("force", "energy"):
            told = [run["parts"][words][quantity] for run in runs]
            found[words][quantity] = {
                kind: {level: pooled(told, divisions, kind, level) for level in AIMS}
                for kind in ("ours", "normal", "scaled", "raw")
            }
            found[words][quantity]["unflagged"] = {
                level: pooled(told, divisions, "ours", level, "unflagged") for level in AIMS
            }
            for figure in ("rmse", "width_95", "rank_correlation", "raw_rank_correlation"):
                found[words][quantity][figure] = float(np.mean([t[figure] for t in told]))
            found[words][quantity]["measures"] = {
                m: np.mean([t["measures"][m] for t in told], axis=0).tolist()
                for m in told[0]["measures"]
            }
    found["chosen"] = {
        key: dict(Counter(run["calibration"][key]["measure"] for run in runs))
        for key in ("force", "energy", "domain")
    }
    found["loss"] = {
        key: {
            m["measure"]: float(np.mean([_loss(run, key, m["measure"]) for run in runs]))
            for m in runs[0]["calibration"][key]["measures"]
        }
        for key in ("force", "energy")
    }
    return found


def _loss(run: dict, key: str, measure: str) -> float:
    return next(m["loss"] for m in run["calibration"][key]["measures"] if m["measure"] == measure)
