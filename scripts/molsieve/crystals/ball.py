"""A finite ball of the infinite T–O–T net around a T atom, and the rings through its centre.

Nodes are T atoms of the infinite net, (vertex, lattice vector); distances count T–O–T steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from molsieve.crystals.topology import NeighbourTable

ANGLES = ((0, 1), (2, 3), (0, 2), (1, 3), (0, 3), (1, 2))
"""The six pairs of four neighbours, opposite pairs side by side."""
_REACH = 512  # lattice vectors of a ball's nodes are below half of this


@dataclass(frozen=True, eq=False)
class Ball:
    """Nodes within a number of steps of a centre, which is node 0; n of them.

    Attributes:
        node: (n, 4) int, vertex and lattice vector of each.
        code: (n,) int, ``encoded(node)``; ``order`` sorts it.
        neighbour: (n, 4) int, −1 outside the ball; the centre's in the table's order.
        distance: (n, n) int8 steps inside the ball, the radius and one where farther.
    """

    node: np.ndarray
    code: np.ndarray
    order: np.ndarray
    neighbour: np.ndarray
    distance: np.ndarray

    def index_of(self, node: np.ndarray) -> np.ndarray:
        """Indices (...) of nodes (..., 4) in the ball, −1 outside it."""
        wanted = encoded(node)
        place = np.minimum(
            np.searchsorted(self.code, wanted, sorter=self.order), len(self.code) - 1
        )
        found = self.order[place]
        return np.where(self.code[found] == wanted, found, -1)


def encoded(node: np.ndarray) -> np.ndarray:
    """One whole number for each node (..., 4)."""
    vertex, a, b, c = np.moveaxis(node.astype(np.int64), -1, 0)
    return ((vertex * _REACH + a + _REACH // 2) * _REACH + b + _REACH // 2) * _REACH + (
        c + _REACH // 2
    )


def neighbours_of(table: NeighbourTable, node: np.ndarray) -> np.ndarray:
    """The four neighbours (n, 4, 4) of nodes (n, 4)."""
    image = node[:, None, 1:] + table.image[node[:, 0]]
    return np.concatenate([table.vertex[node[:, 0]][..., None], image], axis=-1)


def shells(table: NeighbourTable, vertex: int, radius: int) -> list[np.ndarray]:
    """Nodes (n_k, 4) at 0, 1, … ``radius`` steps from a vertex of cell 0."""
    found = [np.array([[vertex, 0, 0, 0]])]
    before = np.zeros(0, np.int64)
    for _ in range(radius):
        near = neighbours_of(table, found[-1]).reshape(-1, 4)
        code, first = np.unique(encoded(near), return_index=True)
        known = np.concatenate([before, encoded(found[-1])])
        before = encoded(found[-1])
        found.append(near[np.sort(first[~np.isin(code, known)])])
    return found


def ball_around(table: NeighbourTable, vertex: int, radius: int) -> Ball:
    """The ball of ``radius`` steps around a vertex."""
    node = np.concatenate(shells(table, vertex, radius))
    code = encoded(node)
    empty = np.zeros((0, 0), np.int64)
    bare = Ball(node, code, np.argsort(code), empty, empty)
    neighbour = bare.index_of(neighbours_of(table, node))
    return Ball(node, code, bare.order, neighbour, _distances(neighbour, radius))


def _distances(neighbour: np.ndarray, radius: int) -> np.ndarray:
    """Steps between all pairs (n, n), a shell at a time for all nodes at once, eight to a byte."""
    n = len(neighbour)
    reached = np.packbits(np.eye(n + 1, n, dtype=bool), axis=1)  # the last row is the outside
    distance = np.zeros((n, n), np.int8)
    for _ in range(radius + 1):
        distance += 1 - np.unpackbits(reached[:n], axis=1, count=n).astype(np.int8)
        reached[:n] |= np.bitwise_or.reduce(reached[neighbour], axis=1)
    return distance


def shortest_path_rings(ball: Ball, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Rings of ``size`` T atoms through the centre without short cuts.

    A ring here is a cycle in which no two atoms are nearer through the net than round the cycle
    (Franzblau, Phys. Rev. B 44, 4925 (1991); Goetzke and Klein, J. Non-Cryst. Solids 127, 215
    (1991)).

    Args:
        ball: its radius is at least half of ``size``.
        size: at least 3.

    Returns:
        rings: (R, size) int, nodes in order round the ring, the centre first.
        angle: (R,) int, which of :data:`ANGLES` the ring takes at the centre.
    """
    half = size // 2
    pairs = ball.neighbour[0][np.array(ANGLES)]
    one, other = (np.stack([np.zeros(6, int), side], axis=1) for side in pairs.T)
    angle = np.arange(6)
    kept = _no_short_cut(ball, one, other, size)
    one, other, angle = one[kept], other[kept], angle[kept]
    for step in range(2, half + 1):
        one, other, angle = _extended(ball, one, other, angle, step)
        if 2 * step == size:
            kept = one[:, -1] == other[:, -1]
            one, other, angle = one[kept], other[kept], angle[kept]
        kept = _no_short_cut(ball, one, other, size)
        one, other, angle = one[kept], other[kept], angle[kept]
    if size % 2 == 0:
        other = other[:, :-1]
    return np.concatenate([one, other[:, :0:-1]], axis=1), angle


def _extended(
    ball: Ball, one: np.ndarray, other: np.ndarray, angle: np.ndarray, step: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both arms (P, step) a step farther from the centre, in every way."""
    arms = [one, other]
    for which in range(2):
        following = ball.neighbour[arms[which][:, -1]]
        away = (following >= 0) & (ball.distance[0][following] == step)
        row, column = np.nonzero(away)
        grown = np.concatenate([arms[which][row], following[row, column][:, None]], axis=1)
        arms[which], arms[1 - which], angle = grown, arms[1 - which][row], angle[row]
    return arms[0], arms[1], angle


def _no_short_cut(ball: Ball, one: np.ndarray, other: np.ndarray, size: int) -> np.ndarray:
    """Whether the new ends of two arms (P, s + 1) are as far from the other arm as in the ring."""
    step = one.shape[1] - 1
    along = np.arange(step + 1)
    round_ring = np.minimum(step + along, size - step - along)
    kept = (ball.distance[one[:, -1:], other] == round_ring).all(axis=1)
    return kept & (ball.distance[other[:, -1:], one] == round_ring).all(axis=1)
