"""Cages and channels: the largest spheres that fit and that pass, and in how many directions.

Framework oxygens are hard spheres, as in the Atlas of Zeolite Framework Types (Foster, Rivin,
Treacy, Delgado Friedrichs, Micropor. Mesopor. Mater. 90, 32 (2006)). Diameters in Å.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from molsieve.crystals.framework import Framework
from molsieve.crystals.periodic_clusters import PeriodicClusters
from molsieve.crystals.pore_network import PoreNetwork, pore_network

OXYGEN_RADIUS_ANGSTROM = 1.32
"""Radius of a framework oxygen. ASSUME that the Atlas used it: on its idealised cells it gives its
spheres to 0.01 Å (SOD 6.32 and 2.53, CHA 7.37 and 3.72, LTA 11.05 and 4.21: recalled, not read)."""
WATER_DIAMETER_ANGSTROM = 2.8
"""Channels that pass less than this are closed: about a water molecule; 8-rings mostly pass
it, 6-rings do not."""


@dataclass(frozen=True)
class Pores:
    """Sizes of the void, diameters in Å between oxygen surfaces.

    Attributes:
        largest_included_angstrom: the largest sphere that fits anywhere (the cage).
        largest_free_angstrom: the largest sphere that passes through the crystal (the channel);
            negative where even a point does not pass between the oxygens' surfaces.
        free_in_dimensions_angstrom: the largest sphere that passes in at least 1, 2 and 3
            independent directions (the first is ``largest_free_angstrom``).
        free_along_angstrom: the largest sphere that gets ahead along each lattice vector.
    """

    largest_included_angstrom: float
    largest_free_angstrom: float
    free_in_dimensions_angstrom: tuple[float, float, float]
    free_along_angstrom: tuple[float, float, float]

    def dimensionality(self, probe_angstrom: float = WATER_DIAMETER_ANGSTROM) -> int:
        """In how many independent directions a sphere of this diameter passes, 0 to 3."""
        return sum(free >= probe_angstrom for free in self.free_in_dimensions_angstrom)


def pores(framework: Framework) -> Pores:
    """Cage and channel sizes of a framework, as if nothing but its oxygens were there."""
    network = pore_network(framework)
    in_dimensions, along = _passing_clearance(network)

    def diameter(clearance: float) -> float:
        return 2.0 * (clearance - OXYGEN_RADIUS_ANGSTROM)

    free = tuple(diameter(clearance) for clearance in in_dimensions)
    return Pores(
        largest_included_angstrom=diameter(float(network.clearance.max())),
        largest_free_angstrom=free[0],
        free_in_dimensions_angstrom=(free[0], free[1], free[2]),
        free_along_angstrom=(diameter(along[0]), diameter(along[1]), diameter(along[2])),
    )


def _passing_clearance(network: PoreNetwork) -> tuple[list[float], list[float]]:
    """Widest bottleneck that leaves a way in 1, 2, 3 directions, and along each lattice vector.

    Edges join, widest first, into clusters; a cluster that meets its own image at lattice vector n
    is a channel along n, and the rank of its vectors is its dimensionality.
    """
    clusters = PeriodicClusters(len(network.clearance))
    in_dimensions: list[float] = []
    along = [0.0, 0.0, 0.0]
    order = np.argsort(-network.bottleneck, kind="stable")
    first, second = network.first[order].tolist(), network.second[order].tolist()
    images, widths = network.image[order].tolist(), network.bottleneck[order].tolist()
    for one, other, image, width in zip(first, second, images, widths, strict=True):
        vectors = clusters.join(one, other, image)
        if vectors is None:
            continue
        rank = len(vectors)
        in_dimensions += [width] * (rank - len(in_dimensions))
        for axis in np.flatnonzero(vectors.any(axis=0)):
            along[axis] = along[axis] or width
        if rank == 3:
            break
    return in_dimensions + [0.0] * (3 - len(in_dimensions)), along
