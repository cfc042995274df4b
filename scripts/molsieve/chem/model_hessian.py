"""A Hessian guessed from geometry alone, where a quasi-Newton relaxation starts.

Lindh, Bernhardsson, Karlström, Malmqvist, Chem. Phys. Lett. 241, 423 (1995): stretches of all
pairs, bends and torsions along bonds, their stiffness decaying with distance:
ρ_ij = exp(α_ij (r_ref,ij² − r_ij²)), k_stretch = 0.45 ρ_ij, k_bend = 0.15 ρ_ij ρ_jk,
k_torsion = 0.005 ρ_ij ρ_jk ρ_kl (atomic units; here twice that, of 0.0025 to 0.02 what took the
fewest steps on quinones). H = Σ k B Bᵀ is never negative.
"""

from __future__ import annotations

import torch
from ase.data import covalent_radii
from torch import Tensor

from molsieve.units import ANGSTROM_PER_BOHR, EV_PER_HARTREE

RIDGE_EV_PER_ANGSTROM2 = 0.25
"""Stiffness of what the model does not see (contacts): soft, never zero. With 1 eV/Å² relaxations
of 96 quinones took 24 steps on average, with 0.25 21."""
BOND_FACTOR = 1.3
"""Two atoms are bonded when closer than this times the sum of their covalent radii."""

STRAIGHT_COSINE = 0.985
"""Angles beyond 170 degrees: their bend has no plane, a torsion over them no meaning."""

_STRETCH, _BEND, _TORSION = 0.45, 0.15, 0.010
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
    blocks = _stretches(vector, distance, decay, numbers)
    for structure, atoms, gradient, stiffness in (
        *_bends(vector, decay, bonded),
        _torsions(vector, decay, bonded),
    ):
        # Coinciding atoms have no direction; they add nothing here, their forces decide.
        scaled = torch.nan_to_num(stiffness[:, None, None] * gradient, posinf=0.0, neginf=0.0)
        outer = scaled[:, :, None, :, None] * torch.nan_to_num(gradient)[:, None, :, None, :]
        where = (structure[:, None, None] * width + atoms[:, :, None]) * width + atoms[:, None]
        blocks.view(-1, 9).index_add_(0, where.reshape(-1), outer.reshape(-1, 9))
    hessian = blocks.permute(0, 1, 3, 2, 4).reshape(n_structures, 3 * width, 3 * width)
    hessian = hessian * EV_PER_HARTREE
    hessian.diagonal(dim1=1, dim2=2).add_(RIDGE_EV_PER_ANGSTROM2)
    return hessian


def inverse_model_hessian(numbers: Tensor, positions: Tensor, cell: Tensor, pbc: Tensor) -> Tensor:
    """(S, 3n, 3n) Å²/eV, arguments as :func:`model_hessian`, by Cholesky factors.

    A Hessian without a factor (coordinates that are not finite) is replaced by the ridge.
    """
    hessian = model_hessian(numbers, positions, cell, pbc)
    factor, fault = torch.linalg.cholesky_ex(torch.nan_to_num(hessian))
    if bool(fault.any()):
        ridge = torch.eye(hessian.shape[1]).to(hessian) * RIDGE_EV_PER_ANGSTROM2**0.5
        factor = torch.where((fault > 0)[:, None, None], ridge, factor)
    return torch.cholesky_inverse(factor)


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


def _stretches(vector: Tensor, distance: Tensor, decay: Tensor, numbers: Tensor) -> Tensor:
    """(S, n, n, 3, 3) hartree/Å² of all pairs of atoms: ± k u uᵀ, u the direction of a pair."""
    real = (numbers > 0)[:, :, None] & (numbers > 0)[:, None]
    stiffness = torch.where(real, _STRETCH / ANGSTROM_PER_BOHR**2 * decay, 0.0)
    # An atom has no direction to itself, nor to one that coincides with it.
    unit = vector / torch.where(distance > 0, distance, torch.inf)[..., None]
    blocks = -(stiffness[..., None] * unit)[..., :, None] * unit[..., None, :]
    atom = torch.arange(numbers.shape[1], device=numbers.device)
    blocks[:, atom, atom] = -blocks.sum(2)
    return blocks


Coordinates = tuple[Tensor, Tensor, Tensor, Tensor]
"""C internal coordinates: structure (C,), atoms (C, k), gradient (C, k, 3) 1/Å, stiffness (C,)."""


