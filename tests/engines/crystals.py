"""Small periodic silicas with no atom where symmetry wants it, so that no force is zero."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.spacegroup import crystal


def quartz(rattle: float = 0.03) -> Atoms:
    """α-Quartz, Si3O6: Levien, Prewitt, Weidner, Am. Mineral. 65, 920 (1980)."""
    cell = [4.916, 4.916, 5.4054, 90, 90, 120]
    sites = [(0.4697, 0, 2 / 3), (0.4135, 0.2669, 0.7858)]
    return _rattled(crystal(["Si", "O"], sites, spacegroup=154, cellpar=cell), rattle)


def abw(rattle: float = 0.0) -> Atoms:
    """ABW, Si8O16, idealised: 5.25 Å wide along one lattice vector."""
    sites = [(0, 0.5928, 0.1507), (0, 0, 0), (0, 0.75, 0.1023), (0.25, 0.06, 0.75)]
    cell = [5.254, 9.873, 8.77, 90, 90, 90]
    return _rattled(crystal(["Si", "O", "O", "O"], sites, spacegroup=74, cellpar=cell), rattle)


def strained(atoms: Atoms, strain: np.ndarray) -> Atoms:
    """A copy whose cell and atoms follow the small ``strain`` (3, 3)."""
    copy = atoms.copy()
    copy.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return copy


def _rattled(atoms: Atoms, rattle: float) -> Atoms:
    plain = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
    if rattle:
        plain.rattle(rattle, seed=4)
    return plain
