"""Small poses: sodalite with a guest in each cage that is asked for."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import molecule
from pymatgen.io.ase import AseAtomsAdaptor

from molsieve.crystals.known import known_framework

CAGES = ((0.0, 0.0, 0.0), (0.5, 0.5, 0.5))
"""Fractional, of sodalite's cell."""


def sodalite(*guests: str | Atoms, shift: float = 0.3) -> Atoms:
    """Guests turned and ``shift`` Å off the middles of the cages, so that no force is zero."""
    atoms = known_framework("SOD").atoms.copy()
    atoms = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
    for guest, cage in zip(guests, CAGES, strict=False):
        part = (molecule(guest) if isinstance(guest, str) else guest).copy()
        part.rotate(40, (1, 2, 3))
        part.positions += np.array(cage) @ atoms.cell.array - part.positions.mean(0)
        atoms += Atoms(part.numbers, part.positions + shift * np.array([1.0, 0.4, -0.2]))
    return atoms


def cif(atoms: Atoms) -> str:
    """As the published poses are written."""
    return str(AseAtomsAdaptor.get_structure(atoms).to(fmt="cif"))
