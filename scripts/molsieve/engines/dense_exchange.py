"""Density-fitted exact exchange by plain matrix products: the SCF's matrices and the gradient.

PySCF transforms packed integrals with loops of its own. For the molecules screened here (10 to 60
atoms) unpacked blocks and matrix products do the same sums several times faster (Weigend, Phys.
Chem. Chem. Phys. 4, 4285 (2002), for the equations).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pyscf.df
import scipy.linalg
from pyscf import gto, lib
from pyscf.df.grad.rhf import _int3c_wrapper as three_center_integrals
from pyscf.df.incore import LINEAR_DEP_THR

UNPACKED_BYTES = 1e8
"""Three-centre integrals unpacked at once."""

KEPT_BYTES = 5e8
"""Unpacked integrals of one range of the interaction are kept between cycles up to this size."""
KEPT_SHARE = 0.2
"""And up to this share of the memory that PySCF may still use."""


class DenseDF(pyscf.df.DF):  # type: ignore[misc]
    """PySCF's density fitting; exchange of determinants by matrix products."""

    _keys: ClassVar[set[str]] = {"kept"}

    def __init__(self, mol: gto.Mole, auxbasis: Any = None) -> None:
        super().__init__(mol, auxbasis)
        self.kept: list[np.ndarray] = []

    def reset(self, mol: gto.Mole | None = None) -> DenseDF:
        """Forget integrals; PySCF does so for the copy that holds another range."""
        self.kept = []
        super().reset(mol)
        return self

    def get_jk(  # type: ignore[no-untyped-def]
        self, dm, hermi=1, with_j=True, with_k=True, direct_scf_tol=1e-13, omega=None
    ):
        """Coulomb and exchange matrices, shaped as ``dm``; as PySCF's."""
        orbitals = occupied_orbitals(dm)
        if not with_k or hermi != 1 or not orbitals or np.iscomplexobj(dm):
            return super().get_jk(dm, hermi, with_j, with_k, direct_scf_tol, omega)
        with ranged(self, omega) as fitting:
            coulomb, exchange = _coulomb_and_exchange(fitting, np.asarray(dm), orbitals, with_j)
        return coulomb, exchange


def occupied_orbitals(dm: Any) -> list[np.ndarray]:
    """Orbitals (nao, n) times the root of their occupation, by spin; none if ``dm`` has none."""
    if getattr(dm, "mo_coeff", None) is None:
        return []
    coefficients, occupations = np.asarray(dm.mo_coeff), np.asarray(dm.mo_occ)
    if coefficients.ndim != dm.ndim or occupations.ndim != dm.ndim - 1:  # restricted open shell
        return []
    nao = dm.shape[-1]
    sets = zip(
        coefficients.reshape(-1, nao, occupations.shape[-1]),
        occupations.reshape(-1, occupations.shape[-1]),
        strict=True,
    )
    return [c[:, n > 0] * np.sqrt(n[n > 0]) for c, n in sets]


@contextlib.contextmanager
def ranged(density_fitting: Any, omega: float | None) -> Iterator[Any]:
    """The density fitting of the long-range interaction erf(ω r)/r; as it is without ω."""
    if not omega:
        yield density_fitting
        return
    with density_fitting.range_coulomb(omega) as fitting:
        yield fitting


def unpacked(density_fitting: Any) -> Iterator[np.ndarray]:
    """Blocks (auxiliary, nao, nao) of the fitted integrals B of a PySCF density fitting."""
    nao = density_fitting.mol.nao
    kept = getattr(density_fitting, "kept", None)
    if kept:
        yield from kept
        return
    keep = kept is not None and _may_be_kept(density_fitting)
    for block in density_fitting.loop(max(4, int(UNPACKED_BYTES / (8 * nao**2)))):
        dense = lib.unpack_tril(np.asarray(block))
        if keep:
            density_fitting.kept.append(dense)
        yield dense


def _may_be_kept(density_fitting: Any) -> bool:
    mol = density_fitting.mol
    left = 1e6 * (mol.max_memory - lib.current_memory()[0])
    size = 8 * density_fitting.get_naoaux() * mol.nao**2
    return bool(size <= min(KEPT_BYTES, KEPT_SHARE * left))


