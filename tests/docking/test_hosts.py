import numpy as np
import pytest

from molsieve.crystals.known import known_framework
from molsieve.docking.hosts import Host
from molsieve.docking.orientations import small_rotations, sobol_points, uniform_rotations
from molsieve.docking.sites import CLEARANCE_ANGSTROM, largest_free_sphere_angstrom, pore_sites


@pytest.fixture(scope="module")
def sodalite():
    return Host(known_framework("SOD").atoms)


def test_operations_map_the_framework_onto_itself(sodalite):
    symmetry = sodalite.symmetry
    assert len(symmetry.rotations) == 96  # Im-3m, centred cell
    assert len(symmetry.proper().rotations) == 48
    images = symmetry.images(sodalite.atoms.positions)
    assert sodalite.near.nearest_angstrom(images).max() < 1e-2


def test_repeats_keep_only_operations_of_the_larger_lattice(sodalite):
    symmetry = sodalite.symmetry_of((2, 1, 1))
    # Tetragonal point group (16) of 48, 2 centrings, 2 shifts.
    assert len(symmetry.rotations) == 16 * 2 * 2
    repeated = sodalite.atoms.repeat((2, 1, 1))
    marked = repeated.positions[0]
    images = symmetry.images(marked)
    scaled = (images[:, None] - repeated.positions) @ np.linalg.inv(symmetry.cell)
    apart = np.linalg.norm((scaled - np.round(scaled)) @ symmetry.cell, axis=2)
    assert apart.min(axis=1).max() < 1e-2


def test_grid_energies_are_the_exact_ones_on_the_grid_and_near_them_between(sodalite):
    numbers = np.array([6, 1])
    points = sodalite.grid_points()
    roomy = points[sodalite.near.nearest_angstrom(points)[:, 0] > 2.8][:40]
    poses = np.stack([roomy, roomy[::-1]], axis=1)
    exact = sodalite.near.energies_ev(numbers, poses)
    np.testing.assert_allclose(sodalite.grid_energies_ev(numbers, poses), exact, atol=1e-5)
    shifted = poses + 0.13 + 3 * sodalite.cell[0]
    exact = sodalite.near.energies_ev(numbers, shifted)
    np.testing.assert_allclose(sodalite.grid_energies_ev(numbers, shifted), exact, atol=0.05)


def test_the_first_site_is_the_middle_of_the_cage(sodalite):
    sites, clearances, _ = pore_sites(sodalite, sodalite.site_symmetry((1, 1, 1)), 100)
    assert sodalite.near.nearest_angstrom(sites[0])[0] == pytest.approx(clearances[0])
    assert clearances[0] > 4.0
    assert largest_free_sphere_angstrom(sodalite) == pytest.approx(6.1, abs=0.3)  # IZA: 6.3


def test_sites_cover_the_void_and_none_is_an_image_of_another(sodalite):
    symmetry = sodalite.site_symmetry((1, 1, 1))
    sites, _, spacing = pore_sites(sodalite, symmetry, 100)
    inverse = np.linalg.inv(sodalite.cell)

    def nearest(point):
        apart = (symmetry.images(sites) - point) @ inverse
        return np.linalg.norm((apart - np.round(apart)) @ sodalite.cell, axis=2).min(axis=0)

    for k, site in enumerate(sites):
        assert np.delete(nearest(site), k).min(initial=np.inf) > spacing
    points = sodalite.grid_points()
    void = points[sodalite.near.nearest_angstrom(points)[:, 0] >= CLEARANCE_ANGSTROM]
    assert max(nearest(point).min() for point in void[::7]) <= spacing


def test_fewer_sites_are_farther_apart(sodalite):
    sites, _, spacing = pore_sites(sodalite, sodalite.site_symmetry((1, 1, 1)), 2)
    assert len(sites) <= 2
    assert spacing > 0.8


def test_orientations_are_rotations_and_uniform():
    rotations = uniform_rotations(sobol_points(4096, 3, np.random.default_rng(0)))
    squares = rotations @ np.swapaxes(rotations, 1, 2)
    np.testing.assert_allclose(squares, np.broadcast_to(np.eye(3), squares.shape), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(rotations), 1.0)
    # Uniform on SO(3): no mean, and the angle's density is (1 - cos a) / π, so <trace> = 0.
    np.testing.assert_allclose(rotations.mean(axis=0), 0.0, atol=0.01)
    np.testing.assert_allclose((rotations**2).mean(axis=0), 1 / 3, atol=0.01)


def test_small_rotations_turn_by_their_length():
    vectors = np.array([[0.0, 0.0, 0.3], [0.0, 0.0, 0.0]])
    turned, still = small_rotations(vectors)
    np.testing.assert_allclose(turned[:2, 0], [np.cos(0.3), np.sin(0.3)])
    np.testing.assert_allclose(still, np.eye(3), atol=1e-12)
