"""The T–O–T multigraph, its walks, and clusters of periodic graphs."""

from __future__ import annotations

import numpy as np
import pytest

from molsieve.crystals.framework import Framework, primitive, supercell
from molsieve.crystals.known import known_codes, known_framework
from molsieve.crystals.periodic_clusters import PeriodicClusters
from molsieve.crystals.rings import coordination_sequence
from molsieve.crystals.topology import neighbour_table, tot_graph

# SOD: 2 k² + 2, derived; the others as recalled from the Atlas of Zeolite Framework Types
SEQUENCES = {
    "SOD": [2 * k * k + 2 for k in range(1, 11)],
    "CHA": [4, 9, 17, 29, 45, 64, 85, 110, 140, 173],
    "LTA": [4, 9, 17, 28, 42, 60, 81, 105, 132, 162],
    "quartz": [4, 12, 30, 52, 80, 116, 156, 204, 258, 318],
}


@pytest.mark.parametrize("code", known_codes())
@pytest.mark.parametrize("cell_of", [lambda f: f, primitive], ids=["conventional", "primitive"])
def test_an_edge_joins_neighbouring_t_atoms_through_its_oxygen(code, cell_of):
    framework: Framework = cell_of(known_framework(code))
    graph, atoms = tot_graph(framework), framework.atoms
    place = atoms.positions[framework.t_index]
    vector = place[graph.second] + graph.image @ atoms.cell.array - place[graph.first]
    length = np.linalg.norm(vector, axis=1)
    assert np.array_equal(graph.oxygen, framework.o_index)
    assert length.min() > 3.0 and length.max() < 3.25


def test_neighbour_table_goes_both_ways():
    table = neighbour_table(tot_graph(primitive(known_framework("ABW"))))
    steps = {
        (v, int(u), *map(int, image))
        for v in range(len(table.vertex))
        for u, image in zip(table.vertex[v], table.image[v], strict=True)
    }
    assert steps == {(u, v, -a, -b, -c) for v, u, a, b, c in steps}
    assert len(steps) == 4 * len(table.vertex)


def test_a_t_atom_may_neighbour_its_own_image():
    """A net of one vertex, as a cell with a single T atom has it."""
    clusters = PeriodicClusters(1)
    for image in ((1, 0, 0), (0, 1, 0), (1, 1, 0)):
        clusters.join(0, 0, image)
    assert clusters.dimensionality(0) == 2


@pytest.mark.parametrize("code", SEQUENCES)
def test_coordination_sequences(code):
    framework = known_framework(code)
    assert coordination_sequence(framework, int(framework.t_index[0])) == SEQUENCES[code]


def test_coordination_sequence_is_the_same_in_every_cell():
    framework = known_framework("ABW")
    found = [
        coordination_sequence(cell, int(cell.t_index[-1]))
        for cell in (framework, primitive(framework), supercell(framework, (2, 1, 1)))
    ]
    assert found[0] == found[1] == found[2]


def test_clusters_learn_their_directions_when_they_join():
    clusters = PeriodicClusters(4)
    assert clusters.join(0, 1, (0, 0, 0)) is None
    assert clusters.join(1, 0, (1, 0, 0)) is not None
    assert clusters.join(2, 3, (0, 2, 0)) is None
    assert clusters.join(3, 2, (0, 0, 0)) is not None
    assert [clusters.dimensionality(node) for node in range(4)] == [1, 1, 1, 1]
    vectors = clusters.join(0, 3, (5, 5, 5))
    assert vectors is not None and np.linalg.matrix_rank(vectors) == 2
    assert [clusters.dimensionality(node) for node in range(4)] == [2, 2, 2, 2]
    assert clusters.join(0, 0, (3, -2, 0)) is None


def test_two_separate_nets_are_two_clusters():
    clusters = PeriodicClusters(2)
    for axis in np.eye(3, dtype=int).tolist():
        clusters.join(0, 0, tuple(axis))
    assert clusters.dimensionality(0) == 3
    assert clusters.dimensionality(1) == 0
