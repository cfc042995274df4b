"""Rings of a framework: strong rings by size, vertex symbols, coordination sequences.

Sizes count T atoms. A **ring** is a cycle of the T–O–T net without short cuts, a **strong ring**
one that is no sum (modulo 2, of edges) of smaller cycles (Goetzke and Klein, J. Non-Cryst. Solids
127, 215 (1991)): the windows of a framework are strong, sums of cage faces are not (SOD has
12-rings without short cuts, all sums of its 4- and 6-rings). The **vertex symbol** of a T-site
(O'Keeffe and Hyde, Zeolites 19, 370 (1997), as in the Atlas) gives the smallest rings at each of
its six angles.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from molsieve.crystals.ball import Ball, ball_around, encoded, shells, shortest_path_rings
from molsieve.crystals.framework import Framework
from molsieve.crystals.symmetry import Symmetry, symmetry_of, t_sites
from molsieve.crystals.topology import neighbour_table, tot_graph

LARGEST_RING = 20
"""Rings are looked for up to this size by default: no window of a fully connected framework of the
Atlas is larger than 18."""
MARGIN = 1
"""Smaller rings this many steps farther out than a ring may sum up to it."""


@dataclass(frozen=True)
class SiteRings:
    """Rings through one T-site.

    Attributes:
        strong: number of strong rings through a T atom of it, by size.
        vertex_symbol: such as ``4.6.4.6.4.8``; ``6_2`` for two 6-rings at an angle, ``*`` for none.
    """

    strong: dict[int, int]
    vertex_symbol: str


@dataclass(frozen=True)
class Rings:
    """Rings of a framework up to a size.

    Attributes:
        sites: by T-site.
        per_cell: number of strong rings in the framework's cell, by size.
    """

    sites: dict[str, SiteRings]
    per_cell: dict[int, int]

    @property
    def largest(self) -> int:
        """Size of the largest strong ring."""
        return max(self.per_cell)


def rings(framework: Framework, largest: int = LARGEST_RING) -> Rings:
    """Strong rings and vertex symbols of a framework, up to ``largest`` T atoms."""
    symmetry = symmetry_of(framework)
    table = neighbour_table(tot_graph(framework))
    operations = _operations_on_vertices(framework, symmetry)
    orbits = operations[1].min(axis=0)
    spaces = {
        centre: _RingSpace(ball_around(table, centre, largest // 2 + MARGIN), largest)
        for centre in np.unique(orbits).tolist()
    }
    known: dict[int, list[np.ndarray]] = {}
    for size in range(3, largest + 1):
        found = [space.strong_rings(size) for space in spaces.values()]
        known[size] = _classes(np.concatenate(found), operations)
        if size < largest and known[size]:
            for space in spaces.values():
                space.add(np.array(known[size]))
    sites = {}
    for site in t_sites(framework, symmetry):
        space = spaces[int(orbits[np.searchsorted(framework.t_index, site.members[0])])]
        sites[site.name] = SiteRings(dict(space.strong), _vertex_symbol(space.at_angles))
    return Rings(sites, {size: len(classes) for size, classes in known.items() if classes})


def coordination_sequence(framework: Framework, t_atom: int, length: int = 10) -> list[int]:
    """Number of T atoms at 1, 2, … ``length`` T–O–T steps from the T atom of index ``t_atom``."""
    table = neighbour_table(tot_graph(framework))
    vertex = int(np.searchsorted(framework.t_index, t_atom))
    return [len(shell) for shell in shells(table, vertex, length)[1:]]


class _RingSpace:
    """Cycles inside a ball as sums of edges modulo 2: what the smaller rings span."""

    def __init__(self, ball: Ball, largest: int) -> None:
        self._found = {size: shortest_path_rings(ball, size) for size in range(3, largest + 1)}
        # a megabyte for each T-site, and not needed any more
        self.ball = replace(ball, distance=np.zeros((0, 0), np.int8))
        self.strong: Counter[int] = Counter()
        self.at_angles: dict[int, tuple[int, int]] = {}
        self._basis: dict[int, int] = {}
        self._by_vertex = np.argsort(ball.node[:, 0], kind="stable")
        source = np.repeat(np.arange(len(ball.node)), 4)
        target = ball.neighbour.ravel()
        forward = target > source
        self._edges = np.unique(source[forward] * len(ball.node) + target[forward])

    def strong_rings(self, size: int) -> np.ndarray:
        """Strong rings through the centre as nodes (R, size, 4); counts them."""
        found, angle = self._found.pop(size)
        for which, count in Counter(angle.tolist()).items():
            self.at_angles.setdefault(which, (size, count))
        kept = [i for i, bits in enumerate(self._bits(found)) if self._rest(bits)]
        if kept:
            self.strong[size] = len(kept)
        return self.ball.node[found[kept]]

    def add(self, classes: np.ndarray) -> None:
        """Add all images of rings (C, size, 4) that lie in the ball to what is spanned."""
        ball = self.ball
        vertices = ball.node[self._by_vertex, 0]
        first = np.searchsorted(vertices, classes[:, 0, 0], "left")
        number = np.searchsorted(vertices, classes[:, 0, 0], "right") - first
        # one image for each node of the ball that a ring's first atom can lie on
        which = np.repeat(np.arange(len(classes)), number)
        turn = np.arange(len(which)) - np.repeat(np.cumsum(number) - number, number)
        place = ball.node[self._by_vertex[first[which] + turn]]
        images = classes[which]
        images[..., 1:] += (place - images[:, 0])[:, None, 1:]
        index = ball.index_of(images)
        for bits in self._bits(index[(index >= 0).all(axis=1)]):
            rest = self._rest(bits)
            if rest:
                self._basis[rest.bit_length()] = rest

    def _bits(self, index: np.ndarray) -> list[int]:
        """Each ring's edges as the bits of one whole number."""
        following = np.roll(index, -1, axis=1)
        low, high = np.minimum(index, following), np.maximum(index, following)
        edges = np.searchsorted(self._edges, low * len(self.ball.node) + high)
        return [sum(1 << edge for edge in row) for row in edges.tolist()]

    def _rest(self, bits: int) -> int:
        """What is left of a cycle after the sums of smaller ones; 0 if it is such a sum."""
        while bits:
            row = self._basis.get(bits.bit_length())
            if row is None:
                return bits
            bits ^= row
        return 0


