"""The linear response of a closed-shell Kohn-Sham determinant, as matrix products in its orbitals.

With density fitting, (pq|rs) = Σ_P B_P,pq B_P,rs, and for molecules of some dozen atoms all that
Casida's equations need fits in memory once it is transformed to occupied (i, j) and virtual (a, b)
orbitals. Singlets and triplets share it:

    (A X)_ia = (ε_a − ε_i) X_ia + Σ_jb [2 (ia|jb) + 2 (ia|f|jb) − (ij|x|ab)] X_jb
    (B X)_ia =                    Σ_jb [2 (ia|jb) + 2 (ia|f|jb) − (ib|x|ja)] X_jb

where 2 (ia|jb) is there for singlets only, x is the functional's share of exact exchange (by range
of the interaction), and f its kernel for singlets or triplets (Bauernschmitt, Ahlrichs, Chem. Phys.
Lett. 256, 454 (1996)). A polarisable continuum adds its fast response to 2 (ia|jb).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from pyscf import gto
from pyscf.df.incore import aux_e2

from molsieve.engines.dense_exchange import unpacked
from molsieve.engines.excited_exchange import (
    DenseExchange,
    Part,
    StreamedExchange,
    fits_in_memory,
)
from molsieve.engines.excited_kernel import GridKernel

BLOCK_BYTES = 1e8
"""Potentials on a cavity's points at once."""


GUESS_CONFIGURATIONS = 300
GUESS_NOISE = 0.02


@dataclass(frozen=True)
class Space:
    """Orbitals that take part: coefficients (nao, n) and energies (n,), hartree."""

    occupied: np.ndarray
    virtual: np.ndarray
    occupied_energies: np.ndarray
    virtual_energies: np.ndarray

    @classmethod
    def of(cls, mf: Any, frozen: list[int]) -> Space:
        """All orbitals of the restricted mean field ``mf`` but those of index ``frozen``."""
        active = np.ones(len(mf.mo_occ), bool)
        active[frozen] = False
        occupied, virtual = active & (mf.mo_occ == 2), active & (mf.mo_occ == 0)
        return cls(
            mf.mo_coeff[:, occupied],
            mf.mo_coeff[:, virtual],
            mf.mo_energy[occupied],
            mf.mo_energy[virtual],
        )

    @property
    def shape(self) -> tuple[int, int]:
        """(occupied, virtual)"""
        return len(self.occupied_energies), len(self.virtual_energies)


