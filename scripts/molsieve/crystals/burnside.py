"""How many distinct decorations there are, without listing them: the Cauchy–Frobenius lemma.

The number of orbits is the mean number of decorations that an operation keeps (W. Burnside,
Theory of Groups of Finite Order, 1897); with a given number of each element, the coefficient of
the cycle index with ``1 + x_1^l + x_2^l + …`` for a cycle of length l (G. Pólya, Acta Math. 68,
145 (1937)). Exact integers. No rule about neighbours can be counted so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np


def count_decorations(permutations: np.ndarray, counts: Sequence[int]) -> int:
    """Distinct ways to put ``counts[k]`` atoms of element k on n sites, the rest the host's.

    Args:
        permutations: (G, n) int, the whole group.
    """
    types = Counter(cycle_lengths(row) for row in permutations)
    fixed = sum(times * _kept(lengths, counts) for lengths, times in types.items())
    orbits, rest = divmod(fixed, len(permutations))
    if rest:
        raise ValueError("these permutations are not a group: their fixed points do not divide")
    return orbits


def cycle_lengths(permutation: np.ndarray) -> tuple[int, ...]:
    """The lengths of a permutation's cycles, ascending."""
    image = permutation.tolist()
    seen = [False] * len(image)
    lengths = []
    for start in range(len(image)):
        length, site = 0, start
        while not seen[site]:
            seen[site] = True
            length, site = length + 1, image[site]
        if length:
            lengths.append(length)
    return tuple(sorted(lengths))


def _kept(lengths: tuple[int, ...], counts: Sequence[int]) -> int:
    """Decorations that an operation keeps: each of its cycles holds one element."""
    ways = np.zeros([count + 1 for count in counts], dtype=object)  # object: exact integers
    ways[(0,) * len(counts)] = 1
    for length in lengths:
        more = ways.copy()
        for axis, count in enumerate(counts):
            if length <= count:
                to, of = [slice(None)] * len(counts), [slice(None)] * len(counts)
                to[axis], of[axis] = slice(length, None), slice(None, count + 1 - length)
                more[tuple(to)] += ways[tuple(of)]
        ways = more
    return int(ways[tuple(counts)])
