"""What kind of transition a root is, from its amplitudes: charge transfer, local, Rydberg.

With hole and electron densities D_h = X Xᵀ, D_e = Xᵀ X of the normalised amplitudes X (o, v) (in
full TD-DFT both X and Y take part), the centroids ⟨r⟩ and the root-mean-square radii about them
are those of the exciton analysis of Bäppler, Plasser, Wormit, Dreuw, Phys. Rev. A 90, 052521
(2014). Λ = Σ κ_ia² ∫|φ_i||φ_a| / Σ κ_ia², κ = X + Y, is the overlap of Peach, Benfield, Helgaker,
Tozer, J. Chem. Phys. 128, 044118 (2008), eq. 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pyscf.dft import gen_grid

from molsieve import units
from molsieve.engines.dense_integration import basis_blocks

OVERLAP_GRID_LEVEL = 0
"""|φ_i||φ_a| on a coarse grid: Λ within 0.03."""


@dataclass(frozen=True)
class Character:
    """Of n roots, (n,) each; see :class:`molsieve.engines.base.ExcitedStates`."""

    orbital_overlaps: np.ndarray
    hole_electron_distances_angstrom: np.ndarray
    electron_spreads_angstrom: np.ndarray
    electron_widths_angstrom: np.ndarray

    @classmethod
    def joined(cls, parts: list[Character]) -> Character:
        """Roots of ``parts`` one after the other."""
        columns = zip(*(vars(part).values() for part in parts), strict=True)
        return cls(*(np.concatenate(column) for column in columns))


def characters(mf: Any, td: Any) -> Character:
    """Character of the roots of a solved PySCF TDA or TD-DFT object ``td`` on ``mf``."""
    occupations = _on_host(mf.mo_occ)
    active = np.ones(len(occupations), bool)
    if getattr(td, "frozen", None):
        active[td.frozen] = False
    coefficients = _on_host(mf.mo_coeff)
    occupied = coefficients[:, active & (occupations == 2)]
    virtual = coefficients[:, active & (occupations == 0)]
    amplitudes = [(_on_host(x), np.broadcast_to(_on_host(y), x.shape)) for x, y in td.xy]
    overlaps = _orbital_overlaps(mf.mol, occupied, virtual)
    shifts, spreads, widths = [], [], []
    moments = [_moments(mf.mol, orbitals) for orbitals in (occupied, virtual)]
    for x, y in amplitudes:
        hole, electron = x @ x.T + y @ y.T, x.T @ x + y.T @ y
        (start, hole_widths), (end, electron_widths) = (
            _centroid_and_widths(density / np.trace(density), *moment)
            for density, moment in zip((hole, electron), moments, strict=True)
        )
        shifts.append(np.linalg.norm(end - start))
        spreads.append(np.linalg.norm(electron_widths) - np.linalg.norm(hole_widths))
        widths.append(electron_widths[0])
    kappas = np.array([(x + y) ** 2 for x, y in amplitudes])
    return Character(
        np.einsum("nia,ia->n", kappas, overlaps) / kappas.sum(axis=(1, 2)),
        np.array(shifts) * units.ANGSTROM_PER_BOHR,
        np.array(spreads) * units.ANGSTROM_PER_BOHR,
        np.array(widths) * units.ANGSTROM_PER_BOHR,
    )


def _moments(mol: Any, orbitals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """⟨p|r|q⟩ (3, n, n) and ⟨p|r rᵀ|q⟩ (9, n, n) of orbitals (nao, n), bohr."""
    first, second = (
        np.matmul(orbitals.T, mol.intor(name)) @ orbitals for name in ("int1e_r", "int1e_rr")
    )
    return first, second


def _centroid_and_widths(
    density: np.ndarray, first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(3,) both: the root-mean-square widths along the principal axes, ascending."""
    centroid = np.einsum("xij,ij->x", first, density)
    moments = np.einsum("xij,ij->x", second, density).reshape(3, 3)
    variances = np.linalg.eigvalsh(moments - np.outer(centroid, centroid))
    return centroid, np.sqrt(np.maximum(variances, 0.0))


def _orbital_overlaps(mol: Any, occupied: np.ndarray, virtual: np.ndarray) -> np.ndarray:
    """∫|φ_i||φ_a| (o, v)."""
    grids = gen_grid.Grids(mol)
    grids.level, grids.verbose = OVERLAP_GRID_LEVEL, 0
    grids.build()
    overlaps = np.zeros((occupied.shape[1], virtual.shape[1]))
    for ao, weights in basis_blocks(mol, grids, 0):
        overlaps += (np.abs(occupied.T @ ao[0]) * weights) @ np.abs(virtual.T @ ao[0]).T
    return overlaps


def _on_host(array: Any) -> np.ndarray:
    return np.asarray(array.get() if hasattr(array, "get") else array)
