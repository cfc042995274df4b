"""The committee against its labels: errors by split, and whether its spread says as much."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from molsieve.potential import calibration
from molsieve.potential.committee import Committee
from molsieve.potential.graphs import AtomsBatch

BATCH_STRUCTURES = 128
SPLITS = ("train", "validation", "calibration", "test")


@dataclass(frozen=True)
class Residuals:
    """Prediction minus label of one split, S structures of N atoms.

    Attributes:
        energy_per_atom, energy_std_per_atom: (S,) eV/atom.
        forces, forces_std: (N, 3) eV/Å.
        groups: (S,); atom_groups: (N,).
    """

    energy_per_atom: np.ndarray
    energy_std_per_atom: np.ndarray
    forces: np.ndarray
    forces_std: np.ndarray
    groups: np.ndarray
    atom_groups: np.ndarray


def committee_residuals(
    committee: Committee, rows: pd.DataFrame, structures: pd.DataFrame, labels: pd.DataFrame
) -> Residuals:
    """Residuals of the committee's mean on the rows of a dataset, in their order."""
    structures = _labelled_geometries(rows, structures, labels)
    labels = labels.drop_duplicates("structure_id").set_index("structure_id")
    labels = labels.loc[list(rows["structure_id"])]
    energies, stds, forces, forces_stds, sizes = [], [], [], [], []
    for start in range(0, len(structures), BATCH_STRUCTURES):
        part = structures.iloc[start : start + BATCH_STRUCTURES]
        batch = AtomsBatch.from_structures(part)
        output = committee(batch)
        energies.append(output.energy_mean)
        stds.append(output.energy_std)
        forces.append(output.forces_mean)
        forces_stds.append(output.forces_std)
        sizes.append(batch.sizes)
    n = torch.cat(sizes).numpy()
    label_forces = np.concatenate([np.asarray(f, float) for f in labels["forces_ev_per_angstrom"]])
    groups = rows["group"].to_numpy(str)
    return Residuals(
        energy_per_atom=(torch.cat(energies).cpu().numpy() - labels["energy_ev"].to_numpy(float))
        / n,
        energy_std_per_atom=torch.cat(stds).cpu().numpy() / n,
        forces=torch.cat(forces).cpu().numpy() - label_forces.reshape(-1, 3),
        forces_std=torch.cat(forces_stds).cpu().numpy(),
        groups=groups,
        atom_groups=np.repeat(groups, n),
    )


def _labelled_geometries(
    rows: pd.DataFrame, structures: pd.DataFrame, labels: pd.DataFrame
) -> pd.DataFrame:
    """Structures in the rows' order, at the geometry their label belongs to."""
    found = structures.drop_duplicates("structure_id").set_index("structure_id")
    found = found.loc[list(rows["structure_id"])].reset_index()
    if "final_positions_angstrom" not in labels:
        return found
    final = dict(zip(labels["structure_id"], labels["final_positions_angstrom"], strict=True))
    moved = [final[name] for name in found["structure_id"]]
    built = found["positions_angstrom"].tolist()
    positions = [
        b if m is None or np.size(m) <= 1 else m for b, m in zip(built, moved, strict=True)
    ]
    return found.assign(positions_angstrom=pd.Series(positions, index=found.index))


def evaluate_committee(
    committee: Committee,
    dataset: pd.DataFrame,
    structures: pd.DataFrame,
    labels: pd.DataFrame,
    round: int,
    seed: int,
) -> tuple[list[dict], dict[str, float]]:
    """Rows of the ``metrics`` table by split, and the calibration of energies and forces.

    The scales are fitted on the split ``calibration``; coverage of the calibrated spread is judged
    on ``test``, hits resampled by group. A split without rows gives no metrics; without
    calibration rows the scales are 1 and say so by ``calibration_structures: 0``.

    Returns:
        metrics rows; ``{"energy_scale", "force_scale", "calibration_structures"}``.
    """
    rows = dataset[dataset["level_id"] == committee.level_id].sort_values("structure_id")
    labels = labels[(labels["level_id"] == committee.level_id) & (labels["status"] == "ok")]
    parts = {
        split: committee_residuals(committee, part, structures, labels)
        for split in SPLITS
        if len(part := rows[rows["split"] == split])
    }
    scales = fit_scales(parts.get("calibration"))
    metrics = [
        {"round": round, "split": split, **row}
        for split, part in parts.items()
        for row in error_metrics(part, seed) + spread_metrics(part, scales, seed)
    ]
    return metrics, scales