def _coulomb_and_exchange(
    fitting: Any, dm: np.ndarray, orbitals: list[np.ndarray], with_j: bool
) -> tuple[Any, np.ndarray]:
    nao = dm.shape[-1]
    exchange = np.zeros((len(orbitals), nao, nao))
    charges: list[list[np.ndarray]] = [[] for _ in orbitals]
    for block in unpacked(fitting):
        for s, occupied in enumerate(orbitals):
            half = block.reshape(-1, nao) @ occupied
            charges[s].append(half.reshape(len(block), -1) @ occupied.ravel())
            half = half.reshape(len(block), nao, -1).transpose(1, 0, 2).reshape(nao, -1)
            exchange[s] += half @ half.T
    coulomb = None
    if with_j:
        fitted_charges = np.array([np.concatenate(parts) for parts in charges])
        coulomb = _potentials(fitting, fitted_charges).reshape(dm.shape)
    return coulomb, exchange.reshape(dm.shape)


def _potentials(fitting: Any, charges: np.ndarray) -> np.ndarray:
    """Σ_P c_P B_P of ``charges`` (n, auxiliary): (n, nao, nao)."""
    packed, start = 0.0, 0
    for block in fitting.loop():
        packed = packed + charges[:, start : start + len(block)] @ np.asarray(block)
        start += len(block)
    return np.asarray(lib.unpack_tril(packed))


# ---------------------------------------------------------------- gradient


def coulomb_exchange_gradient(mf: Any) -> np.ndarray:
    """Gradient (N, 3), hartree/bohr, of the fitted Coulomb and exact-exchange energy.

    With fitted densities c_P and Z_P,ij = Σ_Q (P|Q)⁻¹ (Q|ij) of the orbitals of each spin,
    E = ½ Σ c_P (P|ρ) − ½ x Σ Z_P,ij (P|ij) is differentiated at fixed orbitals; the derivatives on
    the auxiliary functions follow from translational invariance.
    """
    omega, long_range, short_range = mf._numint.rsh_and_hybrid_coeff(mf.xc, mf.mol.spin)
    gradient = _gradient_of_range(mf, None, 1.0, short_range)
    if omega and long_range != short_range:
        gradient += _gradient_of_range(mf, omega, 0.0, long_range - short_range)
    return gradient


def _gradient_of_range(mf: Any, omega: float | None, coulomb: float, exchange: float) -> np.ndarray:
    dm = mf.make_rdm1()
    orbitals = [o for o in occupied_orbitals(dm) if o.shape[1]]
    # A doubly occupied set holds both spins: √2 in each orbital is 4 in E, twice too much.
    weight = exchange * (0.5 if np.ndim(dm) == 2 else 1.0)
    with ranged(mf.with_df, omega) as fitting:
        mol, auxmol = mf.mol, fitting.auxmol
        density = np.asarray(dm).reshape(-1, mol.nao, mol.nao).sum(axis=0)
        fit = _Fit(fitting)
        charges = coulomb * fit.density(density)
        pairs = [fit.pairs(o) for o in orbitals] if weight else []
        terms = [(o, z, weight) for o, z in zip(orbitals, pairs, strict=False)]
        by_function, by_auxiliary = _three_centre_part(mol, auxmol, density, charges, terms)
        metric = -0.5 * np.outer(charges, charges)
        for z in pairs:
            metric += 0.5 * weight * (z @ z.T)
        by_auxiliary -= 2 * np.einsum("xpq,pq->xp", auxmol.intor("int2c2e_ip1"), metric)
    return _by_atom(mol, by_function) + _by_atom(auxmol, by_auxiliary)


