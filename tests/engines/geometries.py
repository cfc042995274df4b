"""Small molecules with their charge and multiplicity, and slopes of their energy."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import molecule

from molsieve.engines import open_engine
from molsieve.levels import PyscfLevel, TbliteLevel

GFN2 = TbliteLevel(engine="tblite", accuracy=0.01)


def dft(**settings: object) -> PyscfLevel:
    """PBE/def2-SVP on grid 1, tightly converged, with ``settings`` on top."""
    default = {"functional": "PBE", "basis": "def2-SVP", "grid_level": 1}
    return PyscfLevel(engine="pyscf", **{**default, "scf_tolerance_hartree": 1e-10, **settings})


def system(name: str, charge: int = 0, multiplicity: int = 1, rattle: float = 0.05) -> Atoms:
    """A molecule of ASE's database, off its symmetric geometry so that no force is zero."""
    atoms = molecule(name)
    atoms.rattle(rattle, seed=3)
    atoms.info = {"charge_e": charge, "multiplicity": multiplicity}
    return atoms


def slope(atoms: Atoms, level: TbliteLevel | PyscfLevel, step: float = 2e-3) -> tuple[float, float]:
    """−dE/ds by central differences along a fixed random direction, and the forces' value of it.

    The direction has no part that moves the whole molecule: the grid of a molecule moves with it,
    so along a translation both are zero whatever the forces.
    """
    direction = np.random.default_rng(5).normal(size=(len(atoms), 3))
    direction -= direction.mean(axis=0)
    direction /= np.linalg.norm(direction)
    engine = open_engine(level)
    energies = []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions += sign * step * direction
        energies.append(engine.compute(moved).energy_ev)
    forces = engine.compute(atoms).forces_ev_per_angstrom
    return -(energies[0] - energies[1]) / (2 * step), float((forces * direction).sum())
