"""The committee against its labels: errors by split, and whether its spread says as much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from molsieve.potential import calibration
from molsieve.potential.committee import Committee
from molsieve.potential.domain_of_validity import fit_domain
from molsieve.potential.evaluation_metrics import (
    Quantity,
    comparison_metrics,
    domain_metrics,
    quantity_metrics,
)
from molsieve.potential.feature_distance import FeatureSpace
from molsieve.potential.graphs import AtomsBatch, label_stresses
from molsieve.potential.spread_model import MIN_GROUPS, fit_best
from molsieve.potential.uncertainty import (
    ENERGY_MEASURES,
    FORCE_MEASURES,
    STRESS_MEASURES,
    UPPER,
    Spreads,
    spreads,
)

BATCH_STRUCTURES = 128
SPLITS = ("train", "validation", "calibration", "test")


@dataclass(frozen=True)
class Residuals:
    """Prediction minus label of one split, S structures of N atoms, M members.

    Attributes:
        energy_per_atom: (S,) eV/atom. forces: (N, 3) eV/Å. stress: (S, 3, 3) eV/Å³, NaN where
            label or prediction have none.
        groups: (S,). structure: (N,) whose atom it is.
        member_energies: (M, S) eV; member_forces: (M, N, 3) eV/Å; member_stress: (M, S, 3, 3).
        features: (S, D), see :class:`molsieve.potential.committee.CommitteeOutput`.
    """

    energy_per_atom: np.ndarray
    forces: np.ndarray
    stress: np.ndarray
    groups: np.ndarray
    structure: np.ndarray
    member_energies: np.ndarray
    member_forces: np.ndarray
    member_stress: np.ndarray
    features: np.ndarray

    @property
    def energy_std_per_atom(self) -> np.ndarray:
        """(S,) eV/atom, sample standard deviation over the members."""
        return self.member_energies.std(0, ddof=1) / np.bincount(self.structure)

    @property
    def forces_std(self) -> np.ndarray:
        """(N, 3) eV/Å, sample standard deviation over the members."""
        return self.member_forces.std(0, ddof=1)

    @property
    def force_errors(self) -> np.ndarray:
        """(S,) root mean square error of a structure's force components, eV/Å."""
        square = np.square(self.forces).mean(1)
        return np.sqrt(np.bincount(self.structure, square) / np.bincount(self.structure))

    def spreads(self, space: FeatureSpace | None) -> Spreads:
        """What the members say of these errors."""
        return spreads(
            self.member_energies,
            self.member_forces,
            self.features,
            self.structure,
            space,
            self.member_stress,
        )


def committee_residuals(
    committee: Committee, rows: pd.DataFrame, structures: pd.DataFrame, labels: pd.DataFrame
) -> Residuals:
    """Residuals of the committee's mean on the rows of a dataset, in their order."""
    structures = labelled_geometries(rows, structures, labels)
    labels = labels.drop_duplicates("structure_id").set_index("structure_id")
    labels = labels.loc[list(rows["structure_id"])]
    outputs, sizes = [], []
    for start in range(0, len(structures), BATCH_STRUCTURES):
        batch = AtomsBatch.from_structures(structures.iloc[start : start + BATCH_STRUCTURES])
        outputs.append(committee(batch))
        sizes.append(batch.sizes)
    n = torch.cat(sizes).numpy()
    energies = torch.cat([o.energies for o in outputs], 1).cpu().numpy()
    forces = torch.cat([o.forces for o in outputs if o.forces is not None], 1).cpu().numpy()
    none = np.full((len(committee), 1, 3, 3), np.nan)
    stress = np.concatenate(
        [
            none.repeat(o.energies.shape[1], 1) if o.stress is None else o.stress.cpu().numpy()
            for o in outputs
        ],
        axis=1,
    )
    label_forces = np.concatenate([np.asarray(f, float) for f in labels["forces_ev_per_angstrom"]])
    return Residuals(
        energy_per_atom=(energies.mean(0) - labels["energy_ev"].to_numpy(float)) / n,
        forces=forces.mean(0) - label_forces.reshape(-1, 3),
        stress=stress.mean(0) - label_stresses(labels).numpy(),
        groups=rows["group"].to_numpy(str),
        structure=np.repeat(np.arange(len(n)), n),
        member_energies=energies,
        member_forces=forces,
        member_stress=stress,
        features=torch.cat([o.features for o in outputs]).cpu().numpy(),
    )


