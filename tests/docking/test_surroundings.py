"""Clearances and energies against ASE's neighbour list, pair by pair."""

import ase
import numpy as np
import pytest
from ase.neighborlist import neighbor_list

from molsieve.crystals.known import known_framework
from molsieve.docking.surroundings import Surroundings
from molsieve.docking.van_der_waals import pair_energy, radius_angstrom

NUMBERS = np.array([6, 7, 1, 1])


@pytest.fixture(scope="module")
def chabazite():
    return known_framework("CHA").atoms


@pytest.fixture(scope="module")
def poses(chabazite):
    rng = np.random.default_rng(3)
    middles = rng.uniform(-1.5, 2.5, (5, 1, 3)) @ chabazite.cell.array  # other cells as well
    return middles + rng.standard_normal((5, 4, 3))


def pairs_of(frame: ase.Atoms, pose: np.ndarray, reach: float):
    together = frame + ase.Atoms(numbers=NUMBERS, positions=pose)
    i, j, apart = neighbor_list("ijd", together, reach)
    between = (i >= len(frame)) & (j < len(frame))
    return together.numbers[i[between]], together.numbers[j[between]], apart[between]


def test_margins_are_those_of_a_neighbour_list(chabazite, poses):
    here = Surroundings(chabazite.cell.array, chabazite.numbers, chabazite.positions, 6.0)
    found = here.margins_angstrom(NUMBERS, poses, 0.7)
    for pose, margin in zip(poses, found, strict=True):
        mine, met, apart = pairs_of(chabazite, pose, 6.0)
        limits = [
            0.7 * (radius_angstrom(int(a)) + radius_angstrom(int(b)))
            for a, b in zip(mine, met, strict=True)
        ]
        # Room beyond the largest limit is reported as infinite: it decides nothing.
        expected = (apart - limits).min()
        assert margin == pytest.approx(expected) or (margin > 0 and expected > 0)


def test_energies_are_sums_over_a_neighbour_list(chabazite, poses):
    here = Surroundings(chabazite.cell.array, chabazite.numbers, chabazite.positions, 6.0)
    found = here.energies_ev(NUMBERS, poses)
    for pose, energy in zip(poses, found, strict=True):
        expected = sum(
            float(pair_energy(int(a), int(b))(d))
            for a, b, d in zip(*pairs_of(chabazite, pose, 6.0), strict=True)
        )
        assert energy == pytest.approx(expected, abs=1e-9)


def test_tightest_contact_names_the_pair(chabazite):
    here = Surroundings(chabazite.cell.array, chabazite.numbers, chabazite.positions, 6.0)
    oxygen = chabazite.positions[chabazite.numbers == 8][0]
    direction = here.nearest_angstrom(oxygen[None], 2)[0]
    assert direction[0] == pytest.approx(0, abs=1e-9)
    pose = np.vstack([oxygen + np.array([0.1, 0, 0]), oxygen + 40.0])
    assert here.tightest_contact(np.array([7, 1]), pose)[:2] == (7, 8)
