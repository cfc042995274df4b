"""Geometries that are the same but for rotation, reflection and the order of equal atoms."""

from __future__ import annotations

import numpy as np
import pandas as pd

DUPLICATE_ANGSTROM = 0.02
"""Two geometries are the same when their sorted distances differ by less (root mean square)."""


def without_duplicates(rows: list[dict], known: pd.DataFrame) -> list[dict]:
    """``rows`` less those whose geometry is already known for the species or in an earlier row."""
    species = {row["species_id"] for row in rows}
    seen: dict[str, list[np.ndarray]] = {s: [] for s in species}
    for row in known[known["species_id"].isin(species)].to_dict("records"):
        seen[row["species_id"]].append(distance_fingerprint(row))
    kept = []
    for row in rows:
        mine = distance_fingerprint(row)
        others = seen[row["species_id"]]
        if all(np.sqrt(np.mean((mine - other) ** 2)) > DUPLICATE_ANGSTROM for other in others):
            kept.append(row)
            others.append(mine)
    return kept


def distance_fingerprint(row: dict) -> np.ndarray:
    """(n_pairs,) distances in Å, sorted within each pair of elements: blind to the order of equal
    atoms, to rotation and to reflection."""
    numbers = np.asarray(row["numbers"])
    positions = np.asarray(row["positions_angstrom"], float).reshape(-1, 3)
    i, j = np.triu_indices(len(numbers), k=1)
    distance = np.linalg.norm(positions[i] - positions[j], axis=1)
    low, high = np.minimum(numbers[i], numbers[j]), np.maximum(numbers[i], numbers[j])
    return distance[np.lexsort((distance, high, low))]
