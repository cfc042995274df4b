"""Exact exchange in the linear response: (ij|x|ab) and (ib|x|ja) from density-fitted integrals.

Where (ov)² numbers fit in memory they are formed once, for all ranges of the interaction together,
and a product is one matrix product. Where not, the integrals by auxiliary function are kept
(auxiliary × v²/2 numbers: gigabytes from 50 atoms on, in a file where memory is short) and
contracted for every product.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from pyscf import gto, lib

from molsieve.engines.dense_exchange import ranged, unpacked

if TYPE_CHECKING:
    from molsieve.engines.excited_response import Space

DENSE_BYTES = 2e9
"""Size up to which (ij|x|ab) is formed."""
DENSE_SHARE = 0.3
"""And up to this share of the memory that PySCF may still use."""
KEPT_SHARE = 0.6
"""Of that memory, for one array of integrals by auxiliary function."""

Part = tuple[float, Any, float | None]
"""A share of exact exchange, PySCF's density fitting, and the range ω (1/bohr; None: all)."""


def fits_in_memory(mol: gto.Mole, space: Space, with_b: bool) -> bool:
    """Whether :class:`DenseExchange` may be used."""
    occupied, virtual = space.shape
    needed = 8 * (occupied * virtual) ** 2 * (2 if with_b else 1)
    left = 1e6 * (mol.max_memory - lib.current_memory()[0])
    return bool(needed <= min(DENSE_BYTES, DENSE_SHARE * left))


class DenseExchange:
    """(ij|x|ab), and (ib|x|ja) where B is asked for, as matrices (ov, ov)."""

    def __init__(self, space: Space, parts: list[Part], coulomb: np.ndarray, with_b: bool) -> None:
        occupied, virtual = space.shape
        pairs: Any = 0.0
        for share, occ, virt in _pair_integrals(space, parts):
            pairs = pairs + share * lib.dot(occ.T, virt)
        matrix = np.empty((occupied, virtual, occupied, virtual))
        for row, (i, j) in zip(pairs, zip(*np.tril_indices(occupied), strict=True), strict=True):
            matrix[i, :, j] = matrix[j, :, i] = lib.unpack_tril(row)
        self._a = matrix.reshape(occupied * virtual, -1)
        self._b = _b_matrix(space, parts, coulomb) if with_b else None

    def a_diagonal(self) -> np.ndarray:
        """(ov,) (ii|x|aa)"""
        return self._a.diagonal()

    def a_block(self, chosen: np.ndarray) -> np.ndarray:
        """(ij|x|ab) among the pairs ``chosen`` (n,): (n, n)."""
        return self._a[np.ix_(chosen, chosen)]

    def a_product(self, vectors: np.ndarray) -> np.ndarray:
        """Σ_jb (ij|x|ab) X_jb of ``vectors`` (k, ov)."""
        return vectors @ self._a

    def b_product(self, vectors: np.ndarray) -> np.ndarray:
        """Σ_jb (ib|x|ja) X_jb of ``vectors`` (k, ov)."""
        assert self._b is not None
        return vectors @ self._b


