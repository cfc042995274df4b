import numpy as np
import pytest

from molsieve.crystals.known import known_framework
from molsieve.docking.guests import make_guest
from molsieve.docking.hosts import Host
from molsieve.docking.threading import pierced, threaded


def test_a_ring_around_a_bond_is_seen_and_one_beside_it_is_not():
    host = Host(known_framework("ACO").atoms, symmetric=False)
    guest = make_guest("C1COCCOCCOCCOCCOCCO1", conformers=1)
    bond = known_framework("ACO").bonds
    start = host.atoms.positions[bond.t[0]]
    end = host.atoms.positions[bond.o[0]] + bond.image[0] @ host.cell
    ring = guest.coordinates[0][list(guest.rings[0])]
    normal = np.linalg.svd(ring - ring.mean(axis=0))[2][2]
    turn = rotation_onto(normal, (end - start) / np.linalg.norm(end - start))
    around = (guest.coordinates[0] - ring.mean(axis=0)) @ turn.T + (start + end) / 2
    far_cell = around + 2 * host.cell[1] - host.cell[2]
    assert threaded(host, guest, np.array([around, far_cell])).tolist() == [True, True]
    shrunk = (start + end) / 2 + 1e-3 * (around - around.mean(axis=0)) + np.cross(normal, [5, 3, 1])
    assert threaded(host, guest, shrunk[None]).tolist() == [False]


def test_guests_without_a_macrocycle_thread_nothing():
    host = Host(known_framework("ACO").atoms, symmetric=False)
    guest = make_guest("CC", conformers=1)
    assert not threaded(host, guest, guest.coordinates[:1]).any()


def rotation_onto(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    axis, cosine = np.cross(first, second), float(first @ second)
    skew = np.cross(np.eye(3), axis)
    return np.eye(3) - skew + skew @ skew / (1 + cosine)


@pytest.mark.parametrize(
    ("start", "end", "through"),
    [
        ([0.3, 0.2, -1.0], [0.3, 0.2, 1.0], True),
        ([0.3, 0.2, 0.5], [0.3, 0.2, 1.0], False),  # its line does, it does not
        ([0.3, 0.2, -2.0], [0.3, 0.2, -0.5], False),
        ([3.0, 0.2, -1.0], [3.0, 0.2, 1.0], False),
        ([-1.0, 0.0, 0.3], [1.0, 0.0, 0.3], False),
    ],
)
def test_a_bond_pierces_a_ring_or_not(start, end, through):
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    ring = 2.0 * np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
    assert pierced(ring, np.array([start]), np.array([end])) is through
