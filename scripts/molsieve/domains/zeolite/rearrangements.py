"""Minima that are no longer what was docked."""

from __future__ import annotations

import pandas as pd

from molsieve.chem.identities import atoms_from_row
from molsieve.crystals.rearrangements import rearrangement


def tell_rearranged(structures: pd.DataFrame) -> tuple[pd.DataFrame, set[str]]:
    """``structures`` less the minima that are another substance; those in which a proton moved.

    A minimum is compared with the structure that it was relaxed from, where that is among the rows.

    Returns:
        The rows that are left, and the structure_id of those whose protons alone moved.
    """
    if "parent_structure_id" not in structures:
        return structures, set()
    known = structures.drop_duplicates("structure_id").set_index("structure_id")
    relaxed = (known["origin"] == "relaxed") & known["parent_structure_id"].isin(known.index)
    gone: set[str] = set()
    moved: set[str] = set()
    for name, row in known[relaxed].iterrows():
        before, after = (atoms_from_row(r) for r in (known.loc[row["parent_structure_id"]], row))
        if before.numbers.tolist() != after.numbers.tolist():
            continue  # an empty framework that was taken out of a complex
        change = rearrangement(before, after)
        if change is not None:
            (moved if change.proton else gone).add(str(name))
    return structures[~structures["structure_id"].isin(gone)], moved
