"""How hard docking tries, and what it refuses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DockingSettings:
    """Settings of one docking. Lengths in Å.

    Attributes:
        seed: same seed, same poses.
        trials: placements tried, over all sites and conformers.
        settling_steps: rigid moves proposed to each on its way downhill; 0: none.
        most_sites: centres tried in the asymmetric part of the void.
        clash_scale: closer than this times the sum of van der Waals radii is a clash. At 0.7 an
            H···O may be 1.9 Å, a hydrogen bond.
        rmsd_tolerance_angstrom: poses this near to each other, symmetry counted, are one.
        min_image_distance_angstrom: a guest's atoms stay this far from its own images.
        most_poses: kept a loading.
        library: single poses kept to build loadings of several guests from.
        beam: partial loadings followed.
    """

    seed: int = 0
    trials: int = 4000
    settling_steps: int = 60
    most_sites: int = 150
    clash_scale: float = 0.7
    rmsd_tolerance_angstrom: float = 0.5
    min_image_distance_angstrom: float = 3.0
    most_poses: int = 20
    library: int = 60
    beam: int = 8
