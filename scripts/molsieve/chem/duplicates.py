"""Geometries that are the same but for rotation, reflection and the order of equal atoms."""

from __future__ import annotations

import numpy as np
import pandas as pd
from ase.geometry import complete_cell
from matscipy.neighbours import neighbour_list

DUPLICATE_ANGSTROM = 0.02
"""Two geometries are the same when their sorted distances differ by less (root mean square)."""
PERIODIC_NEIGHBOURS = 12
"""Distances an atom of a solid to each element: the first shells, which tell phases apart."""


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
        if not any(_same(mine, other) for other in others):
            kept.append(row)
            others.append(mine)
    return kept


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    """Cells of different size (a supercell) have fingerprints of different length."""
    if one.shape != other.shape or not one.size:
        return one.shape == other.shape  # an atom alone is always the same
    return bool(np.sqrt(np.mean((one - other) ** 2)) <= DUPLICATE_ANGSTROM)


def distance_fingerprint(row: dict) -> np.ndarray:
    """Distances of a ``structures`` row in Å, sorted so that they are blind to the order of equal
    atoms, to rotation, reflection and translation; continuous in the positions.

    A molecule's are all its (n_pairs,), sorted within each pair of elements. A solid's are those of
    every atom to its nearest neighbours of each element, periodic images among them, sorted over
    the atoms of an element rank by rank (after the pointwise distance distribution of Widdowson,
    Kurlin, NeurIPS 2022, arXiv:2108.04798): blind to the choice of the cell as well.
    """
    numbers = np.asarray(row["numbers"])
    positions = np.asarray(row["positions_angstrom"], float).reshape(-1, 3)
    if np.any(row["pbc"]):
        return _periodic_fingerprint(
            numbers, positions, np.asarray(row["cell_angstrom"], float).reshape(3, 3), row["pbc"]
        )
    i, j = np.triu_indices(len(numbers), k=1)
    distance = np.linalg.norm(positions[i] - positions[j], axis=1)
    low, high = np.minimum(numbers[i], numbers[j]), np.maximum(numbers[i], numbers[j])
    return distance[np.lexsort((distance, high, low))]


def _periodic_fingerprint(
    numbers: np.ndarray, positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray
) -> np.ndarray:
    """(n_atoms n_elements ``PERIODIC_NEIGHBOURS``,) Å.

    The reach grows until every atom has enough neighbours of each element, which in a periodic
    direction it has.
    """
    elements = np.unique(numbers)
    pbc, reach, nearest = np.asarray(pbc, bool), 4.0, None
    extent = np.ptp(positions, axis=0).max()
    while nearest is None:
        full = complete_cell(np.where(pbc[:, None], cell, 0.0))
        full = np.where(pbc[:, None], full, full * (extent + 2 * reach))
        i, j, distance = neighbour_list(
            "ijd", positions=positions, cell=full, pbc=pbc, cutoff=reach
        )
        nearest = _nearest(i, j, distance, numbers, elements)
        reach *= 1.3
    parts = [np.sort(nearest[numbers == element], axis=0).ravel() for element in elements]
    return np.concatenate(parts)


def _nearest(
    i: np.ndarray, j: np.ndarray, distance: np.ndarray, numbers: np.ndarray, elements: np.ndarray
) -> np.ndarray | None:
    """(n_atoms, n_elements, ``PERIODIC_NEIGHBOURS``) Å, ascending; None where there are fewer."""
    group = i * len(elements) + np.searchsorted(elements, numbers[j])
    counts = np.bincount(group, minlength=len(numbers) * len(elements))
    if counts.min() < PERIODIC_NEIGHBOURS:
        return None
    distance = distance[np.lexsort((distance, group))]
    first = np.cumsum(counts) - counts
    found = distance[first[:, None] + np.arange(PERIODIC_NEIGHBOURS)]
    return found.reshape(len(numbers), len(elements), PERIODIC_NEIGHBOURS)
