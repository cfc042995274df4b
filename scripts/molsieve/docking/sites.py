"""Where in the pores a guest's centre is tried: the asymmetric part of the void. Å."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from molsieve.docking.hosts import Host, Symmetry

CLEARANCE_ANGSTROM = 1.8
"""A guest's middle is no nearer to a framework atom than this (a carbon needs about 2.5; rings
and bent chains have theirs off their atoms)."""
SPACING_ANGSTROM = 0.8
CLEARANCE_ROUNDING_ANGSTROM = 1e-3


def pore_sites(host: Host, symmetry: Symmetry, most: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Points of the void that no operation maps onto each other, roomiest first.

    The grid point farthest from the framework comes first (the centre of the largest free sphere,
    the Voronoi vertex of the widest cage), then the next that is a spacing away from it and from
    all its images, and so on: a greedy covering of the asymmetric part of the void.

    Args:
        symmetry: modulo the host's cell.
        most: the spacing grows until there are no more sites than this.

    Returns:
        (S, 3) positions, (S,) distances to the nearest framework atom, and the spacing.
    """
    points = host.grid_points()
    clearances = host.near.nearest_angstrom(points)[:, 0]
    roomy = clearances >= CLEARANCE_ANGSTROM
    points, clearances = points[roomy], clearances[roomy]
    # Rounded, so that points of equal clearance keep their order whatever the last digits.
    order = np.argsort(-np.round(clearances / CLEARANCE_ROUNDING_ANGSTROM), kind="stable")
    points, clearances = points[order], clearances[order]
    spacing = SPACING_ANGSTROM
    while True:
        chosen = _covering(points, symmetry, host.grid_cell, spacing)
        if len(chosen) <= most:
            return points[chosen], clearances[chosen], spacing
        spacing *= 1.25


def largest_free_sphere_angstrom(host: Host) -> float:
    """Diameter of the largest sphere between the framework's atom centres, less oxygen's 2.7 Å.

    The convention of the IZA atlas: framework oxygens as hard spheres of radius 1.35 Å.
    """
    return 2 * (float(host.near.nearest_angstrom(host.grid_points()).max()) - 1.35)


def _covering(
    points: np.ndarray, symmetry: Symmetry, lattice: np.ndarray, spacing: float
) -> list[int]:
    tree, owner = _periodic_tree(points, lattice, spacing)
    inverse = np.linalg.inv(lattice)
    free = np.ones(len(points), dtype=bool)
    chosen = []
    for k in range(len(points)):
        if not free[k]:
            continue
        chosen.append(k)
        scaled = symmetry.images(points[k]) @ inverse
        images = (scaled - np.floor(scaled)) @ lattice
        for covered in tree.query_ball_point(images, spacing):
            free[owner[covered]] = False
    return chosen


def _periodic_tree(
    points: np.ndarray, lattice: np.ndarray, reach: float
) -> tuple[cKDTree, np.ndarray]:
    """A tree of the points and their images around one cell, and whose image each is."""
    inverse = np.linalg.inv(lattice)
    scaled = points @ inverse
    scaled -= np.floor(scaled)
    margin = reach * np.linalg.norm(inverse, axis=0)
    shifts = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    images = scaled[None] + shifts
    seen = np.all((images >= -margin) & (images <= 1 + margin), axis=2)
    owner = np.nonzero(seen)[1]
    return cKDTree(images[seen] @ lattice), owner