class StreamedExchange:
    """The same products with the integrals of every auxiliary function at hand instead."""

    def __init__(self, space: Space, parts: list[Part], coulomb: np.ndarray, with_b: bool) -> None:
        self._shape = space.shape
        self._pairs = list(_pair_integrals(space, parts))
        self._mixed = list(_mixed_integrals(space, parts, coulomb)) if with_b else []

    def a_diagonal(self) -> np.ndarray:
        """(ov,) (ii|x|aa)"""
        diagonals = [np.arange(1, n + 1) * np.arange(2, n + 2) // 2 - 1 for n in self._shape]
        i, a = diagonals
        return sum(share * (occ[:, i].T @ virt[:, a]) for share, occ, virt in self._pairs).ravel()

    def a_block(self, chosen: np.ndarray) -> np.ndarray:
        """(ij|x|ab) among the pairs ``chosen`` (n,): (n, n)."""
        i, a = np.divmod(chosen, self._shape[1])
        block = np.zeros((len(chosen), len(chosen)))
        for share, occ, virt in self._pairs:
            occupied, virtual = _packed_index(i), _packed_index(a)
            for p in _blocks(len(occ), 2 * block.size):
                block += share * np.einsum("pmn,pmn->mn", occ[p][:, occupied], virt[p][:, virtual])
        return block

    def a_product(self, vectors: np.ndarray) -> np.ndarray:
        """Σ_jb (ij|x|ab) X_jb of ``vectors`` (k, ov)."""
        o, v = self._shape
        x = vectors.reshape(-1, o, v)
        result = np.zeros((v, len(x), o))
        flat = x.reshape(-1, v).T
        for share, occ, virt in self._pairs:
            for p in _blocks(len(virt), v * v + v * len(x) * o):
                half = lib.unpack_tril(virt[p]) @ flat  # (P, a, k j)
                half = half.reshape(-1, v, len(x), o).transpose(1, 2, 0, 3).reshape(v, len(x), -1)
                result += share * (half @ lib.unpack_tril(occ[p]).reshape(-1, o))
        return result.transpose(1, 2, 0).reshape(len(x), -1)

    def b_product(self, vectors: np.ndarray) -> np.ndarray:
        """Σ_jb (ib|x|ja) X_jb of ``vectors`` (k, ov)."""
        o, v = self._shape
        x = vectors.reshape(-1, o, v)
        result = np.zeros((len(x), o, v))
        for share, mixed in self._mixed:
            for p in _blocks(len(mixed), o * v + len(x) * o * o):
                integrals = mixed[p].reshape(-1, o, v)
                # Σ_b (ib) X_jb, then with (ja): (k, P, i, j) (P, j, a).
                half = integrals[None] @ x.transpose(0, 2, 1)[:, None]
                result += share * np.einsum("kpij,pja->kia", half, integrals, optimize=True)
        return result.reshape(len(x), -1)


def _packed_index(index: np.ndarray) -> np.ndarray:
    """Where the pairs among ``index`` (n,) stand in a packed lower triangle: (n, n)."""
    larger, smaller = np.maximum.outer(index, index), np.minimum.outer(index, index)
    return np.asarray(larger * (larger + 1) // 2 + smaller)


def _blocks(length: int, numbers: int) -> Iterator[slice]:
    step = max(1, int(1e8 / (8 * numbers)))
    for start in range(0, length, step):
        yield slice(start, start + step)


def _pair_integrals(
    space: Space, parts: list[Part]
) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
    """Share, B_P,ij and B_P,ab of each range, lower triangles: (auxiliary, pairs)."""
    for share, density_fitting, omega in parts:
        with ranged(density_fitting, omega) as fitting:
            shapes = [(fitting.get_naoaux(), n * (n + 1) // 2) for n in space.shape]
            packed = [_array(shape, fitting.mol) for shape in shapes]
            start = 0
            for integrals in unpacked(fitting):
                rows = slice(start, start := start + len(integrals))
                for orbitals, pairs in zip((space.occupied, space.virtual), packed, strict=True):
                    half = np.matmul(integrals, orbitals).transpose(0, 2, 1)
                    pairs[rows] = lib.pack_tril(np.matmul(half, orbitals))
        yield share, packed[0], packed[1]


def _array(shape: tuple[int, int], mol: gto.Mole) -> np.ndarray:
    """An array to be filled: in memory, or in a nameless file of PySCF's scratch folder.

    Raises:
        OSError: no memory left and no space in the folder either.
    """
    size = 8 * shape[0] * shape[1]
    if size <= KEPT_SHARE * 1e6 * (mol.max_memory - lib.current_memory()[0]):
        return np.empty(shape)
    with tempfile.TemporaryFile(dir=lib.param.TMPDIR) as file:
        # Reserved at once: a full disk would be a signal later, not an error.
        os.posix_fallocate(file.fileno(), 0, size)
        return np.memmap(file, dtype=float, mode="r+", shape=shape)


def _mixed_integrals(
    space: Space, parts: list[Part], coulomb: np.ndarray
) -> Iterator[tuple[float, np.ndarray]]:
    """Share and B_P,ia of each range: (auxiliary, ov)."""
    from molsieve.engines.excited_response import fitted

    for share, density_fitting, omega in parts:
        if omega is None:
            yield share, coulomb
            continue
        with ranged(density_fitting, omega) as fitting:
            yield share, fitted(fitting, space.occupied, space.virtual)


def _b_matrix(space: Space, parts: list[Part], coulomb: np.ndarray) -> np.ndarray:
    occupied, virtual = space.shape
    pairs: Any = 0.0
    for share, mixed in _mixed_integrals(space, parts, coulomb):
        pairs = pairs + share * lib.dot(mixed.T, mixed)  # (ib), (ja)
    swapped = pairs.reshape(occupied, virtual, occupied, virtual).transpose(0, 3, 2, 1)
    return np.ascontiguousarray(swapped).reshape(occupied * virtual, -1)
