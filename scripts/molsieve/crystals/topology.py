"""The periodic T–O–T multigraph of a framework: T atoms joined through an oxygen.

A vertex is a T atom by its place in ``t_index`` (0 … n_t − 1), an edge an oxygen with the lattice
vectors between its two T atoms. Two T atoms may share several edges in a small cell, and a T atom
may neighbour its own image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from molsieve.crystals.framework import Framework


@dataclass(frozen=True, eq=False)
class TotGraph:
    """T–O–T multigraph; edge e joins ``first[e]`` in cell 0 to ``second[e]`` in cell ``image[e]``.

    Attributes:
        n_vertices: T atoms in the cell, n_t.
        first, second: (n_o,) int, places in ``Framework.t_index``, ``first <= second``.
        image: (n_o, 3) int, lattice vectors added to the second T atom.
        oxygen: (n_o,) int, index of the oxygen in ``Framework.atoms``, ascending.
    """

    n_vertices: int
    first: np.ndarray
    second: np.ndarray
    image: np.ndarray
    oxygen: np.ndarray


@dataclass(frozen=True, eq=False)
class NeighbourTable:
    """The four T neighbours of each T atom, for walks on the infinite net.

    Attributes:
        vertex: (n_t, 4) int, neighbours' places in ``Framework.t_index``.
        image: (n_t, 4, 3) int, lattice vectors from the vertex's cell to the neighbour's.
    """

    vertex: np.ndarray
    image: np.ndarray


def tot_graph(framework: Framework) -> TotGraph:
    """The T–O–T multigraph of a framework."""
    bonds = framework.bonds
    order = np.argsort(bonds.o, kind="stable").reshape(-1, 2)
    rank = np.searchsorted(framework.t_index, bonds.t[order])
    # bonds are sorted by T atom: of an oxygen's two, the first comes first. From it the oxygen lies
    # image[0] away, and the oxygen's own cell -image[1] from the second T atom's
    image = bonds.image[order[:, 0]] - bonds.image[order[:, 1]]
    return TotGraph(
        n_vertices=len(framework.t_index),
        first=rank[:, 0],
        second=rank[:, 1],
        image=image,
        oxygen=bonds.o[order[:, 0]],
    )


def neighbour_table(graph: TotGraph) -> NeighbourTable:
    """Both directions of every edge, four to a vertex."""
    source = np.concatenate([graph.first, graph.second])
    target = np.concatenate([graph.second, graph.first])
    image = np.concatenate([graph.image, -graph.image])
    order = np.argsort(source, kind="stable").reshape(graph.n_vertices, 4)
    return NeighbourTable(target[order], image[order])
