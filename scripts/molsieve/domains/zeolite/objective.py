"""The binding energy of guests in a framework, and what its level of theory is checked against.

    E = [E(complex) - E(framework) - n E(guest)] / n

a guest, or divided by the T sites in place of the n guests (Schwalbe-Koda and Gómez-Bombarelli, J.
Chem. Phys. 154, 174109 (2021)); negative: bound. Complex and empty framework are in the same fixed
cell. All three are energies of minima: of several geometries of a species the lowest counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from molsieve.chem.identities import BUILT_ORIGINS
from molsieve.crystals.soundness import kinds_of
from molsieve.domains.zeolite import config
from molsieve.domains.zeolite.config import LABELS_MINIMA
from molsieve.domains.zeolite.identifiers import parse_identifier
from molsieve.domains.zeolite.references import QUARTZ
from molsieve.domains.zeolite.scores import ranking_columns
from molsieve.section import CampaignError
from molsieve.tables import write_json, write_table
from molsieve.units import EV_PER_KJ_PER_MOL

__all__ = ["LABELS_MINIMA", "ranking_columns"]

NAME = "binding_energy"
UNIT = "eV"
ROLES = ("complex", "framework", "guest")
SHARED_ROLES = ("framework", "guest")
POSES = True
REFERENCE_UNIT = "eV/SiO2"
REPORTED = (
    ("binding_ev_per_t", "eV a T site", 4),
    ("competition_ev_per_t", "competition", 4),
    ("directivity_ev_per_t", "directivity", 4),
    ("templating_ev_per_t", "templating", 4),
    ("framework_ev_per_t", "framework − quartz", 3),
    ("sa_score", "SA score", 1),
)
"""Columns of the ranking that the page shows beside the binding energy: name, heading, decimals."""
HOW_TO_READ = (
    "The binding energy is that of a guest in its fixed cell, without zero-point energy, heat or "
    "entropy; charged guests are compared as neutral analogues. Competition is against the second "
    "best framework for the guest, directivity against the second best guest of the framework, "
    "templating combines both; like the framework's energy against quartz they are in eV a T site, "
    "and lower is better."
)


def drawn(identifier: str) -> str:
    """What the page draws of a candidate: its guest."""
    return parse_identifier(identifier).guest


def objective_values(
    energies_ev: Mapping[str, np.ndarray],
    calibration: Mapping[str, Any],
    compositions: Mapping[str, Sequence[Sequence[int] | None]],
) -> np.ndarray:
    """Binding energies a guest, eV, of energies by role (…, C); NaN where a species is unknown.

    Args:
        calibration: not needed: energy zeros cancel.
        compositions: role → atomic numbers of each candidate's structures; they tell how many
            guests a complex holds.
    """
    n = guests_a_cell(compositions)
    return np.asarray(
        (energies_ev["complex"] - energies_ev["framework"] - n * energies_ev["guest"]) / n
    )


def guests_a_cell(compositions: Mapping[str, Sequence[Sequence[int] | None]]) -> np.ndarray:
    """(C,) guests in each complex, from the numbers of atoms; NaN where one is unknown.

    Raises:
        ValueError: a complex that is no framework and a whole number of guests.
    """
    counts = []
    for whole, framework, guest in zip(*(compositions[role] for role in ROLES), strict=True):
        if whole is None or framework is None or guest is None:
            counts.append(np.nan)
            continue
        n, rest = divmod(len(whole) - len(framework), len(guest))
        if n < 1 or rest:
            raise ValueError(
                f"{len(whole)} atoms are not {len(framework)} and guests of {len(guest)}"
            )
        counts.append(float(n))
    return np.array(counts, float)


def t_sites(numbers: Sequence[int]) -> int:
    """T sites of an empty framework of these atomic numbers."""
    return int((kinds_of(np.asarray(numbers, int)) == "T").sum())


def utility(values: np.ndarray | float, objective: config.Objective) -> np.ndarray:
    """How good binding energies are, eV, higher is better: minus the energy; NaN stays NaN."""
    return -np.asarray(values, float)


def extrapolated(values: np.ndarray, calibration: Mapping[str, Any]) -> np.ndarray:
    """No level is fitted to measured binding energies, so none lies beyond them (bool)."""
    return np.zeros(np.shape(values), dtype=bool)


def labelled_values(
    structures: pd.DataFrame, labels: pd.DataFrame, calibration: Mapping[str, Any]
) -> pd.DataFrame:
    """Observed binding energy of the candidates whose minima are labelled.

    A candidate whose complex is labelled at its docked pose only (origin "built") has no value
    yet. One with a labelled minimum of the committee has the lowest labelled energy of both: any
    of them is an upper bound of the minimum's, and a young committee's minimum may lie above the
    pose it came from.

    Args:
        structures: ``structures`` rows; those with a candidate tell which species it has, the
            others count for their species too, whosever rows they are.
        labels: winning ``labels`` rows of one level.

    Returns:
        DataFrame (candidate_id, value, framework_ev_per_t): eV a guest, and the energy of the
        empty framework against quartz, eV a T site (NaN with heteroatoms); sorted by candidate_id.
    """
    chosen = _lowest_labelled(structures, labels, BUILT_ORIGINS)
    minima = _lowest_labelled(structures, labels, ("relaxed",))
    known = minima.loc[minima["role"] == "complex", "candidate_id"]
    chosen = chosen[chosen["candidate_id"].isin(known)]
    values = _values(chosen, "energy_ev", calibration)
    frameworks = chosen[chosen["role"] == "framework"].set_index("candidate_id")
    against_quartz = [
        _against_quartz(frameworks.loc[candidate], calibration) for candidate in values.index
    ]
    return pd.DataFrame(
        {
            "candidate_id": values.index.astype(object),
            "value": values.to_numpy(float),
            "framework_ev_per_t": np.array(against_quartz, float),
        }
    )


def judged_geometries(structures: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """``structures`` rows at which the committee meets the labels of a candidate, origin "relaxed".

    Of each role the lowest labelled minimum, of a complex that was labelled at its docked pose only
    that pose: an energy is as good a test anywhere. One row for each role of each candidate.
    """
    minima = _lowest_labelled(structures, labels, ("relaxed",))
    poses = _lowest_labelled(structures, labels, BUILT_ORIGINS)
    rows = pd.concat([minima, poses]).drop_duplicates(["candidate_id", "role"])
    columns = [*structures.columns.drop(["candidate_id", "role", "origin"])]
    return rows[[*columns, "candidate_id", "role"]].assign(origin="relaxed")


def calibrate_level(
    reference_species: pd.DataFrame,
    reference_structures: pd.DataFrame,
    labels: pd.DataFrame,
    measured: pd.DataFrame,
    level_id: str,
    references_out: Path,
    calibration_out: Path,
    campaign: str = "",
) -> dict[str, Any]:
    """Set a level's framework energies against quartz beside measured enthalpies; write both files.

    Nothing is fitted: binding energies are differences at one level. Cells are fixed, and the
    computed values are energies, the measured ones enthalpies at 298 K.

    Args:
        reference_species, reference_structures: as ``build_references`` wrote them; ``couple``
            names the framework.
        labels: winning ``labels`` rows of the level.
        measured: of :func:`~molsieve.domains.zeolite.references.measured_systems`.

    Returns:
        What the JSON holds: quartz_energy_ev_per_t, atom_energies_ev (by atomic number, as text),
        enthalpy_mae_ev_per_t over n frameworks, level_id, failed.

    Raises:
        CampaignError: quartz has no label.
    """
    names = reference_species[["species_id", "couple"]].drop_duplicates()
    rows = reference_structures.merge(names, on="species_id", how="left").merge(
        labels[["structure_id", "status", "energy_ev", "error_kind"]], on="structure_id", how="left"
    )
    ok = rows[rows["status"] == "ok"]
    quartz = ok[ok["role"] == QUARTZ]
    if quartz.empty:
        raise CampaignError(
            "quartz has no label at this level: no framework energy can be told against it. Repeat "
            "it with molsieve retry --references"
        )
    per_t = ok[ok["couple"].notna()].set_index("couple").apply(_energy_per_t, axis=1)
    zero = float(per_t[QUARTZ])
    systems = measured[measured["name"].isin(rows["couple"].dropna())]
    computed = systems["name"].map(per_t).astype(float).to_numpy() - zero
    enthalpies = systems["enthalpy_kj_per_mol"].to_numpy(float) * EV_PER_KJ_PER_MOL
    used = np.isfinite(computed)
    references = pd.DataFrame(
        {
            "level_id": level_id,
            "name": systems["name"].to_numpy(),
            "identifier": systems["name"].to_numpy(),
            "unit": REFERENCE_UNIT,
            "source": systems["source"].to_numpy(),
            "measured": enthalpies,
            "computed": computed,
            "fitted": computed,
            "left_out": np.nan,
            "used": used,
            "grade": systems["status"].to_numpy(),
        }
    )
    errors = np.abs(computed - enthalpies)[used]
    atoms = ok[ok["role"] == "atom"]
    lacking = rows[rows["couple"].notna() & (rows["status"] != "ok")]
    calibration = {
        "quartz_energy_ev_per_t": zero,
        "atom_energies_ev": {
            str(int(numbers[0])): float(energy)
            for numbers, energy in zip(atoms["numbers"], atoms["energy_ev"], strict=True)
        },
        "n": int(used.sum()),
        "level_id": level_id,
        "failed": dict(
            zip(lacking["couple"], lacking["error_kind"].fillna("no label"), strict=True)
        ),
    }
    if len(errors):
        calibration["enthalpy_mae_ev_per_t"] = float(errors.mean())
    write_table(references, "references", references_out, campaign)
    write_json(calibration, calibration_out)
    return calibration


def _against_quartz(framework: pd.Series, calibration: Mapping[str, Any]) -> float:
    if set(framework["numbers"]) != {8, 14}:
        return np.nan
    return _energy_per_t(framework) - float(calibration.get("quartz_energy_ev_per_t", np.nan))


def _energy_per_t(row: pd.Series) -> float:
    return float(row["energy_ev"]) / max(1, t_sites(row["numbers"]))


def _lowest_labelled(
    structures: pd.DataFrame, labels: pd.DataFrame, origins: Sequence[str]
) -> pd.DataFrame:
    """For each candidate and role the lowest labelled geometry of its species, if there is one."""
    owned = structures["candidate_id"].notna() & structures["role"].isin(ROLES)
    needed = structures.loc[owned, ["candidate_id", "role", "species_id"]].drop_duplicates()
    ok = labels.loc[labels["status"] == "ok", ["structure_id", "energy_ev"]]
    known = structures.loc[structures["origin"].isin(origins)].drop_duplicates("structure_id")
    known = known.drop(columns=["candidate_id", "role"]).merge(ok, on="structure_id")
    lowest = known.sort_values(["energy_ev", "structure_id"]).drop_duplicates("species_id")
    return needed.merge(lowest, on="species_id")


def _values(chosen: pd.DataFrame, energy: str, calibration: Mapping[str, Any]) -> pd.Series:
    """Binding energy by candidate_id of those with all roles, sorted."""
    roles = list(ROLES)

    def by_role(column: str) -> pd.DataFrame:
        table = chosen.pivot(index="candidate_id", columns="role", values=column)
        return table.reindex(columns=roles).dropna().sort_index()

    energies = by_role(energy)
    numbers = by_role("numbers").loc[energies.index]
    values = objective_values(
        {role: energies[role].to_numpy(float) for role in roles},
        calibration,
        {role: numbers[role].tolist() for role in roles},
    )
    return pd.Series(values, energies.index, dtype=float)