class _Fit:
    """Coefficients (P|Q)⁻¹ (Q|..) of densities and of orbital pairs in the auxiliary basis.

    From the SCF's B = L⁻¹ (Q|..), L the metric's Cholesky factor. The metric of the long-range
    interaction is nearly singular: there PySCF's factor is one of many, and the integrals (Q|..)
    are computed again.
    """

    def __init__(self, fitting: Any) -> None:
        self.fitting = fitting
        metric = fitting.auxmol.intor("int2c2e")
        self.lower: np.ndarray | None = None
        try:
            self.lower = scipy.linalg.cholesky(metric, lower=True)
        except scipy.linalg.LinAlgError:
            values, vectors = scipy.linalg.eigh(metric)
            kept = values > LINEAR_DEP_THR
            self.root = vectors[:, kept] / np.sqrt(values[kept])

    def density(self, density: np.ndarray) -> np.ndarray:
        """(auxiliary,) of a symmetric density matrix (nao, nao)."""
        flat = density.ravel()
        rows = [block.reshape(len(block), -1) @ flat for block in self._blocks()]
        return self._unfit(np.concatenate(rows))

    def pairs(self, orbitals: np.ndarray) -> np.ndarray:
        """(auxiliary, o o) of the products of orbitals (nao, o)."""
        rows = [
            np.matmul(orbitals.T, np.matmul(block, orbitals)).reshape(len(block), -1)
            for block in self._blocks()
        ]
        return self._unfit(np.concatenate(rows))

    def _blocks(self) -> Iterator[np.ndarray]:
        if self.lower is not None:
            yield from unpacked(self.fitting)
            return
        mol, auxmol = self.fitting.mol, self.fitting.auxmol
        integrals = three_center_integrals(mol, auxmol, "int3c2e", "s2ij")
        for first, last in shell_blocks(auxmol, mol.nao):
            packed = integrals((0, mol.nbas, 0, mol.nbas, first, last))
            yield lib.unpack_tril(np.ascontiguousarray(packed.T))

    def _unfit(self, rows: np.ndarray) -> np.ndarray:
        if self.lower is None:
            return np.asarray(self.root @ (self.root.T @ rows))
        return np.asarray(scipy.linalg.solve_triangular(self.lower, rows, lower=True, trans="T"))


def _three_centre_part(
    mol: gto.Mole,
    auxmol: gto.Mole,
    density: np.ndarray,
    charges: np.ndarray,
    exchange: list[tuple[np.ndarray, np.ndarray, float]],
) -> tuple[np.ndarray, np.ndarray]:
    """Σ Γ_P,μν ∂(μν|P) on the centres of μ (3, nao) and P (3, auxiliary).

    Γ_P = c_P D − x C Z_P Cᵀ; ``exchange``: C (nao, o), Z (auxiliary, o o) and x, by spin.
    """
    orbital, auxiliary = np.zeros((3, mol.nao)), np.zeros((3, auxmol.nao))
    integrals = three_center_integrals(mol, auxmol, "int3c2e_ip1", "s1")
    for first, last in shell_blocks(auxmol, mol.nao):
        p = slice(auxmol.ao_loc[first], auxmol.ao_loc[last])
        gamma = charges[p, None, None] * density
        for orbitals, z, weight in exchange:
            o = orbitals.shape[1]
            half = np.matmul(orbitals, z[p].reshape(-1, o, o))
            gamma -= weight * np.matmul(half, orbitals.T)
        block = integrals((0, mol.nbas, 0, mol.nbas, first, last))
        for x in range(3):
            terms = np.einsum("pji,pji->pi", block[x].T, gamma)  # row P: (∂i j|P), i fastest
            orbital[x] -= 2 * terms.sum(axis=0)
            auxiliary[x, p] += 2 * terms.sum(axis=1)
    return orbital, auxiliary


def shell_blocks(auxmol: gto.Mole, nao: int) -> list[tuple[int, int]]:
    """Ranges of auxiliary shells whose derivative integrals fit in memory at once."""
    functions = max(1, int(UNPACKED_BYTES / (24 * nao**2)))
    blocks, first = [], 0
    for shell in range(1, auxmol.nbas + 1):
        full = shell < auxmol.nbas and (auxmol.ao_loc[shell + 1] - auxmol.ao_loc[first] > functions)
        if full or shell == auxmol.nbas:
            blocks.append((first, shell))
            first = shell
    return blocks


def _by_atom(mol: gto.Mole, by_function: np.ndarray) -> np.ndarray:
    """Sum (3, functions) over the functions of each atom: (N, 3)."""
    return np.array(
        [by_function[:, first:last].sum(axis=1) for *_, first, last in mol.aoslice_by_atom()]
    )
