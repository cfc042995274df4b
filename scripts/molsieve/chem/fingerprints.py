"""Morgan fingerprints as bytes (for tables) and as bits (for distances)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator

RADIUS = 2
BITS = 1024


def morgan_fingerprint(molecule: Chem.Mol) -> bytes:
    """Morgan bits (radius 2, 1024 bits) packed into 128 bytes, most significant bit first."""
    return np.packbits(_generator().GetFingerprintAsNumPy(molecule)).tobytes()


def unpack_fingerprints(packed: Sequence[bytes]) -> np.ndarray:
    """(n, 1024) array of 0 and 1 (uint8) from n packed fingerprints."""
    if not len(packed):
        return np.zeros((0, BITS), np.uint8)
    rows = np.frombuffer(b"".join(packed), np.uint8).reshape(len(packed), BITS // 8)
    return np.unpackbits(rows, axis=1)


@cache
def _generator() -> rdFingerprintGenerator.FingerprintGenerator64:
    return rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=BITS)
