"""Exchange and correlation on the grid, by dense blocks that stay in cache.

PySCF's own integration screens pairs of basis functions, which pays for hundreds of atoms; for the
molecules screened here (10 to 60 atoms) nearly every pair survives and plain matrix products of
grid blocks are several times faster, with the same sums. Same quadrature, same functional.

In the formulas φ are the basis functions, D the density matrix, ρ the density, and
f = ∂(ρε)/∂(ρ, ∇ρ, τ) the potential on the grid times its weights
(Pople, Gill, Johnson, Chem. Phys. Lett. 199, 557 (1992)).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from pyscf import lib
from pyscf.dft import numint

BLOCK_POINTS = 1008
"""Grid points a block (a multiple of PySCF's screening block of 56): some MB of basis values."""

CACHE_BYTES = 1e9
"""Basis values on a grid are kept between SCF cycles up to this size."""
CACHE_SHARE = 0.4
"""And up to this share of the memory that PySCF may still use."""

SECOND = ((4, 5, 6), (5, 7, 8), (6, 8, 9))
"""Rows of the second derivatives ∂x∂y among PySCF's ten."""

FAMILIES = {"LDA": 1, "GGA": 4, "MGGA": 5}
"""Rows of the density that a functional needs: ρ; ∇ρ; τ."""


Block = tuple[np.ndarray, np.ndarray]


class DenseNumInt(numint.NumInt):  # type: ignore[misc]
    """PySCF's numerical integration with dense blocks for the energy and the potential."""

    def __init__(self) -> None:
        super().__init__()
        # By grid; its coordinates are held too, so that their id stays theirs.
        self._kept: dict[tuple[int, ...], tuple[np.ndarray, list[Block]]] = {}

    def forget(self) -> None:
        """Free the basis values kept from cycle to cycle."""
        self._kept.clear()

    def nr_rks(
        self, mol, grids, xc_code, dms, relativity=0, hermi=1, max_memory=2000, verbose=None
    ):  # type: ignore[no-untyped-def]
        """(electrons, energy, potential matrix) of a closed-shell density matrix (nao, nao)."""
        family = self._xc_type(xc_code)
        dm = np.asarray(dms)
        if family not in FAMILIES or dm.ndim != 2 or hermi != 1:
            return super().nr_rks(mol, grids, xc_code, dms, relativity, hermi, max_memory, verbose)
        electrons, energy, potential = self._integrate(mol, grids, xc_code, dm[None], spin=0)
        return electrons[0], energy, potential[0]

    def nr_uks(
        self, mol, grids, xc_code, dms, relativity=0, hermi=1, max_memory=2000, verbose=None
    ):  # type: ignore[no-untyped-def]
        """(electrons, energy, potential matrices) of two spins' density matrices (2, nao, nao)."""
        family = self._xc_type(xc_code)
        dm = np.asarray(dms)
        if family not in FAMILIES or dm.ndim != 3 or hermi != 1:
            return super().nr_uks(mol, grids, xc_code, dms, relativity, hermi, max_memory, verbose)
        return self._integrate(mol, grids, xc_code, dm, spin=1)

    def _integrate(
        self, mol: Any, grids: Any, xc_code: str, dm: np.ndarray, spin: int
    ) -> tuple[np.ndarray, float, np.ndarray]:
        family = self._xc_type(xc_code)
        electrons, energy = np.zeros(len(dm)), 0.0
        potential = np.zeros_like(dm)
        for ao, weights in self._basis_blocks(mol, grids, 0 if family == "LDA" else 1):
            rho = np.array([_density(ao, d, family)[0] for d in dm])
            exc, f = self._potential(xc_code, rho, family, spin)
            density = rho[:, 0] * weights
            electrons += density.sum(axis=1)
            energy += float(density.sum(axis=0) @ exc)
            for s in range(len(dm)):
                potential[s] += _potential_matrix(ao, f[s] * weights, family)
        return electrons, energy, potential + potential.transpose(0, 2, 1)

    def _potential(
        self, xc_code: str, rho: np.ndarray, family: str, spin: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """ε (points,) and ∂(ρε)/∂rows (spins, rows, points)."""
        squeezed = rho[:, 0] if family == "LDA" else rho
        exc, f = self.eval_xc_eff(
            xc_code, squeezed if spin else squeezed[0], deriv=1, xctype=family, spin=spin
        )[:2]
        return exc, np.reshape(f, rho.shape)

    def _basis_blocks(self, mol: Any, grids: Any, derivative: int) -> Iterator[Block]:
        """:func:`basis_blocks`, from memory after the first pass where they fit."""
        key = (id(mol), id(grids.coords), derivative)
        rows = 1 if derivative == 0 else 4
        if key not in self._kept and grids.weights.size * mol.nao * rows * 8 <= _cache_bytes(mol):
            self._kept[key] = (grids.coords, list(basis_blocks(mol, grids, derivative)))
        if key in self._kept:
            return iter(self._kept[key][1])
        return basis_blocks(mol, grids, derivative)


def _cache_bytes(mol: Any) -> float:
    left_mb = mol.max_memory - lib.current_memory()[0]
    return min(CACHE_BYTES, max(0.0, CACHE_SHARE * 1e6 * left_mb))


def basis_blocks(mol: Any, grids: Any, derivative: int) -> Iterator[Block]:
    """Values of the basis functions and their derivatives, (rows, nao, points), and weights.

    Rows as PySCF orders them: φ; ∂x, ∂y, ∂z; xx, xy, xz, yy, yz, zz.
    """
    coords, weights = grids.coords, grids.weights
    for start in range(0, weights.size, BLOCK_POINTS):
        block = slice(start, start + BLOCK_POINTS)
        ao = mol.eval_gto(f"GTOval_sph_deriv{derivative}", coords[block])
        ao = ao[None] if ao.ndim == 2 else ao
        yield ao.transpose(0, 2, 1), weights[block]


def _density(ao: np.ndarray, dm: np.ndarray, family: str) -> tuple[np.ndarray, list[np.ndarray]]:
    """Rows of the density (rows, points), and the products D φ, D ∂φ they were made of."""
    products = [dm @ ao[0]]
    rho = np.empty((FAMILIES[family], ao.shape[2]))
    rho[0] = np.einsum("ig,ig->g", ao[0], products[0])
    if family != "LDA":
        for x in range(1, 4):
            rho[x] = 2 * np.einsum("ig,ig->g", ao[x], products[0])
    if family == "MGGA":
        products += [dm @ ao[x] for x in range(1, 4)]
        rho[4] = 0.5 * sum(np.einsum("ig,ig->g", ao[x], products[x]) for x in range(1, 4))
    return rho, products


def density_rows(ao: np.ndarray, dm: np.ndarray, family: str) -> np.ndarray:
    """Rows of the density (rows, points) of a density matrix on one of :func:`basis_blocks`."""
    return _density(ao, dm, family)[0]


def _potential_matrix(ao: np.ndarray, f: np.ndarray, family: str) -> np.ndarray:
    """Half of the potential matrix of one block: it is to be added to its transpose."""
    half = np.concatenate([0.5 * f[:1], f[1 : len(ao)]])
    weighted = np.einsum("xig,xg->ig", ao[: len(half)], half)
    matrix = ao[0] @ weighted.T
    if family == "MGGA":
        for x in range(1, 4):
            matrix += ao[x] @ (ao[x] * (0.25 * f[4])).T
    return matrix


def exchange_correlation_gradient(mf: Any) -> np.ndarray:
    """Gradient (N, 3), hartree/bohr, of the exchange-correlation energy; grid fixed to space."""
    ni, mol, grids = mf._numint, mf.mol, mf.grids
    family = ni._xc_type(mf.xc)
    by_function = np.zeros((3, mol.nao))
    if family in FAMILIES:
        dm = mf.make_rdm1()
        dm = dm[None] if dm.ndim == 2 else dm
        for ao, weights in basis_blocks(mol, grids, 1 if family == "LDA" else 2):
            parts = [_density(ao, d, family) for d in dm]
            rho = np.array([rows for rows, _ in parts])
            _, f = ni._potential(mf.xc, rho, family, spin=len(dm) - 1)
            for s, (_, products) in enumerate(parts):
                by_function += _gradient_by_function(ao, dm[s], f[s] * weights, products)
    return np.array(
        [by_function[:, first:last].sum(axis=1) for *_, first, last in mol.aoslice_by_atom()]
    )


def _gradient_by_function(
    ao: np.ndarray, dm: np.ndarray, f: np.ndarray, products: list[np.ndarray]
) -> np.ndarray:
    """−∫ f · ∂(density rows)/∂(centre of each basis function), (3, nao)."""
    d_phi = products[0]
    first_order = d_phi * f[0]
    gradient = np.zeros((3, ao.shape[1]))
    if len(f) > 1:
        d_grad = products[1:] or [dm @ ao[y] for y in range(1, 4)]
        for y in range(3):
            first_order += d_grad[y] * f[1 + y]
            second_order = d_phi * f[1 + y]
            if len(f) == 5:
                second_order += d_grad[y] * (0.5 * f[4])
            for x in range(3):
                gradient[x] -= np.einsum("ig,ig->i", ao[SECOND[x][y]], second_order)
    for x in range(3):
        gradient[x] -= np.einsum("ig,ig->i", ao[1 + x], first_order)
    return 2 * gradient
