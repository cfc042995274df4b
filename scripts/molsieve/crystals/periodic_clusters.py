"""Clusters of a periodic graph as its edges are added, and in how many directions each repeats."""

from __future__ import annotations

import numpy as np

Vector = tuple[int, int, int]


class PeriodicClusters:
    """Union-find of nodes that also knows how many lattice vectors lie between two of a cluster.

    A cluster that meets its own image at lattice vector n is endless along n; the number of
    independent such vectors is its dimensionality.
    """

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))
        self._offset: list[Vector] = [(0, 0, 0)] * size  # cell of a node's parent, seen from it
        self._vectors: dict[int, np.ndarray] = {}

    def join(self, first: int, second: int, image: Vector) -> np.ndarray | None:
        """Add the edge from ``first`` in cell 0 to ``second`` in cell ``image``.

        Returns:
            The cluster's independent lattice vectors (≤ 3, 3) where there are more than its parts
            had, else None.
        """
        root, near = self._root(first)
        other, far = self._root(second)
        # the second root's cell, seen from the first root's
        between = (
            image[0] + far[0] - near[0],
            image[1] + far[1] - near[1],
            image[2] + far[2] - near[2],
        )
        if root == other:
            return self._extended(root, [between]) if any(between) else None
        self._parent[other] = root
        self._offset[other] = (-between[0], -between[1], -between[2])
        inherited = self._vectors.pop(other, None)
        return None if inherited is None else self._extended(root, list(inherited))

    def dimensionality(self, node: int) -> int:
        """In how many independent directions the node's cluster is endless."""
        return len(self._vectors.get(self._root(node)[0], ()))

    def _root(self, node: int) -> tuple[int, Vector]:
        """A node's root and its cell, seen from the node; shortens the way for the next time."""
        path = []
        while self._parent[node] != node:
            path.append(node)
            node = self._parent[node]
        offset = (0, 0, 0)
        for step in reversed(path):
            a, b, c = self._offset[step]
            offset = (offset[0] + a, offset[1] + b, offset[2] + c)
            self._parent[step], self._offset[step] = node, offset
        return node, offset

    def _extended(self, root: int, more: list) -> np.ndarray | None:
        """Add lattice vectors to a cluster's; its independent ones where their rank has grown."""
        known = self._vectors.get(root, np.zeros((0, 3), int))
        before = len(known)
        for vector in more:
            if before == 3:
                return None
            longer = np.vstack([known, vector])
            if np.linalg.matrix_rank(longer) > len(known):
                known = longer
        self._vectors[root] = known
        return known if len(known) > before else None
