"""Which cell is computed: a periodic one repeated until the Γ point is enough, a box for molecules.

A cell that is narrow samples the Brillouin zone badly at Γ. Repeating it along its lattice vectors
folds a mesh of k-points back to Γ: an n-fold cell at Γ is the given one on a mesh of n points.
"""

from __future__ import annotations

import dataclasses
import math

import ase
import numpy as np

from molsieve.engines.base import CalculationError, Label
from molsieve.levels import PeriodicSettings

SMALLEST_VOLUME_ANGSTROM3 = 1e-6
WIDTH_TOLERANCE_ANGSTROM = 1e-3
"""Less is missing than cells of one kind differ by: all of them are repeated alike."""
BOX_STEP_ANGSTROM = 1.0
"""Boxes come in steps, so that a molecule that moves a little keeps its box and its grid."""


def widths(cell: np.ndarray) -> np.ndarray:
    """(3,) distances (Å) between opposite faces of ``cell`` (3, 3): how far a cell is from itself.

    Raises:
        CalculationError: ``bad_input``, the cell has no volume.
    """
    volume = abs(np.linalg.det(cell))
    if not volume > SMALLEST_VOLUME_ANGSTROM3:
        raise CalculationError("bad_input", "a periodic structure needs a cell with a volume")
    faces = np.cross(np.roll(cell, -1, axis=0), np.roll(cell, -2, axis=0))
    return np.asarray(volume / np.linalg.norm(faces, axis=1))


def repeats(cell: np.ndarray, min_cell_angstrom: float | None) -> tuple[int, int, int]:
    """How often a cell (3, 3), in Å, is repeated along each lattice vector to be wide enough."""
    wide = widths(np.asarray(cell, float))
    if min_cell_angstrom is None:
        return (1, 1, 1)
    counts = [math.ceil((min_cell_angstrom - WIDTH_TOLERANCE_ANGSTROM) / w) for w in wide]
    a, b, c = (max(1, count) for count in counts)
    return a, b, c


def is_periodic(atoms: ase.Atoms) -> bool:
    """True: in all three directions; False: in none.

    Raises:
        CalculationError: ``bad_input``, periodic in one or two directions.
    """
    if atoms.pbc.any() and not atoms.pbc.all():
        raise CalculationError(
            "bad_input",
            "periodic in one or two directions: allowed are molecules and cells periodic in all "
            "three directions",
        )
    return bool(atoms.pbc.all())


def refuse_charged_cell(charge_e: int, level: PeriodicSettings) -> None:
    """Refuse a charged cell where the level does not say that it is meant.

    Raises:
        CalculationError: ``bad_input``, with what to do.
    """
    if charge_e and not level.charged_cells:
        raise CalculationError(
            "bad_input",
            f"a periodic cell of charge {charge_e:+d} e: its energy is that of a uniform "
            "background too, and depends on the cell; compensate the charge (an ion, framework "
            "Al), or set charged_cells: true on the level if that is meant",
        )


def calculated_cell(
    atoms: ase.Atoms, charge_e: int, multiplicity: int, level: PeriodicSettings
) -> tuple[ase.Atoms, int, int, int]:
    """What is computed for a periodic structure: atoms, charge, multiplicity, number of copies.

    Unpaired electrons of the copies are all parallel.

    Raises:
        CalculationError: ``bad_input``, the cell has no volume, or is charged.
    """
    refuse_charged_cell(charge_e, level)
    times = repeats(atoms.cell.array, level.min_cell_angstrom)
    copies = math.prod(times)
    repeated = ase.Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True).repeat(times)
    return repeated, copies * charge_e, copies * (multiplicity - 1) + 1, copies


def label_of_given_cell(label: Label, copies: int) -> Label:
    """The label of one of ``copies`` equal parts of the computed cell.

    Copies differ by what the SCF left unconverged: forces are their mean.
    """
    if copies == 1:
        return label
    forces = label.forces_ev_per_angstrom.reshape(copies, -1, 3).mean(axis=0)
    dispersion = label.dispersion_energy_ev
    return dataclasses.replace(
        label,
        energy_ev=label.energy_ev / copies,
        forces_ev_per_angstrom=forces,
        dispersion_energy_ev=None if dispersion is None else dispersion / copies,
        spin_square=None,
    )


def in_a_box(atoms: ase.Atoms, margin_angstrom: float, times: float = 1.0) -> ase.Atoms:
    """A molecule in the middle of a cube, its walls ``margin_angstrom`` from the outermost atoms.

    Args:
        times: the cube is at least so many times the molecule's own size, margins included.
    """
    low, high = atoms.positions.min(axis=0), atoms.positions.max(axis=0)
    own = float((high - low).max()) + 2 * margin_angstrom
    edge = BOX_STEP_ANGSTROM * math.ceil(times * own / BOX_STEP_ANGSTROM)
    middle = atoms.positions - (low + high) / 2 + edge / 2
    return ase.Atoms(atoms.numbers, middle, cell=[edge] * 3, pbc=False)
