"""Pair energies and their slopes: Dreiding's two forms of contact, and damped charges."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import erfc

from molsieve.units import ANGSTROM_PER_BOHR, EV_PER_HARTREE

FORMS = ("exp6", "lennard_jones")
CUTOFF_ANGSTROM, DAMPING_PER_ANGSTROM = 9.0, 0.2
EXPONENTIAL_EDGE, LENNARD_JONES_EDGE = 0.5, 0.6
"""Shares of the minimum's distance below which a repulsion goes on as a straight line."""
CLOSEST_CHARGES_ANGSTROM = 0.8
COULOMB_EV_ANGSTROM = EV_PER_HARTREE * ANGSTROM_PER_BOHR
Curve = tuple[np.ndarray, np.ndarray]
"""Values and slopes."""


def exponential_6(rho: np.ndarray, zeta: np.ndarray) -> Curve:
    """Of distances over the minimum's, in units of the depth. Below half the minimum's distance,
    where it would fall, it goes on as a straight line."""
    edge = EXPONENTIAL_EDGE
    inner = np.maximum(rho, edge)
    a, b = 6 / (zeta - 6), zeta / (zeta - 6)
    wall, tail = a * np.exp(zeta * (1 - inner)), b * inner**-2 * inner**-2 * inner**-2
    slope = 6 * tail / inner - zeta * wall
    return wall - tail + slope * (rho - inner), slope


def lennard_jones(rho: np.ndarray) -> Curve:
    """As :func:`exponential_6`; a straight line further in, where a start's overlap would make
    steps useless."""
    inner = np.maximum(rho, LENNARD_JONES_EDGE)
    sixth = inner**-2 * inner**-2 * inner**-2
    slope = 12 * (sixth - sixth * sixth) / inner
    return sixth * sixth - 2 * sixth + slope * (rho - inner), slope


def coulomb(distance: np.ndarray) -> Curve:
    """Of unit charges, eV and eV/Å, at distances in Å: the damped shifted force of Fennell,
    Gezelter, J. Chem. Phys. 124, 234104 (2006), energy and force zero at the cut-off; constant
    nearer than atoms come."""
    r = np.maximum(distance, CLOSEST_CHARGES_ANGSTROM)
    last, last_slope = _damped(np.array(CUTOFF_ANGSTROM))
    value, slope = _damped(r)
    energy = value - last - last_slope * (r - CUTOFF_ANGSTROM)
    force = np.where(distance < CLOSEST_CHARGES_ANGSTROM, 0.0, slope - last_slope)
    return COULOMB_EV_ANGSTROM * energy, COULOMB_EV_ANGSTROM * force


def _damped(r: np.ndarray) -> Curve:
    alpha = DAMPING_PER_ANGSTROM
    value = erfc(alpha * r) / r
    return value, -value / r - 2 * alpha / math.sqrt(math.pi) * np.exp(-((alpha * r) ** 2)) / r
