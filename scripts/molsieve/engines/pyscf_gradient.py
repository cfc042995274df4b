"""Nuclear gradients of a converged PySCF mean field.

PySCF assembles them; the two dear parts are computed here: exchange and correlation by dense grid
blocks, and the density-fitted Coulomb and exchange terms without the derivatives on the auxiliary
functions, which follow from translational invariance.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
from pyscf import lib
from pyscf.df.grad.rhf import _int3c_wrapper as three_center_integrals
from pyscf.dft.numint import NumInt
from pyscf.gto import Mole

from molsieve.engines.dense_exchange import coulomb_exchange_gradient
from molsieve.engines.dense_integration import DenseNumInt, exchange_correlation_gradient

BLOCK_BYTES = 5e7
"""Three-centre integrals in memory at once."""


class NoQuadrature(NumInt):  # type: ignore[misc]
    """Stands in for the grid while PySCF assembles all the other terms of a gradient."""

    def _xc_type(self, xc_code: str) -> str:
        return "HF"


def nuclear_gradient(mf: Any) -> np.ndarray:
    """Gradient of the energy (N, 3), hartree/bohr, on the nuclei; zero for a lone atom."""
    if mf.mol.natm == 1:
        return np.zeros((1, 3))
    if not isinstance(mf._numint, DenseNumInt):
        gradient = mf.nuc_grad_method().kernel()
        return np.asarray(gradient.get() if hasattr(gradient, "get") else gradient)
    quadrature, mf._numint = mf._numint, NoQuadrature()
    fitted = bool(getattr(mf, "with_df", None))
    hybrid = quadrature.libxc.is_hybrid_xc(mf.xc)
    try:
        method = mf.nuc_grad_method()
        if fitted:
            method.get_j = method.get_k = _nothing
            method.get_jk = _nothing_twice
        gradient = np.asarray(method.kernel())
    finally:
        mf._numint = quadrature
    if fitted:
        gradient = gradient + (coulomb_exchange_gradient(mf) if hybrid else coulomb_gradient(mf))
    return gradient + exchange_correlation_gradient(mf)


def _nothing(mol: Mole, dm: np.ndarray, hermi: int = 0, omega: float | None = None) -> np.ndarray:
    """PySCF's Coulomb or exchange term of a gradient, empty, and its auxiliary part."""
    zero = np.zeros((*dm.shape[:-2], 3, *dm.shape[-2:]))
    return lib.tag_array(zero, aux=np.zeros((1, 1, mol.natm, 3)))


def _nothing_twice(
    mol: Mole, dm: np.ndarray, hermi: int = 0, omega: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    return _nothing(mol, dm), _nothing(mol, dm)


def coulomb_gradient(mf: Any) -> np.ndarray:
    """Gradient (N, 3), hartree/bohr, of the density-fitted Coulomb energy, density matrix fixed.

    With c the fitted density, E = Σ_P c_P (P|ρ) − ½ Σ_PQ c_P (P|Q) c_Q is stationary in c
    (Dunlap, Connolly, Sabin, J. Chem. Phys. 71, 3396 (1979)), so only integrals are differentiated;
    (μν|∂P) = −(∂μ ν|P) − (μ ∂ν|P) saves a third of them.
    """
    mol = mf.mol
    auxmol = mf.with_df.auxmol
    dm = np.asarray(mf.make_rdm1())
    dm = dm if dm.ndim == 2 else dm.sum(axis=0)
    fitted = _fitted_density(mf, dm)
    orbital = np.zeros((3, mol.nao))
    auxiliary = np.empty((3, auxmol.nao))
    integrals = three_center_integrals(mol, auxmol, "int3c2e_ip1", "s1")
    for first, last in _shell_blocks(auxmol, mol.nao):
        p = slice(auxmol.ao_loc[first], auxmol.ao_loc[last])
        block = integrals((0, mol.nbas, 0, mol.nbas, first, last))
        for x in range(3):
            pairs = block[x].T.reshape(p.stop - p.start, -1)  # row P: (∂i j|P), i fastest
            potential = (fitted[p] @ pairs).reshape(dm.shape)
            orbital[x] -= 2 * np.einsum("ji,ji->i", potential, dm)
            auxiliary[x, p] = 2 * fitted[p] * (pairs @ dm.ravel())
    auxiliary += fitted * (auxmol.intor("int2c2e_ip1") @ fitted)
    return _by_atom(mol, orbital) + _by_atom(auxmol, auxiliary)


def _fitted_density(mf: Any, dm: np.ndarray) -> np.ndarray:
    """Coefficients c of the density in the auxiliary basis: Σ_Q (P|Q) c_Q = (P|ρ)."""
    metric = mf.with_df.auxmol.intor("int2c2e")
    packed = lib.pack_tril(2 * dm - np.diag(np.diag(dm)))
    # The SCF's integrals are L⁻¹(P|μν), L the metric's Cholesky factor: c = L⁻ᵀ (L⁻¹(P|ρ)).
    projected = np.concatenate([block @ packed for block in mf.with_df.loop()])
    lower = scipy.linalg.cholesky(metric, lower=True)
    return scipy.linalg.solve_triangular(lower, projected, lower=True, trans="T")


def _shell_blocks(auxmol: Mole, nao: int) -> list[tuple[int, int]]:
    """Ranges of auxiliary shells whose derivative integrals fit in BLOCK_BYTES."""
    functions = max(1, int(BLOCK_BYTES / (24 * nao**2)))
    blocks, first = [], 0
    for shell in range(1, auxmol.nbas + 1):
        full = shell < auxmol.nbas and (auxmol.ao_loc[shell + 1] - auxmol.ao_loc[first] > functions)
        if full or shell == auxmol.nbas:
            blocks.append((first, shell))
            first = shell
    return blocks


def _by_atom(mol: Mole, by_function: np.ndarray) -> np.ndarray:
    """Sum (3, functions) over the functions of each atom: (N, 3)."""
    return np.array(
        [by_function[:, first:last].sum(axis=1) for *_, first, last in mol.aoslice_by_atom()]
    )
