"""The redox potential of a couple against SHE, its calibration per level, and which way is better.

    E = a [-(E(QH2) - E(Q) - E(H2)) / 2e] + b

is the two-electron, two-proton potential at pH 0 (Er, Suh, Marshak, Aspuru-Guzik, Chem. Sci. 6, 885
(2015)); a and b are fitted per level of theory to measured couples.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from molsieve.domains.flow_battery.calibration import fit_line
from molsieve.domains.flow_battery.config import Objective
from molsieve.section import CampaignError
from molsieve.tables import write_json, write_table

NAME = "redox_potential"
UNIT = "V"
ROLES = ("oxidised", "reduced")
"""Roles of a candidate's species."""
REPORTED = (("log_solubility", "log S", 2), ("sa_score", "SA score", 1))
"""Columns of the ranking that the page shows beside the potential: name, heading, decimals."""
HOW_TO_READ = (
    "The redox potential is that of the neutral species at pH 0, scaled to measured couples; "
    "solubility is the ESOL estimate and synthetic accessibility the SA score, both from structure "
    "alone."
)
ELECTRONS = 2
MIN_COUPLES = 10
"""Fewer couples cannot fit two parameters and judge them by leaving one out."""


def potential_v(
    e_oxidised_ev: np.ndarray | float,
    e_reduced_ev: np.ndarray | float,
    e_h2_ev: np.ndarray | float,
    slope: float = 1.0,
    intercept_v: float = 0.0,
) -> np.ndarray:
    """Potential against SHE at pH 0, V, of energies in eV; arrays of any shape broadcast."""
    reaction_ev = np.asarray(e_reduced_ev, float) - np.asarray(e_oxidised_ev, float) - e_h2_ev
    return np.asarray(slope * (-reaction_ev / ELECTRONS) + intercept_v)


def objective_values(
    energies_ev: Mapping[str, np.ndarray],
    calibration: Mapping[str, Any],
    compositions: Mapping[str, Any] | None = None,
) -> np.ndarray:
    """Calibrated potentials, V, of both species' energies (any shape, e.g. members x candidates).

    Args:
        energies_ev: by role.
        calibration: as written by :func:`calibrate_level`.
        compositions: not needed: every couple differs by two hydrogens.
    """
    return potential_v(
        energies_ev["oxidised"],
        energies_ev["reduced"],
        calibration["h2_energy_ev"],
        calibration["slope"],
        calibration["intercept_v"],
    )


def extrapolated(values: np.ndarray, calibration: Mapping[str, Any]) -> np.ndarray:
    """Which potentials, V, lie beyond the measured ones that their level was fitted to (bool)."""
    low = calibration.get("lowest_measured_v", -np.inf)
    high = calibration.get("highest_measured_v", np.inf)
    return (np.asarray(values, float) < low) | (np.asarray(values, float) > high)


def utility(values: np.ndarray | float, objective: Objective) -> np.ndarray:
    """How good potentials are, V, higher is better; same shape as ``values``, NaN stays NaN.

    A posolyte's is its potential, a negolyte's the negative; in a window it is minus the distance
    to the window, zero everywhere inside.
    """
    values = np.asarray(values, float)
    if objective.direction == "posolyte":
        return values
    if objective.direction == "negolyte":
        return -values
    low, high = _window(objective)
    return -np.maximum(np.maximum(low - values, values - high), 0.0)


def labelled_values(
    structures: pd.DataFrame, labels: pd.DataFrame, calibration: Mapping[str, Any]
) -> pd.DataFrame:
    """Observed potential of the candidates whose two relaxed structures are labelled.

    Args:
        structures: ``structures`` rows; those of origin "relaxed" with a candidate count, one per
            role (the first, where there are several).
        labels: winning ``labels`` rows of one level.

    Returns:
        DataFrame (candidate_id, value): V, sorted by candidate_id.
    """
    relaxed = structures.loc[
        (structures["origin"] == "relaxed") & structures["candidate_id"].notna(),
        ["structure_id", "candidate_id", "role"],
    ]
    ok = labels.loc[labels["status"] == "ok", ["structure_id", "energy_ev"]]
    energies = (
        relaxed.merge(ok, on="structure_id")
        .drop_duplicates(["candidate_id", "role"])
        .pivot(index="candidate_id", columns="role", values="energy_ev")
        .reindex(columns=["oxidised", "reduced"])
        .dropna()
        .sort_index()
    )
    values = objective_values({r: energies[r].to_numpy(float) for r in ROLES}, calibration)
    return pd.DataFrame({"candidate_id": energies.index.astype(object), "value": values})


