"""Predictions on disk: Parquet, extended XYZ or CSV, written as they come, seen when complete."""

from __future__ import annotations

import contextlib
import csv
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np

from molsieve.section import CampaignError
from molsieve.tables import PROPERTY_COLUMNS

Append = Callable[[dict[str, Any]], None]
ROWS_PER_GROUP = 5000
CSV_COLUMNS = [
    "index",
    "name",
    "formula",
    "charge_e",
    "multiplicity",
    "status",
    "in_domain",
    "reason",
    "energy_ev",
    "energy_std_ev",
    "energy_std_raw_ev",
    "energy_low_68_ev",
    "energy_high_68_ev",
    "energy_low_95_ev",
    "energy_high_95_ev",
    "force_max_ev_per_angstrom",
    "force_std_max_ev_per_angstrom",
    *(f"stress_{c}_ev_per_angstrom3" for c in ("xx", "yy", "zz", "yz", "xz", "xy")),
    "relaxation_steps",
]
PROPERTY_CSV_COLUMNS = [
    column.replace("_interval_", f"_{end}_") if end else column
    for column in PROPERTY_COLUMNS
    if "_members" not in column
    for end in (("low", "high") if "_interval_" in column else ("",))
]
"""Behind these, of a committee with property heads."""
VOIGT = (0, 4, 8, 5, 2, 1)
"""Places of xx, yy, zz, yz, xz, xy in a flat 3x3 matrix."""


def check_output(path: Path) -> None:
    """Whether predictions can be written to ``path``.

    Raises:
        CampaignError: another ending, or a folder that does not exist.
    """
    if path.suffix.lower() not in WRITERS:
        raise CampaignError(f"--out {path}: allowed endings: {', '.join(WRITERS)}")
    if not path.parent.is_dir():
        raise CampaignError(f"--out {path}: no folder {path.parent}")
    if path.is_dir():
        raise CampaignError(f"--out {path}: a folder, not a file")


@contextlib.contextmanager
def output(path: Path, campaign: str, excited: bool = False) -> Iterator[Append]:
    """A function that takes one row after the other; the file appears when the block ends well.

    Args:
        excited: rows are of ``property_predictions``.

    Raises:
        CampaignError: it cannot be written there (no permission, a full disk).
    """
    try:
        with WRITERS[path.suffix.lower()](path, campaign, excited) as append:
            yield append
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise CampaignError(f"--out {path} cannot be written: {why}") from error


@contextlib.contextmanager
def _parquet(path: Path, campaign: str, excited: bool) -> Iterator[Append]:
    from molsieve.table_streams import table_stream

    waiting: list[dict[str, Any]] = []
    name = "property_predictions" if excited else "structure_predictions"
    with table_stream(name, path, campaign) as write:

        def append(row: dict[str, Any]) -> None:
            waiting.append(row)
            if len(waiting) == ROWS_PER_GROUP:
                write(waiting)
                waiting.clear()

        yield append
        write(waiting)


@contextlib.contextmanager
def _csv(path: Path, _: str, excited: bool) -> Iterator[Append]:
    from molsieve.tables import atomic_path

    with atomic_path(path) as temporary, temporary.open("w", newline="") as stream:
        columns = CSV_COLUMNS + (PROPERTY_CSV_COLUMNS if excited else [])
        writer = csv.DictWriter(stream, columns, extrasaction="ignore")
        writer.writeheader()
        yield lambda row: writer.writerow(row | _scalars(row))


def _scalars(row: dict[str, Any]) -> dict[str, Any]:
    """Intervals and stress number by number."""
    found: dict[str, float | None] = {}
    for level in (68, 95):
        low, high = row.get(f"energy_interval_{level}_ev", (None, None))
        found |= {f"energy_low_{level}_ev": low, f"energy_high_{level}_ev": high}
    names = [c for c in CSV_COLUMNS if c.startswith("stress_")]
    stress = row.get("stress_ev_per_angstrom3")
    if stress is not None:
        found |= {name: stress[k] for name, k in zip(names, VOIGT, strict=True)}
    for column in PROPERTY_COLUMNS.keys() & row.keys():
        if "_interval_" in column:
            for end, value in zip(("low", "high"), row[column], strict=True):
                found[column.replace("_interval_", f"_{end}_")] = value
    return found


@contextlib.contextmanager
def _extxyz(path: Path, _: str, excited: bool) -> Iterator[Append]:
    from molsieve.tables import atomic_path

    with atomic_path(path) as temporary, temporary.open("w") as stream:

        def append(row: dict[str, Any]) -> None:
            if row.get("numbers"):
                ase.io.write(stream, predicted_atoms(row), format="extxyz")

        yield append


def predicted_atoms(row: dict[str, Any]) -> ase.Atoms:
    """A row as a structure: numbers of it in ``info``, of its atoms in ``arrays``; ASE's units."""
    atoms = ase.Atoms(
        row["numbers"],
        np.reshape(row["positions_angstrom"], (-1, 3)),
        cell=np.reshape(row["cell_angstrom"], (3, 3)),
        pbc=row["pbc"],
    )
    names = ("index", "name", "charge_e", "multiplicity", "status", "in_domain", "reason")
    atoms.info = {key: row[key] for key in names if row.get(key) is not None}
    if row["status"] != "ok":
        return atoms
    atoms.info |= {
        "energy": row["energy_ev"],
        "energy_std": row["energy_std_ev"],
        "energy_std_raw": row["energy_std_raw_ev"],
        "energy_interval_95": np.array(row["energy_interval_95_ev"]),
        "energy_members": np.array(row["energy_members_ev"]),
    }
    if row.get("stress_ev_per_angstrom3"):
        atoms.info["stress"] = np.reshape(row["stress_ev_per_angstrom3"], (3, 3))
        atoms.info["stress_std"] = np.reshape(row["stress_std_ev_per_angstrom3"], (3, 3))
    told = PROPERTY_COLUMNS.keys() & row.keys()
    atoms.info |= {column: np.array(row[column]) for column in PROPERTY_COLUMNS if column in told}
    atoms.arrays["forces"] = np.reshape(row["forces_ev_per_angstrom"], (-1, 3))
    atoms.arrays["forces_std"] = np.reshape(row["forces_std_ev_per_angstrom"], (-1, 3))
    return atoms


WRITERS = {".parquet": _parquet, ".extxyz": _extxyz, ".xyz": _extxyz, ".csv": _csv}
