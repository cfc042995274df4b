"""A Hessian guessed from geometry alone, where a quasi-Newton relaxation starts.

Lindh, Bernhardsson, Karlström, Malmqvist, Chem. Phys. Lett. 241, 423 (1995): stretches of all
pairs, bends and torsions along bonds, their stiffness decaying with distance:
ρ_ij = exp(α_ij (r_ref,ij² − r_ij²)), k_stretch = 0.45 ρ_ij, k_bend = 0.15 ρ_ij ρ_jk,
k_torsion = 0.005 ρ_ij ρ_jk ρ_kl (atomic units). H = Σ k B Bᵀ is never negative.
"""

from __future__ import annotations

import torch
from ase.data import covalent_radii
from torch import Tensor

from molsieve.units import ANGSTROM_PER_BOHR, EV_PER_HARTREE

RIDGE_EV_PER_ANGSTROM2 = 1.0
"""Stiffness of what the model does not see (linear bends, contacts): soft, never zero."""
BOND_FACTOR = 1.3
"""Two atoms are bonded when closer than this times the sum of their covalent radii."""

_STRETCH, _BEND, _TORSION = 0.45, 0.15, 0.005
# Rows and columns: H-He, Li-Ne, Na and beyond; bohr and 1/bohr².
_REFERENCE_DISTANCE = ((1.35, 2.10, 2.53), (2.10, 2.87, 3.40), (2.53, 3.40, 3.40))
_DECAY = ((1.0000, 0.3949, 0.3949), (0.3949, 0.2800, 0.2800), (0.3949, 0.2800, 0.2800))


def model_hessian(numbers: Tensor, positions: Tensor, cell: Tensor, pbc: Tensor) -> Tensor:
    """Positive definite Cartesian Hessians of S structures.

    Args:
        numbers: (S, n) atomic numbers, 0 where a structure has fewer than n atoms.
        positions: (S, n, 3) Å, float64.
        cell: (S, 3, 3) Å; pbc: (S, 3). Only nearest images count.

    Returns:
        (S, 3n, 3n) eV/Å², coordinates atom by atom; absent atoms see the ridge alone.
    """
    n_structures, width = numbers.shape
    vector = _nearest_image(positions[:, :, None] - positions[:, None], cell, pbc)
    distance = torch.linalg.vector_norm(vector, dim=-1)
    bonded = bonds(numbers, distance)
    decay = _pair_decay(numbers, distance)
    blocks = positions.new_zeros((n_structures, width, width, 3, 3))
    for structure, atoms, points, gradient_of, stiffness in (
        *_stretches(vector, decay, numbers),
        *_bends(vector, decay, bonded),
        *_torsions(vector, decay, bonded),
    ):
        if not len(structure):
            continue
        gradient = torch.func.vmap(torch.func.grad(gradient_of))(points)
        # Coinciding atoms have no direction; they add nothing here, their forces decide.
        gradient = torch.nan_to_num(gradient)
        outer = stiffness[:, None, None, None, None] * (
            gradient[:, :, None, :, None] * gradient[:, None, :, None, :]
        )
        where = (structure[:, None, None], atoms[:, :, None], atoms[:, None])
        blocks.index_put_(where, outer, accumulate=True)
    hessian = blocks.permute(0, 1, 3, 2, 4).reshape(n_structures, 3 * width, 3 * width)
    hessian = hessian * EV_PER_HARTREE
    hessian.diagonal(dim1=1, dim2=2).add_(RIDGE_EV_PER_ANGSTROM2)
    return hessian


def bonds(numbers: Tensor, distance: Tensor, factor: float = BOND_FACTOR) -> Tensor:
    """(S, n, n) True where two atoms are bonded by their covalent radii (ASE's, Cordero 2008).

    Args:
        numbers: (S, n), 0 where there is no atom.
        distance: (S, n, n) Å.
    """
    radius = torch.as_tensor(covalent_radii, dtype=distance.dtype).to(distance.device)[numbers]
    real = numbers > 0
    bonded = distance < factor * (radius[:, :, None] + radius[:, None])
    bonded = bonded & real[:, :, None] & real[:, None]
    bonded.diagonal(dim1=1, dim2=2).zero_()
    return bonded


def _pair_decay(numbers: Tensor, distance: Tensor) -> Tensor:
    """(S, n, n) ρ_ij; at most 2, or overlapping atoms would be infinitely stiff."""
    row = (numbers > 2).long() + (numbers > 10).long()
    pair = (row[:, :, None], row[:, None])
    reference = distance.new_tensor(_REFERENCE_DISTANCE)[pair]
    decay = distance.new_tensor(_DECAY)[pair]
    exponent = decay * (reference**2 - (distance / ANGSTROM_PER_BOHR) ** 2)
    return torch.exp(exponent).clamp(max=2.0)


