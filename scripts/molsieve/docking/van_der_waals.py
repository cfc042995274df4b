"""Van der Waals energies and radii: the cheap score of a pose, and what counts as a clash.

The energy is DREIDING's exponential-6 form (Mayo, Olafson and Goddard, J. Phys. Chem. 94, 8897
(1990), eq. 32 and Table II), without charges and hydrogen bonds; with

    E(R) = D0 [6/(ζ-6) exp(ζ (1 - R/R0)) - ζ/(ζ-6) (R0/R)^6]

and between elements arithmetic means of R0 and ζ, the geometric mean of D0. Elements that
DREIDING lacks take R0 and D0 of UFF (Rappé et al., J. Am. Chem. Soc. 114, 10024 (1992), Table I)
and ζ = 12. Nearer than 0.6 R0 the curve goes on along its tangent: the form itself turns over and
falls to minus infinity there. Å and eV.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from ase.data import chemical_symbols
from rdkit.Chem import GetPeriodicTable

from molsieve.units import EV_PER_KCAL_PER_MOL

SOFTENED_BELOW = 0.6
DREIDING = {
    "H": (3.195, 0.0152, 12.382),
    "B": (4.02, 0.095, 14.23),
    "C": (3.8983, 0.0951, 14.034),
    "N": (3.6621, 0.0774, 13.843),
    "O": (3.4046, 0.0957, 13.483),
    "F": (3.472, 0.0725, 14.444),
    "Na": (3.144, 0.5, 12.0),
    "Al": (4.39, 0.31, 12.0),
    "Si": (4.27, 0.31, 12.0),
    "P": (4.15, 0.32, 12.0),
    "S": (4.03, 0.344, 12.0),
    "Cl": (3.9503, 0.2833, 13.861),
    "Ca": (3.472, 0.05, 12.0),
    "Fe": (4.54, 0.055, 12.0),
    "Zn": (4.54, 0.055, 12.0),
    "Ga": (4.39, 0.4, 12.0),
    "Ge": (4.27, 0.4, 12.0),
    "As": (4.15, 0.41, 12.0),
    "Se": (4.03, 0.43, 12.0),
    "Br": (3.95, 0.37, 12.0),
    "In": (4.59, 0.55, 12.0),
    "Sn": (4.47, 0.55, 12.0),
    "Sb": (4.35, 0.55, 12.0),
    "Te": (4.23, 0.57, 12.0),
    "I": (4.15, 0.51, 12.0),
}
"""R0 (Å), D0 (kcal/mol), ζ."""
UFF = {
    "Li": (2.451, 0.025, 12.0),
    "Be": (2.745, 0.085, 12.0),
    "Mg": (3.021, 0.111, 12.0),
    "K": (3.812, 0.035, 12.0),
    "Ti": (3.175, 0.017, 12.0),
    "V": (3.144, 0.016, 12.0),
    "Cr": (3.023, 0.015, 12.0),
    "Mn": (2.961, 0.013, 12.0),
    "Co": (2.872, 0.014, 12.0),
    "Ni": (2.834, 0.015, 12.0),
    "Cu": (3.495, 0.005, 12.0),
    "Rb": (4.114, 0.040, 12.0),
    "Sr": (3.641, 0.235, 12.0),
    "Zr": (3.124, 0.069, 12.0),
    "Ag": (3.148, 0.036, 12.0),
    "Cs": (4.517, 0.045, 12.0),
    "Ba": (3.703, 0.364, 12.0),
    "Hf": (3.141, 0.072, 12.0),
    "Tl": (4.347, 0.680, 12.0),
}
"""The same of elements that DREIDING lacks."""


class VanDerWaalsError(ValueError):
    """An element without van der Waals parameters."""


@dataclass(frozen=True)
class PairEnergy:
    """The energy of two atoms; ``r0_angstrom``, ``d0_ev`` and ``zeta`` of the pair."""

    r0_angstrom: float
    d0_ev: float
    zeta: float

    def __call__(self, distances: np.ndarray) -> np.ndarray:
        """Energies in eV at distances in Å, of any shape."""
        return pair_energies(np.asarray(distances), self.r0_angstrom, self.d0_ev, self.zeta)


def pair_energies(
    distances: np.ndarray,
    r0_angstrom: float | np.ndarray,
    d0_ev: float | np.ndarray,
    zeta: float | np.ndarray,
) -> np.ndarray:
    """Energies in eV at distances in Å, parameters broadcast."""
    ratio = distances / r0_angstrom
    inner = np.maximum(ratio, SOFTENED_BELOW)
    inverse_square = 1.0 / (inner * inner)  # a power of -6 costs ten times as much
    attraction = zeta / (zeta - 6) * inverse_square * inverse_square * inverse_square
    repulsion = 6 / (zeta - 6) * np.exp(zeta * (1 - inner))
    slope = 6 * attraction / inner - zeta * repulsion
    return d0_ev * (repulsion - attraction + slope * (ratio - inner))


def pair_tables(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """R0 (Å), D0 (eV) and ζ, (n, m) each, of atomic numbers (n,) with (m,)."""
    pairs = [[pair_energy(int(one), int(two)) for two in second] for one in first]
    return (
        np.array([[pair.r0_angstrom for pair in row] for row in pairs]),
        np.array([[pair.d0_ev for pair in row] for row in pairs]),
        np.array([[pair.zeta for pair in row] for row in pairs]),
    )


@cache
def pair_energy(first: int, second: int) -> PairEnergy:
    """The energy of a pair of atomic numbers.

    Raises:
        VanDerWaalsError: an element is in neither table.
    """
    (r1, d1, z1), (r2, d2, z2) = _parameters(first), _parameters(second)
    depth = float(np.sqrt(d1 * d2)) * EV_PER_KCAL_PER_MOL
    return PairEnergy((r1 + r2) / 2, depth, (z1 + z2) / 2)


@cache
def radius_angstrom(number: int) -> float:
    """Van der Waals radius of an element (Bondi and others, as RDKit lists them)."""
    return float(GetPeriodicTable().GetRvdw(number))


def _parameters(number: int) -> tuple[float, float, float]:
    symbol = chemical_symbols[number]
    found = DREIDING.get(symbol) or UFF.get(symbol)
    if found is None:
        raise VanDerWaalsError(f"{symbol} has van der Waals parameters neither in DREIDING nor UFF")
    return found
