import ase
import numpy as np
import pytest
from ase.geometry import minkowski_reduce
from ase.neighborlist import neighbor_list

from molsieve.docking.cells import (
    CellError,
    image_distances_angstrom,
    lattice_vectors_within,
    repeats_for_guest,
    shortest_lattice_vector_angstrom,
)

HEXAGONAL = ase.cell.Cell.fromcellpar([13.7, 13.7, 14.8, 90, 90, 120]).array
SKEW = np.array([[5.0, 0, 0], [4.4, 5.0, 0], [0.5, 0.3, 9.0]])


def test_a_small_cubic_cell_is_repeated_along_all_axes():
    cell = 8.9 * np.eye(3)
    assert repeats_for_guest(cell, 5.0, 3.0) == (1, 1, 1)
    assert repeats_for_guest(cell, 5.0, 4.0) == (2, 2, 2)


def test_only_the_short_axis_is_repeated():
    assert repeats_for_guest(np.diag([5.2, 9.9, 8.8]), 4.0, 3.0) == (2, 1, 1)


def test_min_cell_counts_too():
    assert repeats_for_guest(np.diag([5.2, 9.9, 8.8]), 1.0, 1.0, min_cell_angstrom=9.0) == (2, 1, 2)


@pytest.mark.parametrize("cell", [HEXAGONAL, SKEW, np.diag([5.2, 9.9, 8.8])])
def test_repeats_suffice_in_every_direction_and_are_the_fewest(cell):
    repeats = repeats_for_guest(cell, 9.0, 3.0)
    assert shortest_lattice_vector_angstrom(cell * np.array(repeats)[:, None]) >= 12.0
    for axis in range(3):
        fewer = np.array(repeats)
        if fewer[axis] > 1:
            fewer[axis] -= 1
            assert shortest_lattice_vector_angstrom(cell * fewer[:, None]) < 12.0


def test_absurd_distances_are_refused():
    with pytest.raises(CellError, match="repeats"):
        repeats_for_guest(5.0 * np.eye(3), 10.0, 100.0)


def test_shortest_vector_of_a_skew_cell_is_no_axis():
    reduced, _ = minkowski_reduce(SKEW)
    assert shortest_lattice_vector_angstrom(SKEW) == pytest.approx(
        np.linalg.norm(reduced, axis=1).min()
    )
    assert shortest_lattice_vector_angstrom(SKEW) < 5.04


def test_lattice_vectors_within_are_all_of_them():
    counts = np.stack(np.meshgrid(*[np.arange(-9, 10)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    lengths = np.linalg.norm(counts @ SKEW, axis=1)
    expected = np.count_nonzero((lengths > 0) & (lengths <= 14.0))
    assert len(lattice_vectors_within(SKEW, 14.0)) == expected


@pytest.mark.parametrize("cell", [HEXAGONAL * 0.5, SKEW])
def test_image_distance_is_that_of_a_neighbour_list(cell):
    rng = np.random.default_rng(0)
    poses = 1.0 * rng.standard_normal((4, 6, 3))
    found = image_distances_angstrom(poses, cell, 8.0)
    for pose, distance in zip(poses, found, strict=True):
        apart, shift = neighbor_list(
            "dS", ase.Atoms("C6", positions=pose, cell=cell, pbc=True), 8.0
        )
        assert distance == pytest.approx(apart[np.any(shift != 0, axis=1)].min())


def test_images_beyond_the_reach_are_infinitely_far():
    pose = np.zeros((1, 2, 3))
    assert image_distances_angstrom(pose, 10.0 * np.eye(3), 3.0)[0] == np.inf
