"""Singlet-triplet gap, oscillator strength and colour of an emitter, and how levels are checked.

All are vertical, at the molecule's one labelled geometry: S1 and T1 are the lowest excitations of
their spin, the gap is S1 − T1, the oscillator strength that of the transition to S1. A small gap
lets triplets flow back to S1, a large oscillator strength lets S1 shine (Gómez-Bombarelli et al.,
Nat. Mater. 15, 1120 (2016)); they are at odds, and so there is a Pareto front.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from molsieve.domains.oled.answer import answer_columns
from molsieve.objective import Objective
from molsieve.properties.definitions import label_values
from molsieve.tables import write_json, write_table

__all__ = ["answer_columns"]

GAP, SINGLET, STRENGTH = "singlet_triplet_gap", "singlet_energy", "oscillator_strength"
OBJECTIVES = (
    Objective(GAP, "eV", "S1 − T1", 3),
    Objective(SINGLET, "eV", "S1", 2),
    Objective(STRENGTH, "1", "f", 3),
)
PROPERTIES = ("singlet_energy_ev", "triplet_energy_ev", "sqrt_oscillator_strength")
ROLES = ("ground",)
"""Roles of a candidate's species."""
REPORTED = (("sa_score", "SA score", 1),)
"""Columns of the ranking that the page shows beside the objectives: name, heading, decimals."""
HOW_TO_READ = (
    "S1 and T1 are vertical excitation energies at the ground state's geometry, f is the "
    "oscillator strength of the transition to S1, SA score the synthetic accessibility from "
    "structure alone. TDA puts no S1 below its T1 where double excitations do (cyclazine, "
    "heptazine): a gap near zero may be an inverted one. Of labelled and confirmed candidates "
    "flags also say what S1 is: charge transfer (a hybrid without range separation puts it too "
    "low), Rydberg or above the ionisation energy (basis and functional may lack it), within 0.1 "
    "eV of S2 (as T1 of T2: the order may change with the geometry), or below T1."
)


def objective_values(
    energies_ev: Mapping[str, np.ndarray],
    calibration: Mapping[str, Any],
    compositions: Mapping[str, Any],
    properties: Mapping[str, Mapping[str, np.ndarray]],
) -> dict[str, np.ndarray]:
    """Gap and S1, eV, and oscillator strength, of the species' properties (any shape).

    Args:
        energies_ev, calibration, compositions: not needed; the ground state's energy cancels.
        properties: role → name → values; a negative root of the oscillator strength counts zero.
    """
    (role,) = ROLES
    told = properties[role]
    singlet, triplet, root = (np.asarray(told[name], float) for name in PROPERTIES)
    return {
        GAP: singlet - triplet,
        SINGLET: singlet,
        STRENGTH: np.maximum(root, 0.0) ** 2,
    }


def labelled_values(
    structures: pd.DataFrame, labels: pd.DataFrame, calibration: Mapping[str, Any]
) -> pd.DataFrame:
    """Observed objectives of the candidates whose molecule is labelled, with both roots.

    Args:
        structures: ``structures`` rows; those of origin "relaxed" with a candidate count, the
            first conformer where there are several.
        labels: winning ``labels`` rows of one level.

    Returns:
        DataFrame (candidate_id, singlet_triplet_gap, singlet_energy, oscillator_strength), sorted
        by candidate_id.
    """
    relaxed = structures.loc[
        (structures["origin"] == "relaxed") & structures["role"].isin(ROLES),
        ["structure_id", "candidate_id", "conformer"],
    ].dropna(subset=["candidate_id"])
    told = label_values(labels.loc[labels["status"] == "ok"], PROPERTIES)
    told = told.drop(columns="level_id").dropna()
    rows = relaxed.merge(told, on="structure_id")
    rows = rows.sort_values(["candidate_id", "conformer", "structure_id"])
    rows = rows.drop_duplicates("candidate_id")
    properties = {ROLES[0]: {name: rows[name].to_numpy(float) for name in PROPERTIES}}
    values = objective_values({}, calibration, {}, properties)
    return pd.DataFrame({"candidate_id": rows["candidate_id"].to_numpy(object), **values})


