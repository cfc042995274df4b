"""A level's framework energies against quartz, beside measured enthalpies of transition."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from molsieve.crystals.soundness import kinds_of
from molsieve.domains.zeolite.references import QUARTZ
from molsieve.section import CampaignError
from molsieve.tables import write_json, write_table
from molsieve.units import EV_PER_KJ_PER_MOL

REFERENCE_UNIT = "eV/SiO2"


def t_sites(numbers: Sequence[int]) -> int:
    """T sites of an empty framework of these atomic numbers."""
    return int((kinds_of(np.asarray(numbers, int)) == "T").sum())


def energy_per_t(row: pd.Series) -> float:
    """Labelled energy of an empty framework (numbers, energy_ev), eV a T site."""
    return float(row["energy_ev"]) / max(1, t_sites(row["numbers"]))


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
            names the framework, one that could not be built has no structure.
        labels: winning ``labels`` rows of the level.
        measured: of :func:`~molsieve.domains.zeolite.references.measured_systems`.

    Returns:
        What the JSON holds: quartz_energy_ev_per_t, atom_energies_ev (by atomic number, as text),
        enthalpy_mae_ev_per_t over n frameworks, level_id, and failed: the frameworks without an
        energy, with the reason.

    Raises:
        CampaignError: quartz could not be built, or has no label.
    """
    rows = _labelled(reference_species, reference_structures, labels)
    failed = _failures(reference_species, rows)
    if QUARTZ in failed:
        raise CampaignError(_without_quartz(failed[QUARTZ], QUARTZ in set(rows["couple"])))
    ok = rows[rows["status"] == "ok"]
    per_t = ok[ok["couple"].notna()].set_index("couple").apply(energy_per_t, axis=1)
    zero = float(per_t[QUARTZ])
    systems = measured[measured["name"].isin(reference_species["couple"].dropna())]
    references = _references(systems, systems["name"].map(per_t).astype(float) - zero, level_id)
    atoms = ok[ok["role"] == "atom"]
    calibration = {
        "quartz_energy_ev_per_t": zero,
        "atom_energies_ev": {
            str(int(numbers[0])): float(energy)
            for numbers, energy in zip(atoms["numbers"], atoms["energy_ev"], strict=True)
        },
        "n": int(references["used"].sum()),
        "level_id": level_id,
        "failed": failed,
    }
    if calibration["n"]:
        errors = (references["computed"] - references["measured"]).abs()
        calibration["enthalpy_mae_ev_per_t"] = float(errors[references["used"]].mean())
    write_table(references, "references", references_out, campaign)
    write_json(calibration, calibration_out)
    return calibration


def _labelled(
    species: pd.DataFrame, structures: pd.DataFrame, labels: pd.DataFrame
) -> pd.DataFrame:
    """One row a reference structure with its label; status is null where there is none."""
    names = species[["species_id", "couple"]].drop_duplicates()
    columns = ["structure_id", "status", "energy_ev", "error_kind", "error_message"]
    rows = structures.merge(names, on="species_id", how="left")
    return rows.merge(labels.reindex(columns=columns), on="structure_id", how="left")


def _failures(species: pd.DataFrame, rows: pd.DataFrame) -> dict[str, str]:
    """Framework → why it has no energy, of those that have none."""
    named = species[species["couple"].notna()].set_index("couple")
    built = rows[rows["couple"].notna()].set_index("couple")
    failed = {}
    for name in named.index.drop_duplicates():
        if name not in built.index:
            failed[name] = f"not built: {_reason(named.loc[name])}"
        elif built.loc[name, "status"] != "ok":
            failed[name] = f"not labelled: {_reason(built.loc[name])}"
    return failed


def _reason(row: pd.Series) -> str:
    """Kind and message of a failure, where they are told."""
    told = [row.get("error_kind"), row.get("error_message")]
    return ", ".join(str(text) for text in told if isinstance(text, str) and text) or "no reason"


def _without_quartz(reason: str, built: bool) -> str:
    """What to do without a zero of framework energies."""
    cure = (
        "Repeat its label with molsieve retry --references"
        if built
        else "Delete references/structures.parquet in the campaign's results and give the same "
        "command again to build it anew; if it fails again, change structures.fmax_ev_per_angstrom "
        "or structures.framework_steps"
    )
    return f"quartz is {reason}. No framework energy can be told against it. {cure}"


def _references(systems: pd.DataFrame, computed: pd.Series, level_id: str) -> pd.DataFrame:
    """Rows of ``references``; computed in eV a T site against quartz, NaN without an energy."""
    values = computed.to_numpy(float)
    return pd.DataFrame(
        {
            "level_id": level_id,
            "name": systems["name"].to_numpy(),
            "identifier": systems["name"].to_numpy(),
            "unit": REFERENCE_UNIT,
            "source": systems["source"].to_numpy(),
            "measured": systems["enthalpy_kj_per_mol"].to_numpy(float) * EV_PER_KJ_PER_MOL,
            "computed": values,
            "fitted": values,
            "left_out": np.nan,
            "used": np.isfinite(values),
            "grade": systems["status"].to_numpy(),
        }
    )
