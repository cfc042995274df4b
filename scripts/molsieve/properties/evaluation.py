"""The property members against labels: errors by split, calibrated spreads, coverage on test data.

What is fitted or chosen is so on the split ``calibration``, at random from the pool; coverage is
judged on ``test``: the machinery of :mod:`molsieve.potential.spread_model`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from molsieve.potential.batches import AtomsBatch
from molsieve.potential.evaluation import SPLITS, fitted_quantity, labelled_geometries
from molsieve.potential.evaluation_metrics import Quantity, comparison_metrics, quantity_metrics
from molsieve.potential.spread_model import FLOOR, SpreadModel
from molsieve.properties.committee import PropertyCommittee
from molsieve.properties.definitions import PROPERTIES
from molsieve.properties.training_data import property_values

BATCH_STRUCTURES = 128
SPREAD = "spread"
PROPERTY_MEASURES = ((SPREAD, FLOOR), (SPREAD,), (FLOOR,))
"""Sets of inputs of a property's standard deviation, by preference: of a few members the spread is
itself a draw, which a floor moderates."""


@dataclass(frozen=True)
class CalibratedProperty:
    """A property of S structures with calibrated uncertainty, in its unit.

    Attributes:
        mean, std, half_68, half_95: (S,); intervals are ``mean ± half``.
    """

    mean: np.ndarray
    std: np.ndarray
    half_68: np.ndarray
    half_95: np.ndarray


def evaluate_properties(
    committee: PropertyCommittee,
    dataset: pd.DataFrame,
    structures: pd.DataFrame,
    labels: pd.DataFrame,
    round: int,
    seed: int,
) -> tuple[list[dict], dict[str, Any]]:
    """Rows of ``metrics`` by split and property, and what ``calibration.json`` says of them.

    Args:
        dataset, structures: the round's frozen dataset. labels: those of the committee's level are
            read. seed: of the bootstrap of intervals.

    Returns:
        metrics rows, named ``property_<name>_<figure>``; name → ``SpreadModel`` and its figures.
    """
    labels = labels[(labels["level_id"] == committee.level_id) & (labels["status"] == "ok")]
    rows = dataset[dataset["structure_id"].isin(labels["structure_id"])]
    rows = rows.sort_values("structure_id")
    judged = {
        split: quantities(committee, part, structures, labels)
        for split in SPLITS
        if len(part := rows[rows["split"] == split])
    }
    calibrated_on = judged.get("calibration", {})
    fitted = {name: fitted_quantity(quantity)[1] for name, quantity in calibrated_on.items()}
    metrics = []
    for split, found in judged.items():
        for name, quantity in found.items():
            figures = quantity_metrics(quantity, fitted.get(name), seed, split == "test")
            if split == "calibration":
                figures += comparison_metrics(quantity.name, fitted[name])
            metrics += [{"round": round, "split": split, **row} for row in figures]
    return metrics, fitted


def quantities(
    committee: PropertyCommittee,
    rows: pd.DataFrame,
    structures: pd.DataFrame,
    labels: pd.DataFrame,
) -> dict[str, Quantity]:
    """By property, the errors of the rows of a dataset whose label tells it."""
    geometries = labelled_geometries(rows, structures, labels)
    members = member_values(committee, geometries)
    truth = property_values(rows["structure_id"], [labels], committee.names)[:, 0]
    groups = rows["group"].to_numpy(str)
    found = {}
    for place, name in enumerate(committee.names):
        known = np.isfinite(truth[:, place])
        if known.any():
            mean, inputs = members[name][:, known].mean(0), spreads(members[name][:, known])
            found[name] = Quantity(
                f"property_{name.removesuffix('_ev')}", PROPERTIES[name].unit,
                mean - truth[known, place], groups[known], inputs, PROPERTY_MEASURES, (SPREAD,),
            )  # fmt: skip
    return found


def member_values(
    committee: PropertyCommittee, structures: pd.DataFrame, level_id: str | None = None
) -> dict[str, np.ndarray]:
    """Name → (M, S) of rows of ``structures``, in their order."""
    parts = []
    for start in range(0, len(structures), BATCH_STRUCTURES):
        rows = structures.iloc[start : start + BATCH_STRUCTURES]
        parts.append(committee(AtomsBatch.from_structures(rows), level_id))
    return {
        name: np.concatenate([part[name].numpy() for part in parts], 1) for name in committee.names
    }


def spreads(members: np.ndarray) -> dict[str, np.ndarray]:
    """What the members' values (M, S) say of their error."""
    return {SPREAD: members.std(0, ddof=1), FLOOR: np.ones(members.shape[1])}


def calibrated_properties(
    members: Mapping[str, np.ndarray], calibration: Mapping[str, Any]
) -> dict[str, CalibratedProperty]:
    """By name, means with standard deviations and intervals.

    Args:
        members: name → (M, S). calibration: "properties" of a round's ``calibration.json``; a
            property that it lacks is left out.
    """
    found = {}
    for name, values in members.items():
        if name in calibration:
            model = SpreadModel.from_dict(calibration[name])
            std = model.std(spreads(values))
            halves = (model.quantiles[0.68] * std, model.quantiles[0.95] * std)
            found[name] = CalibratedProperty(values.mean(0), std, *halves)
    return found
