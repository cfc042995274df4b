"""The committee's minima of built species, and whether each can be trusted.

Of a minimum it is known to be out of the domain, and why: an element or charge state never seen in
training, a relaxation that failed or stopped early, bonds that broke or formed, or a structure
beyond the calibrated :mod:`molsieve.potential.domain_of_validity`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import ase
import numpy as np
import pandas as pd

from molsieve.campaign import Prediction
from molsieve.chem.identities import BUILT_ORIGINS, atoms_from_row, structure_row
from molsieve.crystals.rearrangements import rearrangement
from molsieve.geometry_settings import REARRANGED
from molsieve.potential.committee import Committee
from molsieve.potential.committee_prediction import unseen_in_training
from molsieve.potential.graphs import AtomsBatch
from molsieve.potential.uncertainty import calibrated
from molsieve.relax import relax_batch

if TYPE_CHECKING:
    from molsieve.properties.committee import PropertyCommittee

CONVERGED_ENOUGH = 4.0
"""Residual force a prediction may have, in units of the threshold; 0.2 eV/Å on a bond is 1 meV."""


@dataclass(frozen=True)
class Minimum:
    """What the committee made of one structure.

    Attributes:
        atoms: at the committee's minimum.
        energies_ev: (M,) there; energies_given_ev: (M,) at the geometry that was given.
        steps: committee calls after the first.
        reason: why it is out of the domain, None if it is not.
        properties, properties_given: name → (M,), there and at the geometry that was given; empty
            where the domain's objective needs none.
    """

    atoms: ase.Atoms
    energies_ev: np.ndarray
    energies_given_ev: np.ndarray
    steps: int
    reason: str | None
    properties: Mapping[str, np.ndarray] = field(default_factory=dict)
    properties_given: Mapping[str, np.ndarray] = field(default_factory=dict)


def built_geometries(
    candidate_ids: Iterable[str],
    structures: pd.DataFrame,
    roles: tuple[str, ...],
    poses: bool = False,
) -> pd.DataFrame:
    """The built structure of each role of each candidate: the lowest conformer number.

    Args:
        poses: all that were built of a role instead, one row each.
    """
    chosen = structures[
        structures["candidate_id"].isin(list(candidate_ids))
        & structures["role"].isin(roles)
        & structures["origin"].isin(BUILT_ORIGINS)
    ]
    order = ["candidate_id", "role", "conformer", "structure_id"]
    once = ["candidate_id", "role", *(["structure_id"] if poses else [])]
    return chosen.sort_values(order).drop_duplicates(once).reset_index(drop=True)


def lowest_poses(built: pd.DataFrame, minima: Mapping[str, Minimum]) -> pd.DataFrame:
    """Of each role of each candidate the row whose minimum is lowest, by the members' mean.

    A minimum that cannot be trusted counts only where no other is there: a pose that fell apart
    may lie as low as it likes. All members are asked at the same pose, so that their spread is
    not that of a choice.
    """
    found = [minima[key] for key in built["structure_id"]]
    mean = np.array([minimum.energies_ev.mean() for minimum in found], float)
    ranked = built.assign(
        _doubtful=[minimum.reason is not None for minimum in found],
        _energy=np.where(np.isfinite(mean), mean, np.inf),
    )
    order = ["candidate_id", "role", "_doubtful", "_energy", "conformer", "structure_id"]
    ranked = ranked.sort_values(order).drop_duplicates(["candidate_id", "role"])
    return ranked.drop(columns=["_doubtful", "_energy"]).reset_index(drop=True)


def relax_structures(
    structures: pd.DataFrame,
    committee: Committee,
    settings: Prediction,
    calibration: Mapping[str, Any] | None = None,
    properties: PropertyCommittee | None = None,
    given: bool = True,
) -> dict[str, Minimum]:
    """structure_id → the committee's minimum, each distinct structure relaxed once.

    With the ``domain`` of a round's calibration, minima outside of it say so; with ``properties``
    they have those, at the geometries that were given only if ``given``: descriptors of large
    molecules cost more than the rest of a prediction. Structures of like size share a batch, so
    little of a batch is padding.
    """
    unique = structures.drop_duplicates("structure_id")
    size = unique["numbers"].map(len)
    unique = unique.assign(_size=size).sort_values(["_size", "structure_id"])
    minima: dict[str, Minimum] = {}
    for first in range(0, len(unique), settings.batch_size):
        part = unique.iloc[first : first + settings.batch_size]
        atoms = [atoms_from_row(row) for row in part.to_dict("records")]
        found = _relax(atoms, committee, settings, calibration or {}, properties, given)
        minima |= dict(zip(part["structure_id"], found, strict=True))
    return minima


def _relax(
    given: list[ase.Atoms],
    committee: Committee,
    settings: Prediction,
    calibration: Mapping[str, Any],
    properties: PropertyCommittee | None,
    given_too: bool,
) -> list[Minimum]:
    batch = AtomsBatch.from_atoms(given).to(committee.device)
    limit = settings.fmax_ev_per_angstrom
    result = relax_batch(committee, batch, limit, settings.max_steps)
    energies, start = result.energies.cpu().numpy(), result.energies_start.cpu().numpy()
    positions, owner = result.positions.cpu().numpy(), batch.structure.cpu().numpy()
    unseen = unseen_in_training(committee, batch)
    relaxed = batch.with_positions(result.positions)
    score = _domain_scores(relaxed, committee, calibration)
    told = _properties(relaxed, properties)
    told_given = told
    if settings.max_steps > 0:
        told_given = _properties(batch, properties) if given_too else {}
    minima = []
    for s, atoms in enumerate(given):
        moved = atoms.copy()
        moved.positions = positions[owner == s]
        reason = unseen[s]
        if reason is None and bool(result.failed[s]):
            reason = "the relaxation failed"
        if reason is None and settings.max_steps > 0:
            left = float(result.forces_max[s])
            unfinished = left > CONVERGED_ENOUGH * limit
            reason = f"not relaxed: {left:.2f} eV/Å left" if unfinished else None
            reason = reason or _rearranged(atoms, moved)
        if reason is None and score[s] > 1:
            reason = f"unlike the calibration data: domain score {score[s]:.2f}, the limit is 1"
        minima.append(
            Minimum(
                moved,
                energies[:, s],
                start[:, s],
                int(result.steps[s]),
                reason,
                {name: values[:, s] for name, values in told.items()},
                {name: values[:, s] for name, values in told_given.items()},
            )
        )
    return minima


def _properties(batch: AtomsBatch, properties: PropertyCommittee | None) -> dict[str, np.ndarray]:
    """Name → (M, S); nothing where the domain's objective needs none."""
    if properties is None:
        return {}
    return {name: values.numpy() for name, values in properties(batch).items()}


def _domain_scores(
    batch: AtomsBatch, committee: Committee, calibration: Mapping[str, Any]
) -> np.ndarray:
    """(S,) see :class:`molsieve.potential.uncertainty.Calibrated`; NaN without a domain."""
    if "domain" not in calibration:
        return np.full(batch.n_structures, np.nan)
    return calibrated(committee(batch), batch, calibration).domain_score


def _rearranged(before: ase.Atoms, after: ase.Atoms) -> str | None:
    change = rearrangement(before, after)
    return f"{REARRANGED}: {change.text}" if change else None


def minimum_rows(
    built: pd.DataFrame, minima: Mapping[str, Minimum], geometry_protocol_id: str
) -> list[dict]:
    """``structures`` rows of the minima, one for each built row, parent the built structure."""
    return [
        structure_row(
            minima[row["structure_id"]].atoms,
            species_id=row["species_id"],
            origin="relaxed",
            geometry_protocol_id=geometry_protocol_id,
            conformer=row["conformer"],
            parent_structure_id=row["structure_id"],
            candidate_id=row["candidate_id"],
            role=row["role"],
        )
        for row in built.to_dict("records")
        if np.isfinite(minima[row["structure_id"]].energies_ev).all()
    ]
