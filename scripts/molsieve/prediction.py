"""The committee's word on every candidate: relax its species, evaluate the objective, say how sure.

A candidate is ``in_domain`` when all of these hold, else ``reason`` names the first that does not:
its elements and charge states were all seen in training; the relaxation of each species stayed
finite and ended within ``minima.CONVERGED_ENOUGH`` times the force threshold; no bond broke or
formed on the way; no minimum lies outside of :mod:`molsieve.potential.domain_of_validity` of the
calibration; the members' spread is not above ``std_raw_limit`` of the calibration (beyond it
nothing was tested).
Every accepted candidate gets exactly one row an objective; one without a geometry or without a
finite energy is ``failed``, with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from molsieve.campaign import Prediction
from molsieve.hosts import emptied_hosts
from molsieve.minima import (
    Minimum,
    built_geometries,
    lowest_poses,
    minimum_rows,
    relax_structures,
)
from molsieve.objective import (
    has_poses,
    has_several,
    hosted_roles,
    mean_and_spread,
    member_values,
    objectives,
    properties,
    species_roles,
)
from molsieve.potential.committee import Committee
from molsieve.prediction_shards import candidate_shards_read, prediction_shard
from molsieve.section import digest
from molsieve.tables import read_table, write_table

if TYPE_CHECKING:
    from molsieve.properties.committee import PropertyCommittee

SMALLEST_STD = 1e-6
"""In the objective's unit: members that agree exactly are still not certain."""


def predict_candidates(
    candidates: pd.DataFrame,
    species: pd.DataFrame,
    structures: pd.DataFrame,
    committee: Committee,
    domain: str,
    calibration: Mapping[str, Any],
    level_calibration: Mapping[str, Any],
    settings: Prediction,
    round: int,
    level_id: str,
    predictions_out: Path,
    structures_out: Path,
    campaign: str = "",
    property_committee: PropertyCommittee | None = None,
) -> dict[str, int]:
    """Predict the objective of a job's candidates; write ``predictions`` and their minima.

    Args:
        candidates: those of this job (see :mod:`molsieve.prediction_shards`).
        species, structures: theirs, and of others; structures hold the built geometries.
        calibration: the round's ``evaluation/calibration.json``.
        level_calibration: the level's ``calibration.json``.
        predictions_out: ``predictions``, sorted by candidate.
        structures_out: ``structures``, origin "relaxed", parent the built structure; of several
            poses the lowest, of a host also from its complexes' minima.
        property_committee: of a domain whose objectives need properties.

    Returns:
        Counts: candidates, failed, out_of_domain.
    """
    ids = sorted(set(candidates.loc[candidates["status"] == "accepted", "candidate_id"]))
    built = built_geometries(ids, structures, species_roles(domain), has_poses(domain))
    minima = relax_structures(
        built, committee, settings, calibration, property_committee, given=False
    )
    hosted = hosted_roles(domain)
    if hosted is not None and settings.max_steps > 0:
        hosts = emptied_hosts(built, minima, committee, settings, *hosted)
        minima |= relax_structures(hosts, committee, settings, calibration)
        built = pd.concat([built, hosts], ignore_index=True)
    built = lowest_poses(built, minima)
    rows = predicted_rows(ids, built, minima, domain, calibration, level_calibration)
    failures = _build_failures(species)
    for row in rows:
        if row["status"] == "failed" and row["candidate_id"] in failures:
            row["reason"] = failures[row["candidate_id"]]
        row |= {"round": round, "level_id": level_id}
    write_table(rows, "predictions", predictions_out, campaign)
    protocol = digest(["committee minimum", level_id, round, settings.model_dump(mode="json")])
    write_table(minimum_rows(built, minima, protocol), "structures", structures_out, campaign)
    return {
        "candidates": len(ids),
        "failed": len({row["candidate_id"] for row in rows if row["status"] == "failed"}),
        "out_of_domain": len({row["candidate_id"] for row in rows if not row["in_domain"]}),
    }


def candidates_of_shard(
    paths: Sequence[str | Path], shard: int, shards: int, candidate_shards: int
) -> pd.DataFrame:
    """The candidates of prediction job ``shard``, from the candidate shards that it reads."""
    parts = []
    for number, path in zip(
        candidate_shards_read(shard, shards, candidate_shards), paths, strict=True
    ):
        rows = read_table(path, "candidates")
        mine = [
            prediction_shard(candidate, number, candidate_shards, shards) == shard
            for candidate in rows["candidate_id"]
        ]
        parts.append(rows.loc[np.array(mine, dtype=bool)])
    return pd.concat(parts, ignore_index=True)


