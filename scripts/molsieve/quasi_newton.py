"""The algebra of quasi-Newton steps of many structures at once: A rows of D coordinates."""

from __future__ import annotations

import torch
from torch import Tensor

MIN_CURVATURE_EV_PER_ANGSTROM2 = 1e-2
"""A step with less curvature than this teaches the Hessian nothing."""


def bfgs_update(inverse: Tensor, move: Tensor, change: Tensor, sound: Tensor) -> None:
    """BFGS update of inverse Hessians (Nocedal & Wright, eq. 6.17) in place, one product of rank 2.

    Rows that are not ``sound``, or have no positive curvature along the step, stay as they are.

    Args:
        inverse: (A, D, D) Å²/eV; move: (A, D) Å; change: (A, D) of the gradient, eV/Å.
    """
    change = torch.where(sound[:, None], change, 0.0)
    curvature = (move * change).sum(1)
    good = sound & (curvature > MIN_CURVATURE_EV_PER_ANGSTROM2 * (move * move).sum(1))
    per_curvature = torch.where(good, 1 / curvature, 0.0)
    product = torch.bmm(inverse, change[..., None])[..., 0]
    weight = (1 + (change * product).sum(1) * per_curvature) * per_curvature
    left = weight[:, None] * move - per_curvature[:, None] * product
    sides = torch.stack([left, -per_curvature[:, None] * move], 2)
    inverse.baddbmm_(sides, torch.stack([move, product], 1))


def longest_of_an_atom(flat: Tensor) -> Tensor:
    """(A, D) displacements or gradients → (A,) the longest of an atom."""
    atoms = flat.reshape(flat.shape[0], flat.shape[1] // 3, 3)
    return torch.linalg.vector_norm(atoms, dim=-1).amax(1)