def _operations_on_vertices(
    framework: Framework, symmetry: Symmetry
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rotations (S, 3, 3), vertex each vertex goes to (S, n_t), lattice vectors (S, n_t, 3)."""
    scaled = framework.atoms.get_scaled_positions(wrap=False)[framework.t_index]
    target = np.einsum("sij,nj->sni", symmetry.rotations, scaled)
    target += symmetry.translations[:, None]
    tree = cKDTree(_wrapped(scaled), boxsize=1.0)
    _, vertex = tree.query(_wrapped(target))
    return symmetry.rotations, vertex, np.rint(target - scaled[vertex]).astype(int)


def _wrapped(scaled: np.ndarray) -> np.ndarray:
    """Fractional coordinates in [0, 1); −1e-17 % 1 is 1."""
    wrapped = scaled % 1.0
    return np.where(wrapped >= 1.0, 0.0, wrapped)


def _classes(
    found: np.ndarray, operations: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> list[np.ndarray]:
    """All images under symmetry of rings (R, size, 4), one for each class under translation."""
    rotations, vertex, shift = operations
    classes: dict[bytes, np.ndarray] = {}
    for ring in found:
        if _key(ring) in classes:
            continue
        moved = np.empty((len(rotations), *ring.shape), int)
        moved[..., 0] = vertex[:, ring[:, 0]]
        moved[..., 1:] = np.einsum("sij,nj->sni", rotations, ring[:, 1:]) + shift[:, ring[:, 0]]
        for image in moved:
            classes.setdefault(_key(image), image)
    return list(classes.values())


def _key(ring: np.ndarray) -> bytes:
    """The same for all translates of a ring, whatever atom it starts from."""
    home = ring.copy()
    home[:, 1:] -= home[:, 1:].min(axis=0)
    return np.sort(encoded(home)).tobytes()


def _vertex_symbol(at_angles: dict[int, tuple[int, int]]) -> str:
    """Smallest ring and number of such at the six angles, opposite angles side by side."""
    angles = [at_angles.get(which, (10**6, 0)) for which in range(6)]
    pairs = sorted(sorted(angles[i : i + 2]) for i in range(0, 6, 2))
    return ".".join(
        "*" if not count else f"{size}_{count}" if count > 1 else f"{size}"
        for pair in pairs
        for size, count in pair
    )
