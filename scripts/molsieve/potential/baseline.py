"""Composition baseline: ``E = sum_Z n_Z (E_Z^atom + delta_Z)``, ridge in float64 on ``delta``.

The free atoms' energies at the level are the prior mean, so a composition that the training set
does not pin down (collinear counts, one element always with another) falls back on them instead of
on a huge pair of coefficients that cancel.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

RIDGE = 1e-3
"""Variance of a structure's residual over that of ``delta_Z``: about (0.3 eV / 10 eV)^2."""


def element_counts(numbers: list[np.ndarray], elements: list[int]) -> np.ndarray:
    """(S, Z) float64 counts of each element in each structure; other elements are an error."""
    counts = np.array([[np.sum(z == e) for e in elements] for z in numbers], dtype=np.float64)
    if np.any(counts.sum(axis=1) != [len(z) for z in numbers]):
        raise ValueError(f"a structure holds elements other than {elements}")
    return counts


def fit_baseline(
    counts: np.ndarray,
    energies_ev: np.ndarray,
    elements: list[int],
    atom_energies_ev: Mapping[int, float],
    ridge: float = RIDGE,
) -> np.ndarray:
    """Energy per element (Z,), eV.

    Args:
        counts: (S, Z) of :func:`element_counts`.
        energies_ev: (S,).
        elements: (Z,) atomic numbers.
        atom_energies_ev: free atoms at the level; those of missing elements come from least squares
            (minimum norm) on what the others leave.
        ridge: Tikhonov parameter (Hoerl, Kennard, Technometrics 12, 55 (1970)).
    """
    prior = np.array([atom_energies_ev.get(z, np.nan) for z in elements], dtype=np.float64)
    missing = np.isnan(prior)
    if missing.any():
        prior[missing] = 0.0
        left = energies_ev - counts @ prior
        prior[missing] = np.linalg.lstsq(counts, left, rcond=None)[0][missing]
    residual = energies_ev - counts @ prior
    normal = counts.T @ counts + ridge * np.eye(len(elements))
    return prior + np.linalg.solve(normal, counts.T @ residual)