def labelled_geometries(
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
) -> tuple[list[dict], dict[str, Any]]:
    """Rows of the ``metrics`` table by split, and the calibration of energies, forces and stresses.

    All that is fitted or chosen is so on the split ``calibration`` (distances from ``train``);
    coverage is judged on ``test``. A split without rows gives no metrics; without calibration rows
    the scales are 1 and say so by ``calibration_structures: 0``.

    Returns:
        metrics rows; the part of ``calibration.json`` that :mod:`molsieve.potential.uncertainty`
        documents, with ``energy_scale``, ``force_scale`` (of the plain spreads) and
        ``calibration_structures``.
    """
    rows = dataset[dataset["level_id"] == committee.level_id].sort_values("structure_id")
    labels = labels[(labels["level_id"] == committee.level_id) & (labels["status"] == "ok")]
    parts = {
        split: committee_residuals(committee, part, structures, labels)
        for split in SPLITS
        if len(part := rows[rows["split"] == split])
    }
    space = feature_space(parts.get("train"))
    fitted = fit_calibration(parts.get("calibration"), space)
    metrics = [
        {"round": round, "split": split, **row}
        for split, part in parts.items()
        for row in residual_metrics(part, space, fitted, split, seed)
    ]
    return metrics, fitted


def feature_space(train: Residuals | None) -> FeatureSpace | None:
    """Of the training structures; None for too few to tell a direction from another."""
    enough = train is not None and len(train.groups) > MIN_GROUPS
    return FeatureSpace.of(train.features) if train is not None and enough else None


def quantities(part: Residuals, space: FeatureSpace | None) -> list[Quantity]:
    """Errors and the spreads that may explain them: energies, forces and, where known, stresses."""
    found = part.spreads(space)
    force_groups = np.repeat(part.groups[part.structure], 3)
    forces = part.forces.ravel()
    told = [
        Quantity("energy", "eV/atom", part.energy_per_atom, part.groups, found.energy,
                 ENERGY_MEASURES, ("energy",)),
        Quantity("force", "eV/Å", forces, force_groups, found.force, FORCE_MEASURES,
                 ("component",)),
    ]  # fmt: skip
    stress = part.stress[:, *UPPER].ravel()
    known = np.isfinite(stress)
    if known.any():
        inputs = {name: values[known] for name, values in found.stress.items()}
        groups = np.repeat(part.groups, 6)[known]
        told.append(
            Quantity("stress", "eV/Å³", stress[known], groups, inputs, STRESS_MEASURES,
                     ("component",))
        )  # fmt: skip
    return told


def fit_calibration(part: Residuals | None, space: FeatureSpace | None) -> dict[str, Any]:
    """What the calibration split says; JSON."""
    if part is None:
        return {"energy_scale": 1.0, "force_scale": 1.0, "calibration_structures": 0}
    fitted: dict[str, Any] = {"calibration_structures": len(part.groups)}
    for quantity in quantities(part, space):
        scale, model = fitted_quantity(quantity)
        fitted |= {f"{quantity.name}_scale": scale, quantity.name: model}
    if len(set(part.groups)) >= MIN_GROUPS:
        domain = fit_domain(part.spreads(space).domain, part.force_errors, part.groups)
        fitted["domain"] = domain.as_dict()
    read = [fitted[name]["weights"] for name in ("energy", "force", "stress") if name in fitted]
    scores = fitted.get("domain", {}).get("measure", "")
    if space is not None and ("feature" in scores or any("feature_distance" in w for w in read)):
        fitted["features"] = space.as_dict()
    return fitted


def fitted_quantity(quantity: Quantity) -> tuple[float, dict[str, Any]]:
    """The scale of the plain spread, and the best model of the spread with its figures; JSON."""
    plain = quantity.inputs[quantity.plain[0]]
    # Members that agree exactly (free atoms: no force at all) leave nothing to scale.
    scale = calibration.fit_scale(quantity.errors, plain) if np.any(plain > 0) else 1.0
    model, figures = fit_best(
        quantity.measures, quantity.plain, quantity.inputs, quantity.errors, quantity.groups
    )
    return scale, model.as_dict() | {
        "unit": quantity.unit,
        "n": len(quantity.errors),
        "groups": len(set(quantity.groups)),
        "measures": [figure.as_dict() for figure in figures],
    }


def residual_metrics(
    part: Residuals, space: FeatureSpace | None, fitted: dict[str, Any], split: str, seed: int
) -> list[dict]:
    """Rows of one split, less ``round`` and ``split``; intervals are by group."""
    found = []
    for quantity in quantities(part, space):
        found += quantity_metrics(quantity, fitted.get(quantity.name), seed, split == "test")
        if split == "calibration" and quantity.name in fitted:
            found += comparison_metrics(quantity.name, fitted[quantity.name])
    if split in ("calibration", "test") and "domain" in fitted:
        found += domain_metrics(fitted["domain"], part.spreads(space).domain, part.groups, seed)
    return found