def fit_scales(part: Residuals | None) -> dict[str, float]:
    """Scale of the energy-per-atom spread and of the force-component spread; 1 without data."""
    if part is None:
        return {"energy_scale": 1.0, "force_scale": 1.0, "calibration_structures": 0}
    return {
        "energy_scale": calibration.fit_scale(part.energy_per_atom, part.energy_std_per_atom),
        "force_scale": calibration.fit_scale(part.forces, part.forces_std),
        "calibration_structures": len(part.groups),
    }


def error_metrics(part: Residuals, seed: int) -> list[dict]:
    """Mean absolute and root mean square errors with 95 % intervals by group."""
    force_groups = np.repeat(part.atom_groups, 3)
    found = []
    for quantity, values, groups, unit in (
        ("energy", part.energy_per_atom, part.groups, "eV/atom"),
        ("force", part.forces.ravel(), force_groups, "eV/Å"),
    ):
        means = _group_means(values, groups)
        for name, power in (("mae", 1), ("rmse", 2)):
            value, low, high = _weighted_interval(means[power], means[0], seed, power)
            found.append(_metric(f"{quantity}_{name}", unit, len(values), value, low, high))
    return found


def spread_metrics(part: Residuals, scales: dict[str, float], seed: int) -> list[dict]:
    """Coverage of the calibrated 68 and 95 % normal intervals, and rank correlation."""
    found = []
    force_groups = np.repeat(part.atom_groups, 3)
    for quantity, errors, stds, groups in (
        ("energy", part.energy_per_atom, part.energy_std_per_atom, part.groups),
        ("force", part.forces.ravel(), part.forces_std.ravel(), force_groups),
    ):
        stds = scales[f"{quantity}_scale"] * calibration.floored(stds)
        for share, width in ((68, 1.0), (95, 1.959964)):
            hits = (np.abs(errors) <= width * stds).astype(float)
            means = _group_means(hits, groups)
            value, low, high = _weighted_interval(means[1], means[0], seed, 1)
            found.append(_metric(f"{quantity}_coverage_{share}", "1", len(hits), value, low, high))
        correlation = calibration.rank_correlation(errors, stds)
        found.append(_metric(f"{quantity}_rank_correlation", "1", len(errors), correlation))
    return found


def _group_means(values: np.ndarray, groups: np.ndarray) -> list[np.ndarray]:
    """Per group: number of entries, sum of ``|value|``, sum of ``value^2``."""
    _, index = np.unique(groups, return_inverse=True)
    return [np.bincount(index, np.abs(values) ** power) for power in (0, 1, 2)]


def _weighted_interval(
    sums: np.ndarray, counts: np.ndarray, seed: int, power: int
) -> tuple[float, float, float]:
    """``(sum sums / sum counts) ** (1 / power)`` and its bootstrap interval over groups."""
    groups = np.arange(len(sums))

    def statistic(drawn: np.ndarray) -> float:
        drawn = drawn.astype(int)
        return float((sums[drawn].sum() / counts[drawn].sum()) ** (1 / power))

    return calibration.group_bootstrap(groups, groups, seed, statistic)


def _metric(
    name: str, unit: str, n: int, value: float, low: float = -math.inf, high: float = math.inf
) -> dict:
    return {
        "name": name,
        "unit": unit,
        "n": n,
        "value": None if math.isnan(value) else value,
        "interval": [low, high] if math.isfinite(low) and math.isfinite(high) else None,
    }
