"""Identities: hashes of what a thing is, never of where it came from."""

from __future__ import annotations

from collections.abc import Sequence

import ase
import numpy as np

from molsieve.section import digest

POSITION_QUANTUM_ANGSTROM = 1e-5
BUILT_ORIGINS = ("relaxed", "built")
"""``structures.origin`` of a candidate's own: relaxed when it was made, or only put together."""


def quantise(values: np.ndarray | Sequence) -> np.ndarray:
    """Lengths (any shape, Å) rounded to 1e-5 Å, without negative zero; float64."""
    rounded = np.round(np.asarray(values, dtype=np.float64) / POSITION_QUANTUM_ANGSTROM)
    return rounded / round(1 / POSITION_QUANTUM_ANGSTROM) + 0.0


def structure_id(
    numbers: np.ndarray,
    positions_angstrom: np.ndarray,
    charge_e: int,
    multiplicity: int,
    cell_angstrom: np.ndarray | None = None,
    pbc: Sequence[bool] = (False, False, False),
) -> str:
    """Identity of a geometry: atoms in order, quantised positions and cell, charge, multiplicity.

    Args:
        numbers: (n_atoms,) atomic numbers.
        positions_angstrom: (n_atoms, 3).
        cell_angstrom: (3, 3), counted only along periodic directions.
    """
    periodic = [bool(p) for p in pbc]
    cell = np.zeros((3, 3)) if cell_angstrom is None else np.array(cell_angstrom, float)
    cell[~np.array(periodic)] = 0.0

    def quanta(values: np.ndarray) -> list[int]:
        return np.round(np.asarray(values).ravel() / POSITION_QUANTUM_ANGSTROM).astype(int).tolist()

    return digest(
        [
            [int(z) for z in numbers],
            quanta(np.asarray(positions_angstrom, float)),
            quanta(cell),
            periodic,
            int(charge_e),
            int(multiplicity),
        ]
    )


def candidate_id(identifier: str) -> str:
    """Identity of a candidate: a hash of its canonical identifier."""
    return digest(["candidate", identifier])


def species_id(identifier: str, charge_e: int, multiplicity: int) -> str:
    """Identity of a chemical state: canonical identifier, charge and multiplicity."""
    return digest(["species", identifier, int(charge_e), int(multiplicity)])


def structure_row(
    atoms: ase.Atoms,
    *,
    species_id: str,
    origin: str,
    geometry_protocol_id: str,
    conformer: int = 0,
    parent_structure_id: str | None = None,
    candidate_id: str | None = None,
    role: str | None = None,
) -> dict:
    """A row of the ``structures`` table, positions quantised; charge and spin from ``info``."""
    numbers = atoms.numbers
    positions = quantise(atoms.positions)
    cell = np.array(atoms.cell.array)
    cell[~np.asarray(atoms.pbc)] = 0.0
    cell = quantise(cell)
    charge, multiplicity = charge_and_multiplicity(atoms)
    return {
        "structure_id": structure_id(numbers, positions, charge, multiplicity, cell, atoms.pbc),
        "species_id": species_id,
        "conformer": conformer,
        "geometry_protocol_id": geometry_protocol_id,
        "numbers": [int(z) for z in numbers],
        "positions_angstrom": positions.ravel().tolist(),
        "cell_angstrom": cell.ravel().tolist(),
        "pbc": [bool(p) for p in atoms.pbc],
        "charge_e": charge,
        "multiplicity": multiplicity,
        "origin": origin,
        "parent_structure_id": parent_structure_id,
        "candidate_id": candidate_id,
        "role": role,
    }


def atoms_from_row(row) -> ase.Atoms:
    """``ase.Atoms`` of a ``structures`` row (mapping, Series or named tuple).

    Charge and multiplicity are in ``info``.
    """
    get = (
        row.__getitem__
        if hasattr(row, "__getitem__") and not isinstance(row, tuple)
        else (lambda key: getattr(row, key))
    )
    return ase.Atoms(
        numbers=np.asarray(get("numbers"), int),
        positions=np.asarray(get("positions_angstrom"), float).reshape(-1, 3),
        cell=np.asarray(get("cell_angstrom"), float).reshape(3, 3),
        pbc=np.asarray(get("pbc"), bool),
        info={
            "charge_e": int(get("charge_e")),
            "multiplicity": int(get("multiplicity")),
        },
    )


def charge_and_multiplicity(atoms: ase.Atoms) -> tuple[int, int]:
    """``info["charge_e"]`` and ``info["multiplicity"]``, 0 and 1 where unsaid."""
    return int(atoms.info.get("charge_e", 0)), int(atoms.info.get("multiplicity", 1))
