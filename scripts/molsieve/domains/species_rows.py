"""Rows of ``species``, and both tables of what was built, alike in every domain."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd

from molsieve import tables
from molsieve.chem import identities


def species_row(role: str, identifier: str, charge_e: int = 0, multiplicity: int = 1) -> dict:
    """A chemical state; candidate and status are its owner's to add."""
    return {
        "species_id": identities.species_id(identifier, charge_e, multiplicity),
        "role": role,
        "identifier": identifier,
        "charge_e": charge_e,
        "multiplicity": multiplicity,
    }


def failure(kind: str, message: str) -> dict:
    """Columns of a species that could not be built."""
    return {"status": "failed", "error_kind": kind, "error_message": message}


def write_built(
    species: list[dict],
    structures: list[dict],
    species_out: Path,
    structures_out: Path,
    campaign: str,
) -> dict[str, int]:
    """Write both tables, sorted by species and candidate.

    Returns:
        How many species are ok (key ``ok``) and failed, by kind.
    """
    for rows, name, path in (
        (species, "species", species_out),
        (structures, "structures", structures_out),
    ):
        tables.write_table(_sorted(rows, name), name, path, campaign)
    return dict(sorted(Counter(row.get("error_kind") or "ok" for row in species).items()))


def _sorted(rows: list[dict], table: str) -> pd.DataFrame:
    rows = sorted(rows, key=lambda row: (row["species_id"], row.get("candidate_id") or ""))
    return pd.DataFrame(rows) if rows else tables.empty_table(table)
