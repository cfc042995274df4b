"""The message kernels, and their calls by ctypes."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path

from molsieve.potential.kernels.compilation import Kernel, loaded

SOURCE = Path(__file__).with_name("painn_messages.c")
# Not -ffast-math: it takes NaN for impossible.
FLAGS = (
    *("-std=gnu11", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math"),
    *("-fassociative-math", "-fno-signed-zeros", "-freciprocal-math"),
)


@functools.cache
def message_library(features: int) -> ctypes.CDLL | None:
    """The kernels for F = ``features``; None, said once, where there can be none."""
    kernels = loaded(Kernel(SOURCE, FLAGS, (f"FEATURES={features}",)))
    if kernels is None:
        return None
    real, pointer, integer = ctypes.c_float, ctypes.c_void_p, ctypes.c_int64
    kernels.edge_layout.argtypes = [integer, integer, pointer, pointer, integer, *3 * [pointer]]
    kernels.edge_layout.restype = integer
    kernels.edge_records.argtypes = [
        *(integer, pointer, integer, integer, pointer, pointer, real, real, pointer, pointer)
    ]
    kernels.edge_records.restype = None
    kernels.messages_forward.argtypes = 6 * [pointer]
    kernels.messages_forward.restype = None
    kernels.messages_backward.argtypes = [pointer, pointer, ctypes.c_int]
    return kernels
