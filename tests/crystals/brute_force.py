"""Distinct decorations found the long way: every labelled structure, every operation.

The operations are those of the International Tables for the space group number, through ASE, on
rounded coordinates; spglib and the permutations of ``molsieve.crystals`` have no part in it.
"""

from collections.abc import Collection, Iterable
from functools import cache
from itertools import combinations, zip_longest

import numpy as np
from ase.spacegroup import Spacegroup

from molsieve.crystals.framework import Framework

SPACE_GROUP = {"SOD": 229, "ABW": 74, "ACO": 229, "CHA": 166, "LTA": 221, "quartz": 154}

Label = tuple[str, int]
"""What is put on an atom: a word and the atom."""


def moved_atoms(framework: Framework) -> np.ndarray:
    """(G, N) where each operation of the space group moves each atom, by coordinates."""
    scaled = framework.atoms.get_scaled_positions()
    rows = []
    for rotation, shift in zip(*Spacegroup(SPACE_GROUP[framework.name]).get_op(), strict=True):
        apart = (scaled @ rotation.T + shift)[:, None] - scaled
        rows.append(np.abs(apart - np.round(apart)).max(axis=2).argmin(axis=1))
    return np.array(rows)


def distinct(framework: Framework, labelled: Iterable[Collection[Label]]) -> int:
    """How many orbits the labelled structures fall into."""
    moved = moved_atoms(framework)
    return len(
        {
            min(tuple(sorted((word, row[atom]) for word, atom in labels)) for row in moved)
            for labels in labelled
        }
    )


def next_to(framework: Framework) -> np.ndarray:
    """(N, N) bool: T atoms less than 3.4 Å apart; the idealised frameworks have none between."""
    distances = framework.atoms.get_all_distances(mic=True)
    t = framework.atoms.numbers != 8
    return (distances < 3.4) & (distances > 0) & t & t[:, None]


def independent_sets(near: np.ndarray) -> list[int]:
    """How many sets of 0, 1, 2 … vertices of a graph have no edge: each vertex out, or in."""

    @cache
    def without(left: frozenset[int]) -> tuple[int, ...]:
        if not left:
            return (1,)
        vertex = max(left)
        out = without(left - {vertex})
        within = (0, *without(left - {vertex} - set(np.flatnonzero(near[vertex]).tolist())))
        return tuple(map(sum, zip_longest(out, within, fillvalue=0)))

    return list(without(frozenset(range(len(near)))))


def pairs_of_two(framework: Framework, first: int, second: int) -> Iterable[tuple[Label, ...]]:
    """All ways to put so many Al and so many B on the T atoms."""
    t = framework.t_index.tolist()
    for al in combinations(t, first):
        for b in combinations(sorted(set(t) - set(al)), second):
            yield (*(("Al", atom) for atom in al), *(("B", atom) for atom in b))