def extrapolated(values: np.ndarray, calibration: Mapping[str, Any]) -> np.ndarray:
    """No level is fitted to measurements, so none lies beyond them (bool)."""
    return np.zeros(np.shape(values), dtype=bool)


def calibrate_level(
    reference_species: pd.DataFrame,
    reference_structures: pd.DataFrame,
    labels: pd.DataFrame,
    molecules: pd.DataFrame,
    level_id: str,
    references_out: Path,
    calibration_out: Path,
    campaign: str = "",
) -> dict[str, Any]:
    """Compare a level's S1 and T1 with theoretical best estimates; nothing is fitted.

    Args:
        reference_species: ``species`` rows; ``couple`` names the molecule.
        reference_structures: ``structures`` rows; ``role`` measured or atom.
        labels: winning ``labels`` rows of the level.
        molecules: name, smiles, singlet_ev, triplet_ev, source; estimates may be NaN.

    Returns:
        What the JSON holds: level_id, n, singlet_mae_ev and triplet_mae_ev (where there is any),
        atom_energies_ev (by atomic number, as text), failed: molecules without a value, and why.
    """
    couples = reference_species[["species_id", "couple"]].drop_duplicates()
    rows = reference_structures[["structure_id", "species_id", "role", "numbers"]].merge(
        couples, on="species_id", how="left"
    )
    rows = rows.merge(labels.drop(columns="species_id", errors="ignore"), on="structure_id",
                      how="left")  # fmt: skip
    ok = rows[rows["status"] == "ok"]
    computed = label_values(ok, PROPERTIES[:2]).assign(couple=ok["couple"].to_numpy(object))
    computed = computed.dropna(subset="couple").drop_duplicates("couple").set_index("couple")
    asked = molecules[molecules["name"].isin(rows["couple"].dropna())]
    references = pd.concat(
        [
            _compared(asked, computed, level_id, state, measured, column)
            for state, measured, column in (
                ("S1", "singlet_ev", PROPERTIES[0]),
                ("T1", "triplet_ev", PROPERTIES[1]),
            )
        ],
        ignore_index=True,
    )
    write_table(references, "references", references_out, campaign)
    atoms = ok[ok["role"] == "atom"]
    lacking = rows[rows["couple"].notna() & (rows["status"] != "ok")]
    errors = {
        state: (references["computed"] - references["measured"])[
            references["name"].str.endswith(state)
        ]
        .dropna()
        .abs()
        for state in ("S1", "T1")
    }
    calibration: dict[str, Any] = {
        "level_id": level_id,
        "n": int(computed.index.isin(asked["name"]).sum()),
        "atom_energies_ev": {
            str(int(numbers[0])): float(energy)
            for numbers, energy in zip(atoms["numbers"], atoms["energy_ev"], strict=True)
        },
        "failed": dict(
            zip(lacking["couple"], lacking["error_kind"].fillna("no label"), strict=True)
        ),
    }
    for key, state in (("singlet_mae_ev", "S1"), ("triplet_mae_ev", "T1")):
        if len(errors[state]):
            calibration[key] = float(errors[state].mean())
    write_json(calibration, calibration_out)
    return calibration


def _compared(
    molecules: pd.DataFrame,
    computed: pd.DataFrame,
    level_id: str,
    state: str,
    measured: str,
    column: str,
) -> pd.DataFrame:
    """``references`` rows of one state, of molecules that have an estimate of it."""
    known = molecules[molecules[measured].notna()]
    values = known["name"].map(computed[column]).astype(float).to_numpy()
    return pd.DataFrame(
        {
            "level_id": level_id,
            "name": (known["name"] + f" {state}").to_numpy(object),
            "identifier": known["smiles"].to_numpy(object),
            "unit": "eV",
            "source": known["source"].to_numpy(object),
            "measured": known[measured].to_numpy(float),
            "computed": values,
            "fitted": values,
            "left_out": np.nan,
            "used": False,
            "grade": None,
        }
    )
