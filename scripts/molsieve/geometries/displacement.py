"""Displaced copies of structures: along their normal modes, or every atom at random.

Both are bounded (no atom further than a longest displacement: a longer one is shortened as a whole)
and sound: a displacement that breaks its molecule is halved until it does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from molsieve.geometries.normal_modes import Modes
from molsieve.geometries.soundness import Soundness
from molsieve.potential.batches import AtomsBatch

HALVINGS = 4
LARGEST_MODE_SHARE = 0.5
"""One mode alone displaces no atom by more than this share of the longest displacement (root mean
square): soft modes are no longer straight lines there."""


@dataclass(frozen=True)
class Displaced:
    """One displaced copy of each of S structures.

    Attributes:
        positions: (N, 3) Å.
        sound: (S,) bool; where not, even the last halving broke the molecule.
    """

    positions: Tensor
    sound: Tensor


def random_displacement(
    batch: AtomsBatch, std_angstrom: float, longest_angstrom: float, seed: list[int]
) -> Displaced:
    """Every coordinate moved by a normal step; each structure's drawn from a stream of its own.

    Args:
        seed: numbers that name the copy.
    """
    steps = _normal(batch, seed)
    return bounded_and_sound(batch, std_angstrom * steps, longest_angstrom)


def normal_mode_displacement(
    batch: AtomsBatch,
    modes: list[Modes],
    temperature_k: float,
    quantum: bool,
    longest_angstrom: float,
    seed: list[int],
) -> Displaced:
    """Amplitudes of independent oscillators at a temperature, classical or quantum.

    Args:
        modes: of each structure at these positions.
        seed: numbers that name the copy.
    """
    shifts = []
    for draws, mine in zip(_normal(batch, seed).split(batch.sizes.tolist()), modes, strict=True):
        amplitudes = mine.amplitudes(temperature_k, quantum)
        alone = amplitudes * mine.vectors.square().sum(2).amax(1).sqrt()
        cap = LARGEST_MODE_SHARE * longest_angstrom / alone.clamp(min=1e-12)
        weights = amplitudes * cap.clamp(max=1.0) * draws.flatten()[: len(amplitudes)]
        shifts.append(torch.einsum("k,kni->ni", weights, mine.vectors))
    return bounded_and_sound(batch, torch.cat(shifts), longest_angstrom)


def bounded_and_sound(batch: AtomsBatch, shift: Tensor, longest_angstrom: float) -> Displaced:
    """``batch`` displaced by ``shift`` (N, 3), shortened and halved as far as need be."""
    length = torch.linalg.vector_norm(shift, dim=1)
    furthest = length.new_zeros(batch.n_structures)
    furthest = furthest.scatter_reduce(0, batch.structure, length, "amax")
    factor = (longest_angstrom / furthest.clamp(min=1e-12)).clamp(max=1.0)
    judge = Soundness(batch)
    for halving in range(HALVINGS + 1):
        place = batch.positions + factor[batch.structure, None] * shift
        faults = judge.faults(batch.with_positions(place))
        sound = torch.tensor([not fault for fault in faults], device=factor.device)
        if bool(sound.all()) or halving == HALVINGS:
            break
        factor = torch.where(sound, factor, 0.5 * factor)
    return Displaced(place, sound)


def _normal(batch: AtomsBatch, seed: list[int]) -> Tensor:
    """(N, 3) standard normal numbers, whoever else is in the batch."""
    sizes = batch.sizes.tolist()
    drawn = [np.random.default_rng([*seed, s]).standard_normal((n, 3)) for s, n in enumerate(sizes)]
    return torch.as_tensor(np.concatenate(drawn), device=batch.positions.device)