def _stretches(vector: Tensor, decay: Tensor, numbers: Tensor):
    """Every pair that is stiff enough to matter. Yields the structure of each coordinate, its
    atoms, their relative positions, the coordinate as a function of them, and its stiffness."""
    real = numbers > 0
    pair = (decay > 1e-3) & real[:, :, None] & real[:, None]
    s, i, j = torch.triu(pair, diagonal=1).nonzero(as_tuple=True)
    points = torch.stack([vector[s, i, j], torch.zeros_like(vector[s, i, j])], 1)
    stiffness = _STRETCH * decay[s, i, j] / ANGSTROM_PER_BOHR**2
    yield s, torch.stack([i, j], 1), points, _length, stiffness


def _bends(vector: Tensor, decay: Tensor, bonded: Tensor):
    """Angles a-c-b of bonded atoms, as :func:`_stretches`."""
    neighbours = _neighbour_table(bonded)
    s, c, first, second = _pairs_of(neighbours, neighbours)
    a, b = neighbours[s, c, first], neighbours[s, c, second]
    once = first < second
    s, c, a, b = s[once], c[once], a[once], b[once]
    points = torch.stack([vector[s, a, c], torch.zeros_like(vector[s, a, c]), vector[s, b, c]], 1)
    stiffness = _BEND * decay[s, a, c] * decay[s, c, b]
    yield s, torch.stack([a, c, b], 1), points, _angle, stiffness


def _torsions(vector: Tensor, decay: Tensor, bonded: Tensor):
    """Dihedrals p-a-b-q along bonds, as :func:`_stretches`."""
    neighbours = _neighbour_table(bonded)
    s, a, b = torch.triu(bonded, diagonal=1).nonzero(as_tuple=True)
    around_a, around_b = neighbours[s, a], neighbours[s, b]
    bond, first, second = ((around_a >= 0)[:, :, None] & (around_b >= 0)[:, None]).nonzero(
        as_tuple=True
    )
    p, q, s, a, b = around_a[bond, first], around_b[bond, second], s[bond], a[bond], b[bond]
    once = (p != b) & (q != a) & (p != q)
    p, q, s, a, b = p[once], q[once], s[once], a[once], b[once]
    axis = vector[s, b, a]
    points = torch.stack([vector[s, p, a], torch.zeros_like(axis), axis, axis + vector[s, q, b]], 1)
    stiffness = _TORSION * decay[s, p, a] * decay[s, a, b] * decay[s, b, q]
    yield s, torch.stack([p, a, b, q], 1), points, _dihedral, stiffness


def _neighbour_table(bonded: Tensor) -> Tensor:
    """(S, n, degree) bonded atoms of each atom in ascending order, -1 beyond the last."""
    degree = max(1, int(bonded.sum(-1).max())) if bonded.numel() else 1
    here, index = bonded.to(torch.int8).sort(dim=-1, descending=True, stable=True)
    return torch.where(here.bool(), index, -1)[..., :degree]


def _pairs_of(first: Tensor, second: Tensor) -> tuple[Tensor, ...]:
    """Indices (structure, atom, i, j) of all pairs of neighbours of an atom."""
    return ((first >= 0)[..., :, None] & (second >= 0)[..., None, :]).nonzero(as_tuple=True)


def _length(points: Tensor) -> Tensor:
    return torch.linalg.vector_norm(points[0] - points[1])


def _angle(points: Tensor) -> Tensor:
    """Radian; flat (no stiffness) near a straight line, where its gradient is singular."""
    first, second = points[0] - points[1], points[2] - points[1]
    cosine = (first @ second) / (first.norm() * second.norm())
    return torch.acos(cosine.clamp(-0.999, 0.999))


def _dihedral(points: Tensor) -> Tensor:
    axis = points[2] - points[1]
    axis = axis / axis.norm()
    first, last = points[0] - points[1], points[3] - points[2]
    first, last = first - (first @ axis) * axis, last - (last @ axis) * axis
    return torch.atan2(torch.linalg.cross(axis, first) @ last, first @ last)


def _nearest_image(vector: Tensor, cell: Tensor, pbc: Tensor) -> Tensor:
    """(S, n, n, 3) differences folded to the nearest image along periodic directions."""
    if not bool(pbc.any()):
        return vector
    full = torch.where(pbc.bool()[..., None], cell, torch.eye(3, dtype=cell.dtype).to(cell))
    fraction = torch.einsum("sija,sab->sijb", vector, torch.linalg.inv(full))
    fraction = fraction - torch.round(fraction) * pbc[:, None, None].to(fraction)
    return torch.einsum("sija,sab->sijb", fraction, full)