def calibrate_level(
    reference_species: pd.DataFrame,
    reference_structures: pd.DataFrame,
    labels: pd.DataFrame,
    couples: pd.DataFrame,
    level_id: str,
    references_out: Path,
    calibration_out: Path,
    campaign: str = "",
) -> dict[str, Any]:
    """Fit slope and intercept of a level to the measured couples it labelled; write both files.

    Args:
        reference_species: ``species`` rows; ``couple`` names the couple of its two species.
        reference_structures: ``structures`` rows; ``role`` oxidised, reduced, dihydrogen or atom.
        labels: winning ``labels`` rows of the level.
        couples: name, smiles, potential_v; grade and source where known. Those that
            ``reference_species`` does not name were not asked for and are left aside.

    Returns:
        What the JSON holds: slope, intercept_v, their standard errors, residual_std_v, the
        leave-one-out errors loo_mae_v, loo_rmse_v and loo_max_v, n, lowest_measured_v and
        highest_measured_v, h2_energy_ev, atom_energies_ev (by atomic number, as text), level_id,
        and failed: the couples left out with the reason.

    Raises:
        CampaignError: no label of H2 or of ten couples, or a level that orders them wrongly.
    """
    couples = couples[couples["name"].isin(reference_species["couple"])]
    rows = _labelled_references(reference_species, reference_structures, labels)
    h2_energy_ev = _h2_energy(rows)
    computed, failed = _computed_potentials(rows, couples, h2_energy_ev)
    used = computed.notna().to_numpy()
    if used.sum() < MIN_COUPLES:
        raise CampaignError(
            f"the level is labelled for {used.sum()} of {len(couples)} measured couples, at least "
            f"{MIN_COUPLES} are needed; without: "
            + "; ".join(f"{name} ({why})" for name, why in sorted(failed.items()))
            + ". Repeat them with molsieve retry --references, or name more couples"
        )
    measured = couples["potential_v"].to_numpy(float)
    fit = fit_line(computed.to_numpy(float)[used], measured[used])
    if fit["slope"] <= 0:
        raise CampaignError(
            f"the level orders the measured couples wrongly (slope {fit['slope']:.3f}): "
            "choose another level of theory"
        )
    calibration = {
        **{key: value for key, value in fit.items() if key != "left_out"},
        "h2_energy_ev": h2_energy_ev,
        "atom_energies_ev": _atom_energies(rows),
        "level_id": level_id,
        "failed": failed,
    }
    left_out = np.full(len(couples), np.nan)
    left_out[used] = fit["left_out"]
    references = pd.DataFrame(
        {
            "level_id": level_id,
            "name": couples["name"].to_numpy(),
            "identifier": couples["smiles"].to_numpy(),
            "unit": UNIT,
            "source": _column(couples, "source", ""),
            "measured": measured,
            "computed": computed.to_numpy(float),
            "fitted": fit["slope"] * computed.to_numpy(float) + fit["intercept_v"],
            "left_out": left_out,
            "used": used,
            "grade": _column(couples, "grade", None),
        }
    )
    write_table(references, "references", references_out, campaign)
    write_json(calibration, calibration_out)
    return calibration


def _window(objective: Objective) -> tuple[float, float]:
    assert objective.window_v is not None  # the config guarantees it
    return objective.window_v


def _labelled_references(
    species: pd.DataFrame, structures: pd.DataFrame, labels: pd.DataFrame
) -> pd.DataFrame:
    """One row a reference structure: couple, role, numbers, status, energy_ev, error_kind."""
    couples = species[["species_id", "couple"]].drop_duplicates()
    rows = structures[["structure_id", "species_id", "role", "numbers"]].merge(
        couples, on="species_id", how="left"
    )
    columns = ["structure_id", "status", "energy_ev", "error_kind"]
    return rows.merge(labels[columns], on="structure_id", how="left")


def _h2_energy(rows: pd.DataFrame) -> float:
    found = rows[(rows["role"] == "dihydrogen") & (rows["status"] == "ok")]
    if found.empty:
        raise CampaignError("H2 has no label at this level: no potential can be computed from it")
    return float(found["energy_ev"].iloc[0])


def _computed_potentials(
    rows: pd.DataFrame, couples: pd.DataFrame, h2_energy_ev: float
) -> tuple[pd.Series, dict[str, str]]:
    """Uncalibrated potential of each couple (V, NaN where a label lacks) and why it lacks."""
    values, failed = [], {}
    for name in couples["name"]:
        energies: dict[str, float] = {}
        for role in ("oxidised", "reduced"):
            found = rows[(rows["couple"] == name) & (rows["role"] == role)]
            ok = found[found["status"] == "ok"]
            if ok.empty:
                kinds = found["error_kind"].dropna()
                reason = (
                    kinds.iloc[0] if len(kinds) else "no label" if len(found) else "no geometry"
                )
                failed[name] = f"{role}: {reason}"
                energies[role] = np.nan
            else:
                energies[role] = float(ok["energy_ev"].iloc[0])
        values.append(float(potential_v(energies["oxidised"], energies["reduced"], h2_energy_ev)))
    return pd.Series(values, dtype=float), failed


def _atom_energies(rows: pd.DataFrame) -> dict[str, float]:
    atoms = rows[(rows["role"] == "atom") & (rows["status"] == "ok")]
    return {
        str(int(numbers[0])): float(energy)
        for numbers, energy in zip(atoms["numbers"], atoms["energy_ev"], strict=True)
    }


def _column(couples: pd.DataFrame, name: str, default: Any) -> Any:
    return couples[name].to_numpy() if name in couples.columns else default