class Response:
    """Products of A and B with vectors; built once, used for every root of both spins."""

    def __init__(self, mf: Any, space: Space, grid_level: int, with_b: bool, solvent: Any) -> None:
        """``with_b``: B is asked for too; ``solvent``: PCM at its optical constant, or None."""
        self.space = space
        gaps = space.virtual_energies - space.occupied_energies[:, None]
        self.gaps: np.ndarray = gaps.ravel()
        omega, long_range, short_range = mf._numint.rsh_and_hybrid_coeff(mf.xc, mf.mol.spin)
        self._coulomb = fitted(mf.with_df, space.occupied, space.virtual)
        parts: list[Part] = [(short_range, mf.with_df, None)]
        if omega:
            parts.append((long_range - short_range, mf.with_df, omega))
        parts = [part for part in parts if part[0]]
        exchange = DenseExchange if fits_in_memory(mf.mol, space, with_b) else StreamedExchange
        self._exchange = exchange(space, parts, self._coulomb, with_b) if parts else None
        self._solvent = None if solvent is None else solvent_factors(solvent, space)
        self._kernel = GridKernel(mf, space, grid_level)

    def a_diagonal(self, singlet: bool) -> np.ndarray:
        """(ov,) diagonal of A without the functional's kernel, hartree."""
        diagonal = self.gaps.copy()
        if singlet:
            diagonal += 2 * np.einsum("pk,pk->k", self._coulomb, self._coulomb)
        if self._exchange:
            diagonal -= self._exchange.a_diagonal()
        return diagonal

    def guess(self, number: int, singlet: bool) -> np.ndarray:
        """(number, ov) approximate roots of A: its lowest configurations, without the kernel.

        A root of a symmetry that no start vector has is never found, so these are mixtures of
        some hundred configurations, slightly disturbed (by the same numbers every time).
        """
        diagonal = self.a_diagonal(singlet)
        chosen = np.argsort(diagonal, kind="stable")[:GUESS_CONFIGURATIONS]
        block = np.diag(self.gaps[chosen])
        if singlet:
            block += 2 * self._coulomb[:, chosen].T @ self._coulomb[:, chosen]
        if self._exchange:
            block -= self._exchange.a_block(chosen)
        vectors = np.linalg.eigh(block)[1].T[:number]
        guess = np.zeros((len(vectors), diagonal.size))
        guess[:, chosen] = vectors
        return disturbed(guess)

    def local(self, vectors: np.ndarray, singlet: bool) -> np.ndarray:
        """What A and B share, times ``vectors`` (k, ov): Coulomb, solvent and kernel."""
        result = 2 * self._kernel.product(vectors, singlet)
        if singlet:
            result += 2 * (vectors @ self._coulomb.T) @ self._coulomb
            if self._solvent is not None:
                potentials, charges = self._solvent
                result += 2 * (vectors @ potentials) @ charges.T
        return result

    def a_product(self, vectors: np.ndarray, singlet: bool) -> np.ndarray:
        """A times ``vectors`` (k, ov), hartree."""
        result = self.gaps * vectors + self.local(vectors, singlet)
        if self._exchange:
            result -= self._exchange.a_product(vectors)
        return result

    def ab_products(
        self, x: np.ndarray, y: np.ndarray, singlet: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """A x + B y and B x + A y of vectors (k, ov), hartree."""
        both = self.local(x + y, singlet)
        top, bottom = self.gaps * x + both, self.gaps * y + both
        if self._exchange:
            top -= self._exchange.a_product(x) + self._exchange.b_product(y)
            bottom -= self._exchange.b_product(x) + self._exchange.a_product(y)
        return top, bottom


def disturbed(vectors: np.ndarray) -> np.ndarray:
    """Unit vectors (k, n) with a little of every other, by the same numbers every time."""
    noise = np.random.default_rng(0).standard_normal(vectors.shape)
    return np.asarray(vectors + GUESS_NOISE / np.sqrt(vectors.shape[1]) * noise)


def fitted(density_fitting: Any, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """B_P,pq in orbitals (nao, p), (nao, q): (auxiliary, p q)."""
    result = np.empty((density_fitting.get_naoaux(), left.shape[1] * right.shape[1]))
    start = 0
    for integrals in unpacked(density_fitting):
        half = integrals @ left  # (P, nao, p)
        products = np.matmul(half.transpose(0, 2, 1), right)
        result[start : start + len(half)] = products.reshape(len(half), -1)
        start += len(half)
    return result


def solvent_factors(solvent: Any, space: Space) -> tuple[np.ndarray, np.ndarray]:
    """Potential of every orbital pair on the cavity, and the charges it calls there: (ov, points).

    The charges are q = ½ (K⁻¹R + (K⁻¹R)ᵀ) v, PySCF's symmetrised polarisable continuum.
    """
    coords, exponents = solvent.surface["grid_coords"], solvent.surface["charge_exp"] ** 2
    step = max(1, int(BLOCK_BYTES / (8 * solvent.mol.nao**2)))
    potentials = []
    for start in range(0, len(coords), step):
        points = slice(start, start + step)
        charges = gto.fakemol_for_charges(coords[points], expnt=exponents[points])
        ao = aux_e2(solvent.mol, charges, "int3c2e").transpose(2, 0, 1)
        mo = np.matmul(np.matmul(space.occupied.T, ao), space.virtual)
        potentials.append(mo.reshape(len(mo), -1))
    potential = np.concatenate(potentials)
    inverse = scipy.linalg.solve(solvent._intermediates["K"], solvent._intermediates["R"])
    response = 0.5 * (inverse + inverse.T)
    return potential.T, (response @ potential).T
