"""Where a proton or a cation goes: on an arm that swings about an axis until nothing is near.

A proton sits on its oxygen, in the plane of T–O–T and away from both T atoms; a cation on the
perpendicular bisector of two oxygens of its tetrahedron, away from the T atom. Both may turn about
the line between the two neighbours that they keep their distances to (T…T, O…O). Lengths in Å.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import ase
import numpy as np
from matscipy.neighbours import neighbour_list
from pymatgen.core import Species

from molsieve.crystals.soundness import CATION_NUMBERS, T_NUMBERS

CATION_CHARGE_E = {
    **dict.fromkeys(("H", "Li", "Na", "K", "Rb", "Cs", "Ag", "Tl"), 1),
    **dict.fromkeys(("Mg", "Ca", "Sr", "Ba"), 2),
}
"""Ions that can balance a framework."""
HYDROXYL_ANGSTROM = 0.97
"""O–H to start from: bridging hydroxyls have 0.97 to 0.98 Å in periodic DFT."""
PROTON_ROOM_ANGSTROM = {"O": 1.6, "T": 1.8, "H": 1.6, "cation": 2.2}
"""A proton is no nearer to anything but its oxygen: 1.6 Å is a strong hydrogen bond, 1.8 Å less
than H…T across the bond (1.9 where T–O–T is straight, 2.1 elsewhere)."""
CATION_OXYGEN_SHARE = 0.9
"""A cation may be this share of its M–O distance away from an oxygen."""
CATION_T_MARGIN_ANGSTROM = 0.25
"""A cation is this much farther from a T atom than from its oxygens, at least."""
CATION_H_ANGSTROM = 2.0
CATION_CATION_MARGIN_ANGSTROM = 1.0
"""Two cations are this much farther apart than their radii."""
STRAIGHT_DEGREES = 175.0
"""T–O–T nearer to straight has no side to point away from: all directions are tried."""
SWING_DEGREES = 15.0
"""Step of the search for room; an arm swings up to 75 degrees to either side."""


@dataclass(frozen=True, eq=False)
class Arms:
    """M places for an ion, before they are looked at for room.

    Attributes:
        pivot: (M, 3) point that the arm starts from.
        axis: (M, 3) unit vector that it swings about.
        arm: (M, 3) from the pivot to the ion, perpendicular to the axis.
        free: (M,) bool, no direction is preferred.
        bonded: (M,) int, the atom that the ion may be near to, -1 for none.
    """

    pivot: np.ndarray
    axis: np.ndarray
    arm: np.ndarray
    free: np.ndarray
    bonded: np.ndarray


@cache
def cation_oxygen_angstrom(ion: str) -> float:
    """M–O distance: sum of radii of the cation, six-coordinate, and of oxygen, two-coordinate.

    R. D. Shannon, Acta Cryst. A 32, 751 (1976), as in pymatgen: Na 2.37, K 2.73, Ca 2.35.
    """
    return _radius_angstrom(ion) + float(Species("O", -2).get_shannon_radius("II"))


@cache
def _radius_angstrom(ion: str) -> float:
    """Shannon radius, six-coordinate."""
    return float(Species(ion, CATION_CHARGE_E[ion]).get_shannon_radius("VI"))


def proton_arms(pivot: np.ndarray, to_t: np.ndarray, oxygen: np.ndarray) -> Arms:
    """Arms of O–H bonds; ``pivot`` (M, 3) oxygens, ``to_t`` (M, 2, 3) vectors to their T atoms."""
    units = to_t / np.linalg.norm(to_t, axis=2, keepdims=True)
    away = -units.sum(axis=1)
    axis = units[:, 1] - units[:, 0]  # perpendicular to ``away``
    free = np.linalg.norm(away, axis=1) < 2 * np.cos(np.radians(STRAIGHT_DEGREES / 2))
    away[free] = _perpendicular(axis[free])
    return Arms(pivot, _unit(axis), HYDROXYL_ANGSTROM * _unit(away), free, oxygen)


def cation_arms(t_position: np.ndarray, to_o: np.ndarray, ion: str) -> Arms:
    """Arms of cations; ``t_position`` (M, 3), ``to_o`` (M, 2, 3) vectors to two oxygens of it."""
    away = to_o.mean(axis=1)
    between = to_o[:, 1] - to_o[:, 0]
    half = np.linalg.norm(between, axis=1) / 2
    height = np.sqrt(np.maximum(cation_oxygen_angstrom(ion) ** 2 - half**2, 0.0))
    axis = _unit(between)
    away = away - (away * axis).sum(axis=1, keepdims=True) * axis
    none = np.full(len(half), -1)
    arm = height[:, None] * _unit(away)
    return Arms(t_position + to_o.mean(axis=1), axis, arm, np.zeros(len(half), dtype=bool), none)


def ion_positions(atoms: ase.Atoms, ion: str, arms: Arms) -> tuple[np.ndarray, np.ndarray]:
    """The first direction of each arm with room: the least swing, of two alike the roomier side.

    Returns:
        position: (M, 3); room: (M,) bool, whether there is any.
    """
    degrees = np.arange(0.0, 360.0, SWING_DEGREES)
    degrees = np.where(degrees > 180, degrees - 360, degrees)
    swung = _swung(arms, np.radians(degrees))  # (M, A, 3)
    spare = _spare(atoms, ion, swung, arms.bonded)
    swing = np.where(arms.free[:, None], 0.0, np.abs(degrees))
    spare[~arms.free[:, None] & (np.abs(degrees) > 75)] = -np.inf
    fits: np.ndarray = np.greater_equal(spare, 0)
    # least swing first, then the most room (to 1e-3 Å, so that noise does not choose the side)
    rank = np.where(fits, -swing, -np.inf)
    best = np.argmax(np.where(rank == rank.max(axis=1, keepdims=True), spare.round(3), -np.inf), 1)
    return swung[np.arange(len(best)), best], np.asarray(fits.any(axis=1))


def closest_angstrom(ion: str, numbers: np.ndarray) -> np.ndarray:
    """How near an ion may come to atoms of these elements, (N,)."""
    oxygen, t = numbers == 8, np.isin(numbers, T_NUMBERS)
    cation = np.isin(numbers, CATION_NUMBERS)
    if ion == "H":
        room = PROTON_ROOM_ANGSTROM
        values = (room["O"], room["T"], room["cation"], room["H"])
    else:
        length = cation_oxygen_angstrom(ion)
        apart = 2 * _radius_angstrom(ion) + CATION_CATION_MARGIN_ANGSTROM
        near_o, near_t = CATION_OXYGEN_SHARE * length, length + CATION_T_MARGIN_ANGSTROM
        values = (near_o, near_t, apart, CATION_H_ANGSTROM)
    return np.select([oxygen, t, cation], values[:3], default=values[3])


def near_pairs(cell: ase.cell.Cell, positions: np.ndarray, cutoff: float) -> np.ndarray:
    """(M, M) bool: points nearer than a cutoff under the lattice, own images included."""
    points = ase.Atoms(numbers=[0] * len(positions), positions=positions, cell=cell, pbc=True)
    points.wrap()
    i, j = neighbour_list("ij", points, float(cutoff))
    near = np.zeros((len(positions), len(positions)), dtype=bool)
    near[i, j] = True
    return near


def _swung(arms: Arms, radians: np.ndarray) -> np.ndarray:
    """(M, A, 3) ends of the arms turned about their axes (Rodrigues, arm and axis at 90°)."""
    across = np.cross(arms.axis, arms.arm)
    turned = (
        np.cos(radians)[None, :, None] * arms.arm[:, None]
        + np.sin(radians)[None, :, None] * across[:, None]
    )
    return arms.pivot[:, None] + turned


def _spare(atoms: ase.Atoms, ion: str, points: np.ndarray, bonded: np.ndarray) -> np.ndarray:
    """(M, A) least distance to an atom beyond what it must be, at most 1 Å."""
    closest = closest_angstrom(ion, atoms.numbers)
    m, a, _ = points.shape
    both = ase.Atoms(
        numbers=np.concatenate([atoms.numbers, np.zeros(m * a, dtype=int)]),
        positions=np.concatenate([atoms.positions, points.reshape(-1, 3)]),
        cell=atoms.cell,
        pbc=True,
    )
    both.wrap()
    i, j, distance = neighbour_list("ijd", both, float(closest.max()) + 1.0)
    ours = (i >= len(atoms)) & (j < len(atoms))
    point, j, distance = i[ours] - len(atoms), j[ours], distance[ours]
    other = j != bonded[point // a]
    spare = np.ones(m * a)
    np.minimum.at(spare, point[other], (distance - closest[j])[other])
    return spare.reshape(m, a)


def _perpendicular(vectors: np.ndarray) -> np.ndarray:
    """Some vector perpendicular to each, (M, 3): across the axis that it has least of."""
    least = np.eye(3)[np.abs(vectors).argmin(axis=1)]
    return np.cross(vectors, least)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors of length one."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
