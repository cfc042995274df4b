"""What the heads predict: name, unit, and how a label tells its value.

S1 and T1 are the lowest excitation energies of their spin, vertical, above the ground state of the
same geometry. Nothing orders them: inverted gaps (S1 below T1) exist. Of the oscillator strength
``f = 2/3 E |mu|^2`` the square root is learned, which is proportional to the transition dipole and
so smooth where f touches zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Property:
    """One number of a structure.

    Attributes:
        name: also the name of its column. unit: of its values.
        error_unit: an error of this size counts 1 in the loss.
        smallest: no value lies below; None: unbounded.
        of_label: from a row of ``labels`` to the value, NaN where the label has none.
        quantity: what it tells of a molecule; heading: that for a person.
    """

    name: str
    unit: str
    error_unit: float
    smallest: float | None
    of_label: Callable[[dict[str, Any]], float]
    quantity: str
    heading: str


def _numbers(row: dict[str, Any], column: str) -> np.ndarray:
    value = row.get(column)
    return np.zeros(0) if value is None or np.ndim(value) == 0 else np.asarray(value, float)


def _root(row: dict[str, Any], column: str, first: int) -> float:
    """The lowest root of ``column``; NaN where there is none or it has not converged.

    Args:
        first: its place in ``root_converged``, which lists singlets, then triplets.
    """
    values, sound = _numbers(row, column), _numbers(row, "root_converged")
    if not len(values) or (len(sound) and not (first < len(sound) and sound[first])):
        return float("nan")
    # ASSUME: roots are ascending, as the engine writes them.
    return float(values[0])


def singlet_energy(row: dict[str, Any]) -> float:
    """S1, eV."""
    return _root(row, "singlet_energies_ev", 0)


def triplet_energy(row: dict[str, Any]) -> float:
    """T1, eV."""
    return _root(row, "triplet_energies_ev", len(_numbers(row, "singlet_energies_ev")))


def sqrt_oscillator_strength(row: dict[str, Any]) -> float:
    """Of the transition from the ground state to S1."""
    strength = _root(row, "oscillator_strengths", 0)
    return float(np.sqrt(max(strength, 0.0))) if np.isfinite(strength) else float("nan")


PROPERTIES = {
    told.name: told
    for told in (
        Property("singlet_energy_ev", "eV", 0.1, None, singlet_energy, "singlet_energy", "S1"),
        Property("triplet_energy_ev", "eV", 0.1, None, triplet_energy, "triplet_energy", "T1"),
        Property(
            "sqrt_oscillator_strength",
            "1",
            0.05,
            0.0,
            sqrt_oscillator_strength,
            "oscillator_strength",
            "square root of f",
        ),
    )
}
"""By name, in the order of a member's outputs."""


def chosen(names: Sequence[str]) -> list[Property]:
    """The properties of these names.

    Raises:
        KeyError: a name that no property has.
    """
    return [PROPERTIES[name] for name in names]


def same_unit_pairs(names: Sequence[str]) -> list[tuple[int, int]]:
    """Places of properties that may be subtracted: energies (S1 - T1)."""
    units = [told.unit for told in chosen(names)]
    places = range(len(names))
    return [(a, b) for a in places for b in places if a < b and units[a] == units[b] == "eV"]


def label_values(labels: pd.DataFrame, names: Sequence[str] = tuple(PROPERTIES)) -> pd.DataFrame:
    """structure_id, level_id and one column a property, a row for each of ``labels``.

    NaN where a label failed, lacks a property, or its root has not converged.
    """
    rows: list[dict[Any, Any]] = labels.to_dict("records")
    found: dict[str, Any] = {key: labels[key].tolist() for key in ("structure_id", "level_id")}
    for told in chosen(names):
        found[told.name] = np.array(
            [told.of_label(row) if row["status"] == "ok" else np.nan for row in rows], float
        )
    return pd.DataFrame(found)