def predicted_rows(
    candidate_ids: list[str],
    built: pd.DataFrame,
    minima: Mapping[str, Minimum],
    domain: str,
    calibration: Mapping[str, Any],
    level_calibration: Mapping[str, Any],
) -> list[dict]:
    """One row a candidate and objective, in the given order, less ``round`` and ``level_id``.

    A candidate of which one objective cannot be told fails by all of them.

    Args:
        calibration: of a domain with several objectives, each is below ``objectives``.
    """
    roles = species_roles(domain)
    found = role_minima(candidate_ids, built, minima, roles)
    members = objective_members(found, domain, level_calibration)
    finite = np.all([np.isfinite(m).all(axis=0) for m in members.values()], axis=0)
    moments = {name: mean_and_spread(values) for name, values in members.items()}
    rows = []
    for c, candidate in enumerate(candidate_ids):
        missing = [role for role in roles if found[c][role] is None]
        why = f"no geometry: {', '.join(missing)}" if missing else _not_finite(found[c], finite[c])
        for objective in objectives(domain):
            row: dict[str, Any] = {"candidate_id": candidate}
            row |= {"objective": objective.name, "unit": objective.unit}
            if why is not None:
                rows.append({**row, "status": "failed", "in_domain": False, "reason": why})
                continue
            own = of_objective(calibration, objective.name, domain)
            mean, spread = (float(moment[c]) for moment in moments[objective.name])
            reason = _outside(found[c], spread, own.get("std_raw_limit"), objective.unit)
            rows.append(
                row
                | {"status": "ok", "in_domain": reason is None, "reason": reason}
                | {"members": members[objective.name][:, c].tolist()}
                | calibrated(mean, spread, own)
            )
    return rows


def of_objective(calibration: Mapping[str, Any], name: str, domain: str) -> Mapping[str, Any]:
    """What a round's calibration says of one objective."""
    if not has_several(domain):
        return calibration
    told: Mapping[str, Any] = calibration["objectives"][name]
    return told


def _not_finite(species: Mapping[str, Minimum | None], finite: bool) -> str | None:
    """Why a candidate whose species all have a geometry has no prediction, None if it has one."""
    if finite:
        return None
    known = [np.isfinite(m.energies_ev).all() for m in species.values() if m is not None]
    return "a property is not finite" if all(known) else "the energy is not finite"


def role_minima(
    candidate_ids: list[str],
    built: pd.DataFrame,
    minima: Mapping[str, Minimum],
    roles: tuple[str, ...],
) -> list[dict[str, Minimum | None]]:
    """For each candidate, role → its minimum, None where no geometry was built."""
    keys = zip(built["candidate_id"], built["role"], strict=True)
    structure = dict(zip(keys, built["structure_id"], strict=True))
    return [
        {role: minima.get(structure.get((c, role), "")) for role in roles} for c in candidate_ids
    ]


def objective_members(
    found: list[dict[str, Minimum | None]],
    domain: str,
    level_calibration: Mapping[str, Any],
    at_given_geometry: bool = False,
) -> dict[str, np.ndarray]:
    """Objective → (M, C) member by member; NaN where a species has no minimum."""
    sizes = [len(m.energies_ev) for species in found for m in species.values() if m is not None]
    roles, shape = species_roles(domain), (sizes[0] if sizes else 2, len(found))
    energies = {role: np.full(shape, np.nan) for role in roles}
    told = {role: {name: np.full(shape, np.nan) for name in properties(domain)} for role in roles}
    compositions = {
        role: [None if (m := species.get(role)) is None else m.atoms.numbers for species in found]
        for role in roles
    }
    for c, species in enumerate(found):
        for role, minimum in species.items():
            if minimum is None:
                continue
            values = minimum.energies_given_ev if at_given_geometry else minimum.energies_ev
            energies[role][:, c] = values
            own = minimum.properties_given if at_given_geometry else minimum.properties
            for name in told[role]:
                told[role][name][:, c] = own.get(name, np.nan)
    return member_values(domain, energies, level_calibration, compositions, told)


def calibrated(mean: float, std_raw: float, calibration: Mapping[str, Any]) -> dict[str, Any]:
    """mean, std_raw, std = scale · s, and intervals mean ± q · s, s the moderated spread."""
    spread = float(moderated(np.array(std_raw), calibration))

    def interval(quantile: float) -> list[float]:
        return [mean - quantile * spread, mean + quantile * spread]

    return {
        "mean": mean,
        "std_raw": std_raw,
        "std": calibration["scale"] * spread,
        "interval_68": interval(calibration["q68"]),
        "interval_95": interval(calibration["q95"]),
    }


def moderated(std_raw: np.ndarray, calibration: Mapping[str, Any]) -> np.ndarray:
    """Spreads (any shape) drawn towards what the calibration couples have in common.

    s² = w std_raw² + (1 - w) common_std²: the variance of a few members is itself a draw (of three
    it is often a tenth of what it should be), and a ratio of error to it has no finite variance.
    """
    own, common = calibration.get("own_weight", 1.0), calibration.get("common_std", 0.0)
    spread = np.sqrt(own * np.square(std_raw) + (1 - own) * common**2)
    return np.maximum(spread, SMALLEST_STD)


def _outside(
    species: Mapping[str, Minimum | None], spread: float, limit: float | None, unit: str
) -> str | None:
    for role, minimum in species.items():
        if minimum is not None and minimum.reason:
            return f"{role}: {minimum.reason}"
    if limit is not None and spread > limit:
        return f"spread {spread:.3g} {unit} beyond the calibrated {limit:.3g} {unit}"
    return None


def _build_failures(species: pd.DataFrame) -> dict[str, str]:
    """candidate_id → which of its species could not be built, and why."""
    failed = species[(species["status"] != "ok") & species["candidate_id"].notna()]
    reasons: dict[str, list[str]] = {}
    for row in failed.to_dict("records"):
        told = [row[key] for key in ("error_kind", "error_message") if pd.notna(row[key])]
        reasons.setdefault(row["candidate_id"], []).append(
            f"{row['role']}: {told[0] if told else 'not built'}"
        )
    return {candidate: "; ".join(sorted(why)) for candidate, why in reasons.items()}