def _bends(vector: Tensor, decay: Tensor, bonded: Tensor) -> tuple[Coordinates, ...]:
    """Angles a-c-b of bonded atoms; one near a straight line bends in two directions instead."""
    neighbours = _neighbour_table(bonded)
    s, c, first, second = _pairs_of(neighbours, neighbours)
    once = first < second
    s, c, first, second = s[once], c[once], first[once], second[once]
    a, b = neighbours[s, c, first], neighbours[s, c, second]
    to_a, to_b = vector[s, a, c], vector[s, b, c]
    length_a, length_b = (t.norm(dim=1, keepdim=True) for t in (to_a, to_b))
    to_a, to_b = to_a / length_a, to_b / length_b
    cosine = (to_a * to_b).sum(1, keepdim=True)
    straight = cosine.abs() > STRAIGHT_COSINE
    sine = torch.where(straight, 1.0, 1 - cosine**2).sqrt()
    along, across = _perpendiculars(to_a)
    sign = torch.where(cosine < 0, 1.0, -1.0)
    pull_a = torch.where(straight, along, (cosine * to_a - to_b) / sine) / length_a
    pull_b = torch.where(straight, sign * along, (cosine * to_b - to_a) / sine) / length_b
    atoms, stiffness = torch.stack([a, c, b], 1), _BEND * decay[s, a, c] * decay[s, c, b]
    bent = (s, atoms, torch.stack([pull_a, -pull_a - pull_b, pull_b], 1), stiffness)
    s, atoms, stiffness = (t[straight[:, 0]] for t in (s, atoms, stiffness))
    pull_a, pull_b = (across / length_a)[straight[:, 0]], (sign * across / length_b)[straight[:, 0]]
    return bent, (s, atoms, torch.stack([pull_a, -pull_a - pull_b, pull_b], 1), stiffness)


def _perpendiculars(unit: Tensor) -> tuple[Tensor, Tensor]:
    """Two unit vectors (C, 3) at right angles to ``unit`` and to each other."""
    axis = torch.zeros_like(unit).scatter_(1, unit.abs().argmin(1, keepdim=True), 1.0)
    first = torch.linalg.cross(unit, axis)
    first = first / first.norm(dim=1, keepdim=True)
    return first, torch.linalg.cross(unit, first)


def _torsions(vector: Tensor, decay: Tensor, bonded: Tensor) -> Coordinates:
    """Dihedrals p-a-b-q along bonds, but none over a straight angle, where they are undefined.

    Gradient: Blondel, Karplus, J. Comput. Chem. 17, 1132 (1996), eq. 27.
    """
    s, p, a, b, q = _chains(bonded)
    f, g, h = vector[s, p, a], vector[s, a, b], vector[s, q, b]
    m, n = torch.linalg.cross(f, g), torch.linalg.cross(h, g)
    f2, g2, h2, m2, n2 = (t.square().sum(1, keepdim=True) for t in (f, g, h, m, n))
    flat = 1 - STRAIGHT_COSINE**2
    defined = (m2 > flat * f2 * g2) & (n2 > flat * h2 * g2)
    length = g2.sqrt()
    end_p, end_q = -length / m2 * m, length / n2 * n
    shear = (f * g).sum(1, keepdim=True) / (m2 * length) * m
    shear = shear - (h * g).sum(1, keepdim=True) / (n2 * length) * n
    gradient = torch.stack([end_p, shear - end_p, -shear - end_q, end_q], 1)
    gradient = torch.where(defined[:, :, None], gradient, 0.0)
    stiffness = _TORSION * decay[s, p, a] * decay[s, a, b] * decay[s, b, q]
    return s, torch.stack([p, a, b, q], 1), gradient, stiffness


def _chains(bonded: Tensor) -> tuple[Tensor, ...]:
    """(structure, p, a, b, q) of all chains of three bonds, each once."""
    neighbours = _neighbour_table(bonded)
    s, a, b = torch.triu(bonded, diagonal=1).nonzero(as_tuple=True)
    around_a, around_b = neighbours[s, a], neighbours[s, b]
    bond, first, second = ((around_a >= 0)[:, :, None] & (around_b >= 0)[:, None]).nonzero(
        as_tuple=True
    )
    p, q, s, a, b = around_a[bond, first], around_b[bond, second], s[bond], a[bond], b[bond]
    once = (p != b) & (q != a) & (p != q)
    return s[once], p[once], a[once], b[once], q[once]


def _neighbour_table(bonded: Tensor) -> Tensor:
    """(S, n, degree) bonded atoms of each atom in ascending order, -1 beyond the last."""
    degree = max(1, int(bonded.sum(-1).max())) if bonded.numel() else 1
    here, index = bonded.to(torch.int8).sort(dim=-1, descending=True, stable=True)
    return torch.where(here.bool(), index, -1)[..., :degree]


def _pairs_of(first: Tensor, second: Tensor) -> tuple[Tensor, ...]:
    """Indices (structure, atom, i, j) of all pairs of neighbours of an atom."""
    return ((first >= 0)[..., :, None] & (second >= 0)[..., None, :]).nonzero(as_tuple=True)


def _nearest_image(vector: Tensor, cell: Tensor, pbc: Tensor) -> Tensor:
    """(S, n, n, 3) differences folded to the nearest image along periodic directions."""
    if not bool(pbc.any()):
        return vector
    full = torch.where(pbc.bool()[..., None], cell, torch.eye(3, dtype=cell.dtype).to(cell))
    fraction = torch.einsum("sija,sab->sijb", vector, torch.linalg.inv(full))
    fraction = fraction - torch.round(fraction) * pbc[:, None, None].to(fraction)
    return torch.einsum("sija,sab->sijb", fraction, full)
