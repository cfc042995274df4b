"""Macrocycles that encircle a part of the framework: no clash, and no way there either."""

from __future__ import annotations

import numpy as np

from molsieve.docking.guests import Guest
from molsieve.docking.hosts import Host

LONGEST_BOND_ANGSTROM = 2.2


def threaded(host: Host, guest: Guest, positions: np.ndarray) -> np.ndarray:
    """(P,) whether a framework bond runs through a ring of ten or more atoms of the guest.

    Such a ring can slip over an Si–O chain on its random way downhill, which no molecule can. The
    ring is spanned by triangles from its middle.

    Args:
        positions: (P, n, 3).
    """
    found = np.zeros(len(positions), dtype=bool)
    if not guest.rings:
        return found
    for k, pose in enumerate(positions):
        starts, ends = _bonds_near(host, pose)
        found[k] = any(pierced(pose[list(ring)], starts, ends) for ring in guest.rings)
    return found


def _bonds_near(host: Host, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends (B, 3) of the framework's bonds around a pose, which is moved into no other cell."""
    near = host.near
    middle = pose.mean(axis=0)
    scaled = middle @ near.inverse
    home = np.floor(scaled) @ near.cell
    reach = np.linalg.norm(pose - middle, axis=1).max() + LONGEST_BOND_ANGSTROM
    around = near.positions + home
    around = around[np.linalg.norm(around - middle, axis=1) <= reach]
    first, second = np.triu_indices(len(around), 1)
    bonded = np.linalg.norm(around[first] - around[second], axis=1) < LONGEST_BOND_ANGSTROM
    return around[first[bonded]], around[second[bonded]]


def pierced(ring: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> bool:
    """Whether a segment crosses a triangle (Möller, Trumbore, J. Graphics Tools 2, 21 (1997))."""
    middle = ring.mean(axis=0)
    first, second = ring - middle, np.roll(ring, -1, axis=0) - middle
    direction = (ends - starts)[:, None]
    offset = (starts - middle)[:, None]
    normal = np.cross(direction, second[None])
    determinant = np.sum(first[None] * normal, axis=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        u = np.sum(offset * normal, axis=2) / determinant
        other = np.cross(offset, first[None])
        v = np.sum(direction * other, axis=2) / determinant
        along = np.sum(second[None] * other, axis=2) / determinant
        crossed = (u >= 0) & (v >= 0) & (u + v <= 1) & (along >= 0) & (along <= 1)
    return bool(crossed.any())
