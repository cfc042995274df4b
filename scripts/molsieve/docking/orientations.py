"""Uniform orientations."""

from __future__ import annotations

import numpy as np
from scipy.stats import qmc


def uniform_rotations(points: np.ndarray) -> np.ndarray:
    """(P, 3, 3) rotation matrices, uniform on SO(3) for (P, 3) points uniform on the unit cube.

    Shoemake, Uniform random rotations, Graphics Gems III (1992), 124.
    """
    inner, outer = np.sqrt(1 - points[:, 0]), np.sqrt(points[:, 0])
    first, second = 2 * np.pi * points[:, 1], 2 * np.pi * points[:, 2]
    quaternions = np.stack(
        [
            inner * np.sin(first),
            inner * np.cos(first),
            outer * np.sin(second),
            outer * np.cos(second),
        ],
        axis=1,
    )
    return _matrices(quaternions)


def small_rotations(vectors: np.ndarray) -> np.ndarray:
    """(P, 3, 3) rotations about (P, 3) vectors by their lengths in radians."""
    angles = np.linalg.norm(vectors, axis=1, keepdims=True)
    axes = vectors / np.maximum(angles, 1e-12)
    quaternions = np.concatenate([axes * np.sin(angles / 2), np.cos(angles / 2)], axis=1)
    return _matrices(quaternions)


def sobol_points(count: int, dimensions: int, rng: np.random.Generator) -> np.ndarray:
    """(count, dimensions) scrambled Sobol points of the unit cube (Owen, 1998)."""
    sampler = qmc.Sobol(dimensions, scramble=True, rng=rng)
    return sampler.random_base2(int(np.ceil(np.log2(max(count, 2)))))[:count]


def _matrices(quaternions: np.ndarray) -> np.ndarray:
    x, y, z, w = quaternions.T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)
