"""Spread of a batch over chemical space: farthest-point picking on fingerprints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def unpack_fingerprints(fingerprints: Sequence[bytes | None]) -> np.ndarray:
    """Packed fingerprints (``candidates.fingerprint``) as (C, W) 64-bit words; a null one is empty.

    Raises:
        ValueError: fingerprints of different lengths.
    """
    present = [value for value in fingerprints if isinstance(value, bytes)]
    sizes = {len(value) for value in present}
    if len(sizes) > 1:
        raise ValueError(f"fingerprints of different lengths: {sorted(sizes)} bytes")
    size = -(-max(sizes, default=8) // 8) * 8
    padded = [
        (value if isinstance(value, bytes) else b"").ljust(size, b"\0") for value in fingerprints
    ]
    return np.frombuffer(b"".join(padded), dtype=np.uint64).reshape(len(padded), size // 8)


def tanimoto_distances(fingerprint: np.ndarray, others: np.ndarray) -> np.ndarray:
    """1 - |a and b| / |a or b| of one fingerprint (W,) to others (C, W); 0 where both are empty."""
    common = np.bitwise_count(others & fingerprint).sum(axis=1, dtype=np.int64)
    union = np.bitwise_count(others | fingerprint).sum(axis=1, dtype=np.int64)
    return 1.0 - np.where(union > 0, common / np.maximum(union, 1), 1.0)


def pick_max_min(
    fingerprints: np.ndarray, count: int, starts: np.ndarray | None = None, first: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Pick ``count`` candidates, each the farthest from all picked before it and from ``starts``.

    Kennard, Stone, Technometrics 11, 137 (1969); Tanimoto distance. Ties go to the lowest index, so
    the order of the candidates may express a preference.

    Args:
        fingerprints: (C, W) words, as :func:`unpack_fingerprints`.
        count: at most C are picked.
        starts: (S, W) fingerprints that count as picked already.
        first: the first pick when there are no starts.

    Returns:
        Indices (P,) in picking order, and the distance (P,) of each to what was picked before it (1
        for a first pick without starts).
    """
    nearest = np.full(len(fingerprints), np.inf)
    for start in np.empty((0, 0)) if starts is None else np.unique(starts, axis=0):
        nearest = np.minimum(nearest, tanimoto_distances(start, fingerprints))
    picks: list[int] = []
    distances: list[float] = []
    for _ in range(min(count, len(fingerprints))):
        unknown = np.isinf(nearest).all() and not picks
        pick = first if unknown else int(np.argmax(nearest))
        picks.append(pick)
        distances.append(1.0 if unknown else float(nearest[pick]))
        nearest = np.minimum(nearest, tanimoto_distances(fingerprints[pick], fingerprints))
        nearest[picks] = -np.inf
    return np.array(picks, dtype=int), np.array(distances)
