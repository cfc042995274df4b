"""The whole-network kernel, and its calls by ctypes."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path

import torch

from molsieve.potential.kernels.compilation import Kernel, loaded

FOLDER = Path(__file__).with_name("network")
# -ffast-math lets exp be vectorised.
FLAGS = ("-std=gnu11", "-O3", "-march=native", "-ffast-math")
VECTOR_BYTES = 64
MAX_LAYERS, EDGE_INTEGERS = 8, 4
"""As in painn.c and painn_edges.h."""


class Call(ctypes.Structure):
    """``Call`` of painn.c."""

    _fields_ = [
        *((name, ctypes.c_int32) for name in ("members", "layers", "gaussians", "blocks")),
        ("threads", ctypes.c_int32),
        *((name, ctypes.c_void_p) for name in ("block_atoms", "block_edges", "row", "neighbour")),
        *((name, ctypes.c_void_p) for name in ("edge_integers", "edge_reals")),
        *((name, ctypes.c_void_p) for name in ("vectors", "offsets", "widths")),
        ("cutoff", ctypes.c_double),
        ("weights", ctypes.c_void_p),
        ("weights_size", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("q0", "x0")),
        *((name, ctypes.c_int64) for name in ("atoms", "edges")),
        ("saved", ctypes.c_void_p),
        ("saved_size", ctypes.c_int64),
    ]


@functools.cache
def network_library(features: int, dtype: torch.dtype) -> ctypes.CDLL | None:
    """The kernel for F = ``features``; None, said once, where there can be none."""
    library = loaded_for(features, dtype, "painn")
    if library is None:
        return None
    library.painn_saved_size.argtypes = [ctypes.c_int32, ctypes.c_int64, ctypes.c_int64]
    library.painn_saved_size.restype = ctypes.c_int64
    library.painn_edge_reals.argtypes = [ctypes.c_int32]
    library.painn_edge_reals.restype = ctypes.c_int64
    library.painn_prepare.argtypes = [ctypes.POINTER(Call)]
    library.painn_prepare.restype = None
    library.painn_evaluate.argtypes = [ctypes.POINTER(Call), *3 * [ctypes.c_void_p]]
    library.painn_differentiate.argtypes = [ctypes.POINTER(Call), *2 * [ctypes.c_void_p]]
    return library


def loaded_for(features: int, dtype: torch.dtype, source: str) -> ctypes.CDLL | None:
    """The library made of ``source``.c, or None: also for an odd F and any other precision."""
    if features % 2 or dtype not in (torch.float32, torch.float64):
        return None
    return loaded(Kernel(FOLDER / f"{source}.c", FLAGS, _defines(features, dtype)))


def _defines(features: int, dtype: torch.dtype) -> tuple[str, ...]:
    """Precision, and lanes of a vector: the most that divide half the features (the head's)."""
    double = dtype == torch.float64
    lanes = VECTOR_BYTES // (8 if double else 4)
    while (features // 2) % lanes:
        lanes //= 2
    kind = ["REAL=double", "DOUBLE"] if double else ["REAL=float"]
    return *kind, f"FEATURES={features}", f"WIDTH={lanes}"
