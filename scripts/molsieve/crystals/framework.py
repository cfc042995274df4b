"""A zeolite framework in memory, its supercell and its primitive cell. Lengths in Å."""

from __future__ import annotations

from dataclasses import dataclass, field

import ase
import numpy as np
import spglib

from molsieve.crystals.soundness import Bonds, FrameworkError, kinds_of, sound_bonds

SYMPREC_ANGSTROM = 1e-2
"""Tolerance of symmetry: files carry 1e-3 Å of rounding (1e-4 finds 36 T-sites in CHA, not 1)."""

__all__ = ["SYMPREC_ANGSTROM", "Bonds", "Framework", "FrameworkError", "primitive", "supercell"]


@dataclass(frozen=True, eq=False)
class Framework:
    """A sound tetrahedral framework: each T atom with 4 oxygens, each oxygen with 2 T atoms.

    Attributes:
        name: code or file name, as a person would call it.
        atoms: periodic; T atoms, O, framework H, cations. A private copy: never write to it.
        t_index: (n_t,) int, the T atoms, ascending.
        o_index: (n_o,) int, the oxygens, ascending.
        bonds: the 4 n_t periodic T–O bonds.

    Raises:
        FrameworkError: the structure is not sound; says which atom and what is wrong.
    """

    name: str
    atoms: ase.Atoms
    t_index: np.ndarray = field(init=False)
    o_index: np.ndarray = field(init=False)
    bonds: Bonds = field(init=False)

    def __post_init__(self) -> None:
        atoms = ase.Atoms(
            numbers=self.atoms.numbers,
            positions=self.atoms.positions,
            cell=self.atoms.cell,
            pbc=self.atoms.pbc,
        )
        kinds = kinds_of(atoms.numbers)
        # the caller's own atoms, for the names in its messages
        object.__setattr__(self, "bonds", sound_bonds(self.atoms))
        object.__setattr__(self, "atoms", atoms)
        object.__setattr__(self, "t_index", np.flatnonzero(kinds == "T"))
        object.__setattr__(self, "o_index", np.flatnonzero(kinds == "O"))

    @property
    def density_t_per_1000_angstrom3(self) -> float:
        """Framework density: T atoms per 1000 Å³."""
        return 1000.0 * len(self.t_index) / float(self.atoms.cell.volume)


def supercell(framework: Framework, repeats: tuple[int, int, int]) -> Framework:
    """The framework repeated along its three lattice vectors (atoms of one cell stay together)."""
    return Framework(framework.name, framework.atoms.repeat(repeats))


def primitive(framework: Framework, symprec_angstrom: float = SYMPREC_ANGSTROM) -> Framework:
    """The framework in a smallest cell, not rotated and with its atoms where they were.

    Raises:
        FrameworkError: spglib finds no symmetry at this tolerance.
    """
    atoms = framework.atoms
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    found = spglib.standardize_cell(
        cell, to_primitive=True, no_idealize=True, symprec=symprec_angstrom
    )
    if found is None:
        raise FrameworkError(
            f"{framework.name}: spglib finds no symmetry at a tolerance of {symprec_angstrom} Å"
        )
    lattice, scaled, numbers = found
    return Framework(
        framework.name,
        ase.Atoms(numbers=numbers, scaled_positions=scaled, cell=lattice, pbc=True),
    )
