"""The periodic Voronoi network of the void between a framework's oxygens.

A node is a point as far from its nearest oxygens as can be, an edge the way between two nodes that
keeps farthest from them: a sphere that passes anywhere passes along the network (Willems, Rycroft,
Kazi, Meza, Haranczyk, Micropor. Mesopor. Mater. 149, 134 (2012), for Zeo++). Oxygens are spheres of
one radius (below), so the ordinary Voronoi diagram is exact; T atoms lie behind them. Zeo++ itself
(pyzeo 0.2.0) ends the calling process on symmetric frameworks such as FAU. Lengths in Å.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import Voronoi, cKDTree

from molsieve.crystals.framework import Framework, FrameworkError

PADDING_ANGSTROM = 9.0
"""Oxygens this far around the cell are given to Qhull at first; more where a void needs them."""
LARGEST_PADDING_ANGSTROM = 150.0
"""A structure with voids that need more is no crystal framework."""
SAME_NODE_ANGSTROM = 1e-3
"""Voronoi nodes nearer than this are one: symmetric structures give many copies of a node."""


@dataclass(frozen=True, eq=False)
class PoreNetwork:
    """Voronoi nodes of one cell and the ways between them.

    Attributes:
        positions: (M, 3) nodes, inside the cell.
        clearance: (M,) distance of each node to the nearest oxygen's nucleus.
        first, second: (E,) int, nodes that an edge joins.
        image: (E, 3) int, lattice vectors added to the second node.
        bottleneck: (E,) least distance to an oxygen's nucleus along the edge.
    """

    positions: np.ndarray
    clearance: np.ndarray
    first: np.ndarray
    second: np.ndarray
    image: np.ndarray
    bottleneck: np.ndarray


def pore_network(framework: Framework) -> PoreNetwork:
    """The void's network between a framework's oxygens.

    Raises:
        FrameworkError: the cell is so thin or empty that no void can be bounded.
    """
    cell = framework.atoms.cell.array
    heights = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    scaled = framework.atoms.get_scaled_positions(wrap=True)[framework.o_index]
    padding = PADDING_ANGSTROM
    while padding <= LARGEST_PADDING_ANGSTROM:
        network = _network(_padded(scaled, padding / heights) @ cell, cell, padding / heights)
        if network is not None:
            return network
        padding *= 1.5
    raise FrameworkError(f"{framework.name}: voids too wide for a crystal framework")


def _padded(scaled: np.ndarray, margin: np.ndarray) -> np.ndarray:
    """Fractional coordinates of all images within ``margin`` (3,) of the cell, (P, 3)."""
    reach = [np.arange(-np.ceil(m), np.ceil(m) + 1) for m in margin]
    images = np.stack(np.meshgrid(*reach, indexing="ij"), axis=-1).reshape(-1, 3)
    points = (scaled[None] + images[:, None]).reshape(-1, 3)
    return points[((points > -margin) & (points < 1.0 + margin)).all(axis=1)]


def _network(points: np.ndarray, cell: np.ndarray, margin: np.ndarray) -> PoreNetwork | None:
    """Voronoi network of points (P, 3), folded into the cell that they surround.

    None where an edge of a node in the cell is endless, or ends in a node whose empty sphere
    reaches out of the surrounding ``margin`` (3,): points that are not there might lie in it. Where
    neither happens every node found is true, and, the network being connected, all are found.
    """
    diagram = Voronoi(points)
    one, other, generator = _polygon_edges(diagram)
    scaled = diagram.vertices @ np.linalg.inv(cell)
    # the last place stands for Qhull's vertex at infinity, −1
    inside = np.append(((scaled >= -1e-6) & (scaled < 1.0 + 1e-6)).all(axis=1), False)
    kept = inside[one] | inside[other]
    one, other, generator = one[kept], other[kept], generator[kept]
    used = np.unique(np.concatenate([one, other]))
    if len(used) == 0 or used[0] < 0:
        return None
    clearance = cKDTree(points).query(diagram.vertices[used])[0]
    reach = clearance[:, None] * np.linalg.norm(np.linalg.inv(cell), axis=0)
    if ((scaled[used] - reach < -margin) | (scaled[used] + reach > 1.0 + margin)).any():
        return None
    node, image, representative = _folded(scaled[used], cell)
    one, other = np.searchsorted(used, one), np.searchsorted(used, other)
    return PoreNetwork(
        positions=(scaled[used[representative]] % 1.0) @ cell,
        clearance=clearance[representative],
        first=node[one],
        second=node[other],
        image=image[other] - image[one],
        bottleneck=_distance_to_segment(
            points[generator], diagram.vertices[used[one]], diagram.vertices[used[other]]
        ),
    )


def _polygon_edges(diagram: Voronoi) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges of all faces: two Voronoi vertices, −1 at infinity, and a generator nearest to them.

    Qhull lists a face's vertices in order around it.
    """
    faces = diagram.ridge_vertices
    length = np.fromiter((len(face) for face in faces), int, len(faces))
    vertex = np.fromiter((v for face in faces for v in face), int, length.sum())
    start = np.repeat(np.cumsum(length) - length, length)
    place = np.arange(len(vertex)) - start
    following = vertex[start + (place + 1) % np.repeat(length, length)]
    generator = np.repeat(diagram.ridge_points[:, 0], length)
    return vertex, following, generator


def _folded(scaled: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Periodic copies of a node made one: node (V,), image (V, 3) and a vertex for each node."""
    home = scaled % 1.0
    home[home >= 1.0] = 0.0
    # fractional distances differ from Å by at most the cell's singular values
    tolerance = SAME_NODE_ANGSTROM / np.linalg.svd(cell, compute_uv=False)[0]
    pairs = cKDTree(home, boxsize=1.0).query_pairs(tolerance, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(home), len(home)))
    _, node = connected_components(graph, directed=False)
    _, representative = np.unique(node, return_index=True)
    image = np.rint(scaled - home[representative][node]).astype(int)
    return node, image, representative


def _distance_to_segment(point: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Distances (E,) from points to segments, all (E, 3)."""
    along = other - one
    length2 = np.maximum(np.einsum("ij,ij->i", along, along), 1e-24)
    share = np.clip(np.einsum("ij,ij->i", point - one, along) / length2, 0.0, 1.0)
    return np.linalg.norm(one + share[:, None] * along - point, axis=1)
