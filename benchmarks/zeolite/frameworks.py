"""Silica frameworks with a measured enthalpy, alpha-quartz, and small ones to learn from.

Enthalpies of transition from alpha-quartz at 298 K, kJ per mol SiO2: Piccione, Laberty, Yang,
Camblor, Navrotsky, Davis, J. Phys. Chem. B 104, 10001 (2000), and Petrovic, Navrotsky, Davis,
Zones, Chem. Mater. 5, 1805 (1993), where the former has none. FER's is quoted from memory in the
project's references, so that it is shown and enters no figure.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path

import ase
import ase.io
import numpy as np
import spglib
from ase.build import niggli_reduce

from molsieve.crystals.known import known_framework

DATA = Path(os.environ.get("MOLSIEVE_DATA", Path(__file__).parents[3] / "shared" / "data"))
SYMPREC_ANGSTROM = 1e-2
SILICON = 14
LEARNED = (
    *("quartz", "OSO", "WEI", "AHT", "EPI", "ITW", "ETV", "AFN", "AFY", "APC"),
    *("APD", "LTJ", "MER", "PHI", "RTH", "SAS", "LEV", "RUT", "STI"),
)
"""Quartz, and frameworks without a measured enthalpy whose primitive cells have at most 54 atoms
and are 7.6 Å wide or wider, so that the Γ point will do."""


@dataclass(frozen=True)
class Measured:
    """Enthalpy of transition from alpha-quartz and its uncertainty, kJ per mol SiO2."""

    enthalpy: float
    uncertainty: float
    source: str


MEASURED = {
    code: Measured(enthalpy, uncertainty, source)
    for code, enthalpy, uncertainty, source in (
        ("AST", 10.9, 1.2, "Piccione 2000"),
        ("BEA", 9.3, 0.8, "Piccione 2000"),
        ("CFI", 8.8, 0.8, "Piccione 2000"),
        ("CHA", 11.4, 1.5, "Piccione 2000"),
        ("IFR", 10.0, 1.2, "Piccione 2000"),
        ("ISV", 14.4, 1.1, "Piccione 2000"),
        ("ITE", 10.1, 1.2, "Piccione 2000"),
        ("MEL", 8.2, 1.3, "Piccione 2000"),
        ("MFI", 6.8, 0.8, "Piccione 2000"),
        ("MWW", 10.4, 1.5, "Piccione 2000"),
        ("STT", 9.2, 1.2, "Piccione 2000"),
        ("FAU", 13.6, 1.6, "Petrovic 1993"),
        ("EMT", 10.5, 1.6, "Petrovic 1993"),
        ("AFI", 7.2, 1.6, "Petrovic 1993"),
        ("MTW", 8.7, 1.6, "Petrovic 1993"),
        ("FER", 6.6, float("nan"), "from memory"),
    )
}


def counted(code: str) -> bool:
    """The enthalpy was read where it was published."""
    return MEASURED[code].source != "from memory"


@functools.cache
def _primitive(code: str) -> ase.Atoms:
    given = ase.io.read(DATA / "iza_cif" / f"{code}.cif")
    assert isinstance(given, ase.Atoms)
    return primitive(given)


def framework(code: str) -> ase.Atoms:
    """The primitive cell of a framework of ``iza_cif``; ``quartz`` is alpha-quartz as measured."""
    return known_framework("quartz").atoms.copy() if code == "quartz" else _primitive(code).copy()


def primitive(atoms: ase.Atoms) -> ase.Atoms:
    """The primitive cell by spglib."""
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    lattice, places, numbers = spglib.find_primitive(cell, symprec=SYMPREC_ANGSTROM)
    return ase.Atoms(numbers, scaled_positions=places, cell=lattice, pbc=True)


def widths(atoms: ase.Atoms) -> np.ndarray:
    """(3,) Å, distances between opposite faces of the cell."""
    return 1 / np.linalg.norm(atoms.cell.reciprocal(), axis=1)


def widened(atoms: ase.Atoms, min_width: float) -> ase.Atoms:
    """The smallest supercell ``min_width`` Å wide everywhere, along the cell's vectors or those of
    Niggli's reduced cell."""
    reduced = atoms.copy()
    niggli_reduce(reduced)
    return min((_repeated(start, min_width) for start in (atoms, reduced)), key=len)


def _repeated(atoms: ase.Atoms, min_width: float) -> ase.Atoms:
    repeats = np.ceil(min_width / widths(atoms) - 1e-6).astype(int)
    return atoms.repeat(tuple(np.maximum(repeats, 1)))


def formula_units(atoms: ase.Atoms) -> int:
    """SiO2 in the cell."""
    return int(np.sum(atoms.numbers == SILICON))


def density(atoms: ase.Atoms) -> float:
    """T atoms in 1000 Å³."""
    return 1e3 * formula_units(atoms) / atoms.get_volume()
