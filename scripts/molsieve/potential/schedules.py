"""What changes over the epochs of a training: the learning rate and the weights of the loss."""

from __future__ import annotations

import math
from typing import NamedTuple

from molsieve import campaign


class LossWeights(NamedTuple):
    """Weights of the terms of the loss, in the order of ``training_data.loss_terms``."""

    energy: float
    force: float
    difference: float
    stress: float


def loss_weights(settings: campaign.Potential, progress: float) -> LossWeights:
    """Weights at ``progress`` in [0, 1] of the run: forces first, energies later.

    Forces are 3 N numbers a structure and carry the shape of the surface; an energy is one number,
    and its gradient at full weight drowns theirs early (ethanol, 12 epochs, Adam: force error 96
    meV/Å at full weight, 58 at a hundredth of it, and the energy error falls too, from 24 to 15
    meV). Where compositions differ, energies need their weight again: they and their differences
    weigh ``early_energies`` of it for the first ``forces_first`` of the run and rise geometrically
    to the whole at the end.
    """
    early = settings.early_energies if settings.force_weight > 0 else 1.0
    left = 1 - settings.forces_first
    risen = (progress - settings.forces_first) / left if left > 0 else 0.0
    share = early ** (1 - min(max(risen, 0.0), 1.0))
    return LossWeights(
        energy=settings.energy_weight * share,
        force=settings.force_weight,
        difference=settings.difference_weight * share,
        stress=settings.stress_weight,
    )


def energies_rise(settings: campaign.Potential) -> int:
    """The epoch from which energies begin to rise to their full weight; 0 at constant weights."""
    if settings.early_energies == 1 or settings.force_weight == 0:
        return 0
    return round(settings.forces_first * settings.max_epochs)


def cosine_rate(peak: float, progress: float, warm_up: float = 0.05, last: float = 0.01) -> float:
    """Learning rate at ``progress`` in [0, 1] of the run: linear rise, then half a cosine."""
    if progress < warm_up:
        return peak * (0.1 + 0.9 * progress / warm_up)
    fall = (progress - warm_up) / (1 - warm_up)
    return peak * (last + (1 - last) * 0.5 * (1 + math.cos(math.pi * fall)))
