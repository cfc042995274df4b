import numpy as np
import pytest

from molsieve.crystals.known import known_framework
from molsieve.docking.duplicates import different_images, distinct, packing_rms_angstrom
from molsieve.docking.guests import make_guest
from molsieve.docking.hosts import Host, Symmetry


@pytest.fixture(scope="module")
def host():
    return Host(known_framework("ACO").atoms)


@pytest.fixture(scope="module")
def guest():
    return make_guest("CCN", conformers=1)


@pytest.fixture(scope="module")
def pose(guest):
    return guest.coordinates[0] + [1.1, 2.3, 0.7]


def kept(host, guest, poses, most=100):
    met = host.near.nearest_angstrom(poses, 4)
    return distinct(poses, guest.automorphisms, host.symmetry, met, 0.3, most)


def test_every_symmetry_image_is_the_same_pose(host, guest, pose):
    images = host.symmetry.images(pose)
    shifts = np.random.default_rng(0).integers(-2, 3, (len(images), 3)) @ host.cell
    assert kept(host, guest, images + shifts[:, None]) == [0]


def test_different_poses_stay_and_the_limit_holds(host, guest, pose):
    moves = np.array([[0, 0, 0], [0.05, 0, 0], [0.9, 0, 0], [0, 1.1, 0.4]])
    poses = pose + moves[:, None]
    assert kept(host, guest, poses) == [0, 2, 3]
    assert kept(host, guest, poses, most=2) == [0, 2]


def test_like_atoms_may_change_places(host):
    guest = make_guest("C1CN2CCN1CC2", conformers=1)
    pose = guest.coordinates[0] + [2.0, 1.0, 3.0]
    turned = pose.copy()
    turned[guest.automorphisms[0]] = pose[guest.automorphisms[5]]
    assert kept(host, guest, np.array([pose, turned])) == [0]
    assert not np.allclose(pose, turned)


def test_a_pose_on_a_symmetry_element_is_its_own_image(host):
    methane = make_guest("C", conformers=1)
    at_centre = methane.coordinates[0] * 0 + [5.0, 5.0, 5.0]
    inversion = Symmetry(
        np.array([np.eye(3), -np.eye(3)]), np.array([np.zeros(3), 2 * at_centre[0]]), host.cell
    )
    new = different_images(at_centre, methane.automorphisms, inversion, 0.1)
    assert new.tolist() == [True, False]
    new = different_images(at_centre + np.array([1, 0, 0]), methane.automorphisms, inversion, 0.1)
    assert new.tolist() == [True, True]


def test_packings_match_guests_in_any_order(host, guest, pose):
    other = guest.coordinates[0] + [6.0, 5.0, 4.0]
    first = np.array([pose, other])
    operation = 17
    moved = first @ host.symmetry.rotations[operation].T + host.symmetry.translations[operation]
    moved[0] += host.cell[1]
    found = packing_rms_angstrom(first, moved[::-1], guest.automorphisms, host.symmetry, 0.5)
    assert found == pytest.approx(0.0, abs=1e-6)
    moved[0] += [0.4, 0.0, 0.0]
    found = packing_rms_angstrom(first, moved[::-1], guest.automorphisms, host.symmetry, 0.5)
    assert found == pytest.approx(0.4 / np.sqrt(2), abs=1e-6)
    moved[0] += [3.0, 3.0, 3.0]
    assert packing_rms_angstrom(first, moved, guest.automorphisms, host.symmetry, 0.5) == np.inf
