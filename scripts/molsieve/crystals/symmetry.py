"""Space group, inequivalent T-sites and oxygens of a framework (spglib)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import spglib

from molsieve.crystals.framework import SYMPREC_ANGSTROM, Framework, FrameworkError


@dataclass(frozen=True, eq=False)
class Symmetry:
    """The S operations x → R x + t of the framework's own cell, in fractional coordinates.

    In a cell that is not primitive the lattice translations inside it are operations too, and an
    operation of the crystal that the cell's shape breaks (a cube doubled along one edge) is none.
    What they do to the atoms: :mod:`molsieve.crystals.permutations`.

    Attributes:
        space_group: international symbol; number: 1 to 230.
        rotations: (S, 3, 3) int; translations: (S, 3).
        orbits: (n_atoms,) int, the first atom of each atom's orbit under the crystal's space group,
            the same in every cell.
    """

    space_group: str
    number: int
    rotations: np.ndarray
    translations: np.ndarray
    orbits: np.ndarray


@dataclass(frozen=True, eq=False)
class Site:
    """Symmetry-equivalent atoms.

    Attributes:
        name: element and number, such as ``T1`` or ``O3``, in order of the first atom.
        members: (m,) int, indices in ``Framework.atoms``, ascending; the first stands for all.
    """

    name: str
    members: np.ndarray


def symmetry_of(framework: Framework, symprec_angstrom: float = SYMPREC_ANGSTROM) -> Symmetry:
    """The symmetry of a framework as it is: its heteroatoms, protons and cations break it.

    Args:
        framework: any cell of it.
        symprec_angstrom: how far an atom may lie from its image.

    Raises:
        FrameworkError: spglib finds none at this tolerance.
    """
    atoms = framework.atoms
    found = spglib.get_symmetry_dataset(
        (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), symprec=symprec_angstrom
    )
    if found is None:
        raise FrameworkError(
            f"{framework.name}: spglib finds no symmetry at a tolerance of {symprec_angstrom} Å"
        )
    # not equivalent_atoms: a supercell's shape may break operations that the crystal has
    of_crystal = found.crystallographic_orbits
    _, first, orbit = np.unique(of_crystal, return_index=True, return_inverse=True)
    return Symmetry(
        space_group=found.international,
        number=int(found.number),
        rotations=found.rotations.astype(int),
        translations=found.translations,
        orbits=first[orbit],
    )


def t_sites(framework: Framework, symmetry: Symmetry) -> list[Site]:
    """Inequivalent T-sites."""
    return _sites("T", framework.t_index, symmetry)


def o_sites(framework: Framework, symmetry: Symmetry) -> list[Site]:
    """Inequivalent oxygens."""
    return _sites("O", framework.o_index, symmetry)


def _sites(letter: str, index: np.ndarray, symmetry: Symmetry) -> list[Site]:
    """Orbits of the atoms ``index``, numbered from 1."""
    orbit = symmetry.orbits[index]
    return [
        Site(f"{letter}{number}", index[orbit == first])
        for number, first in enumerate(np.unique(orbit), start=1)
    ]
