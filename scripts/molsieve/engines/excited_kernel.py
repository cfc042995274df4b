"""The exchange-correlation kernel in the orbitals' products, by quadrature in dense blocks.

    (ia|f|jb) = Σ_g w_g Σ_xy D_x[φ_i φ_a] f_xy D_y[φ_j φ_b]

with D the density's rows (ρ, ∇ρ, τ) and f the second derivatives of the functional, of the total
density for singlets, ½ (f_αα − f_αβ) for triplets. The quadrature may be much coarser than the
ground state's: f only weighs products of orbitals, no energy is integrated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pyscf import lib

from molsieve.engines.dense_integration import FAMILIES, basis_blocks, density_rows

if TYPE_CHECKING:
    from molsieve.engines.excited_response import Space

CACHE_BYTES = 1e9
CACHE_SHARE = 0.3
"""Orbitals on the grid are kept up to this size, and this share of the memory still free."""


@dataclass(frozen=True)
class Block:
    """Values on g points: occupied and virtual orbitals (rows, n, g), kernels (x, y, g)."""

    occupied: np.ndarray
    virtual: np.ndarray
    singlet: np.ndarray
    triplet: np.ndarray


class GridKernel:
    """Products of (ia|f|jb) with vectors."""

    def __init__(self, mf: Any, space: Space, grid_level: int) -> None:
        self._mf, self._space = mf, space
        self._family = mf._numint._xc_type(mf.xc)
        self._rows = FAMILIES.get(self._family, 0)
        self._grids = mf.grids
        if grid_level != mf.grids.level:
            self._grids = type(mf.grids)(mf.mol)
            self._grids.level = grid_level
        if self._rows and self._grids.coords is None:
            self._grids.build()
        self._kept: list[Block] | None = None

    def blocks(self) -> Iterator[Block]:
        """From memory after the first pass where they fit."""
        if self._kept is not None:
            return iter(self._kept)
        orbitals = sum(self._space.shape)
        needed = 8 * self._grids.weights.size * orbitals * min(self._rows, 4)
        left = 1e6 * (self._mf.mol.max_memory - lib.current_memory()[0])
        if needed > min(CACHE_BYTES, CACHE_SHARE * left):
            return self._computed()
        self._kept = list(self._computed())
        return iter(self._kept)

    def _computed(self) -> Iterator[Block]:
        mf, dm = self._mf, np.asarray(self._mf.make_rdm1())
        derivative = 0 if self._rows == 1 else 1
        for ao, weights in basis_blocks(mf.mol, self._grids, derivative):
            rho = 0.5 * density_rows(ao, dm, self._family)
            same, other = _spin_kernels(mf, rho, self._family)
            occupied = np.matmul(self._space.occupied.T, ao)
            virtual = np.matmul(self._space.virtual.T, ao)
            singlet, triplet = 0.5 * (same + other), 0.5 * (same - other)
            yield Block(occupied, virtual, singlet * weights, triplet * weights)

    def product(self, vectors: np.ndarray, singlet: bool) -> np.ndarray:
        """Σ_jb (ia|f|jb) X_jb of ``vectors`` (k, ov), hartree."""
        shape = (len(vectors), *self._space.shape)
        result = np.zeros(shape)
        if self._rows:
            x = vectors.reshape(shape)
            for block in self.blocks():
                kernel = block.singlet if singlet else block.triplet
                result += _block_product(block, kernel, x, self._rows)
        return result.reshape(vectors.shape)


def _spin_kernels(mf: Any, rho: np.ndarray, family: str) -> tuple[np.ndarray, np.ndarray]:
    """f_αα and f_αβ (rows, rows, points) at the density rows (rows, points) of one spin."""
    squeezed = rho[0] if family == "LDA" else rho
    spins = np.array([squeezed, squeezed])
    f = mf._numint.eval_xc_eff(mf.xc, spins, deriv=2, xctype=family, spin=1)[2]
    rows, points = rho.shape
    f = np.asarray(f).reshape(2, rows, 2, rows, points)
    return f[0, :, 0], f[0, :, 1]


def _block_product(block: Block, kernel: np.ndarray, x: np.ndarray, rows: int) -> np.ndarray:
    """The block's share of Σ_jb (ia|f|jb) X_jb: (k, o, v)."""
    k, o, v = x.shape
    occ, virt = block.occupied, block.virtual
    # Σ_a X_ia ∂φ_a, every row at once: (k, o, rows of φ, g).
    mixed = [(x.reshape(k * o, v) @ part).reshape(k, o, -1) for part in virt]
    density = np.empty((k, rows, occ.shape[2]))
    density[:, 0] = np.einsum("ig,kig->kg", occ[0], mixed[0])
    for d in range(1, len(virt)):
        density[:, d] = np.einsum("ig,kig->kg", occ[d], mixed[0])
        density[:, d] += np.einsum("ig,kig->kg", occ[0], mixed[d])
    if rows == 5:
        parts = (np.einsum("ig,kig->kg", occ[d], mixed[d]) for d in range(1, 4))
        density[:, 4] = 0.5 * sum(parts)
    weighted = np.einsum("xyg,kyg->kxg", kernel, density)
    return _projected(occ, virt, weighted)


def _projected(occ: np.ndarray, virt: np.ndarray, weighted: np.ndarray) -> np.ndarray:
    """Σ_xg weighted (k, x, g) D_x[φ_i φ_a](g): (k, o, v)."""
    k, rows, points = weighted.shape
    o = occ.shape[1]
    left = occ[0] * weighted[:, 0, None]
    for d in range(1, len(occ)):
        left += occ[d] * weighted[:, d, None]
    result = left.reshape(k * o, points) @ virt[0].T
    for d in range(1, len(occ)):
        left = occ[0] * weighted[:, d, None]
        if rows == 5:
            left += occ[d] * (0.5 * weighted[:, 4, None])
        result += left.reshape(k * o, points) @ virt[d].T
    return result.reshape(k, o, -1)
