"""Cages and channels, against recalled Atlas values and against a plain grid."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from molsieve.crystals import pore_network as pore_network_module
from molsieve.crystals.framework import primitive, supercell
from molsieve.crystals.known import known_framework
from molsieve.crystals.periodic_clusters import PeriodicClusters
from molsieve.crystals.pore_network import pore_network
from molsieve.crystals.pores import OXYGEN_RADIUS_ANGSTROM, pores

# largest sphere included, free; dimensionality. SOD, CHA, RHO, LTA: recalled from the Atlas of
# Zeolite Framework Types, the oxygen radius was chosen on them; ABW, ACO: computed here, kept
SIZES = {
    "SOD": (6.32, 2.53, 0),
    "CHA": (7.37, 3.72, 3),
    "RHO": (10.43, 4.06, 3),
    "LTA": (11.05, 4.21, 3),
    "ABW": (4.24, 3.51, 1),
    "ACO": (4.58, 3.56, 3),
}


@pytest.mark.parametrize("code", SIZES)
def test_sizes(code):
    found = pores(known_framework(code))
    included, free, dimensionality = SIZES[code]
    assert found.largest_included_angstrom == pytest.approx(included, abs=0.011)
    assert found.largest_free_angstrom == pytest.approx(free, abs=0.011)
    assert found.dimensionality() == dimensionality


def test_quartz_lets_nothing_through():
    assert pores(known_framework("quartz")).dimensionality() == 0


def test_channels_of_abw_run_along_one_axis():
    along = pores(known_framework("ABW")).free_along_angstrom
    assert np.argmax(along) == 0 and max(along[1:]) < 2.8


def grid_clearance(code: str, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Distance to the nearest oxygen on a grid over the cell, and the grid's shape."""
    framework = known_framework(code)
    cell = framework.atoms.cell
    shape = np.ceil(cell.lengths() / step).astype(int)
    place = np.stack(np.meshgrid(*(np.arange(n) / n for n in shape), indexing="ij"), -1)
    oxygens = framework.atoms[framework.o_index].repeat((3, 3, 3)).positions
    shifted = (place.reshape(-1, 3) + 1.0) @ cell.array
    return cKDTree(oxygens).query(shifted)[0].reshape(shape), shape


def directions_on_grid(clearance: np.ndarray, limit: float) -> int:
    """In how many directions points that clear ``limit`` hang together."""
    number = np.arange(clearance.size).reshape(clearance.shape)
    clusters = PeriodicClusters(clearance.size)
    most = 0
    for axis in range(3):
        other = np.roll(number, -1, axis)
        joined = (clearance >= limit) & (np.roll(clearance, -1, axis) >= limit)
        last = np.arange(clearance.shape[axis]) == clearance.shape[axis] - 1
        wraps = np.broadcast_to(
            np.expand_dims(last, [a for a in range(3) if a != axis]), joined.shape
        )
        for one, two, wrap in zip(number[joined], other[joined], wraps[joined], strict=True):
            image = [0, 0, 0]
            image[axis] = int(wrap)
            vectors = clusters.join(int(one), int(two), tuple(image))
            most = max(most, 0 if vectors is None else len(vectors))
    return most


@pytest.mark.parametrize("code", ["ABW", "SOD"])
def test_as_on_a_grid(code):
    step = 0.3
    clearance, _ = grid_clearance(code, step)
    found = pores(known_framework(code))
    included = found.largest_included_angstrom / 2 + OXYGEN_RADIUS_ANGSTROM
    assert included - step < clearance.max() <= included + 1e-9
    for count, free in enumerate(found.free_in_dimensions_angstrom, start=1):
        radius = free / 2 + OXYGEN_RADIUS_ANGSTROM
        assert directions_on_grid(clearance, radius + 0.02) < count
        assert directions_on_grid(clearance, radius - step) >= count


@pytest.mark.parametrize("code", ["ABW", "LTA"])
def test_nodes_are_as_far_from_oxygens_as_they_say(code):
    framework = known_framework(code)
    network = pore_network(framework)
    oxygens = framework.atoms[framework.o_index].repeat((5, 5, 5)).positions
    middle = network.positions + 2.0 * framework.atoms.cell.array.sum(axis=0)
    assert np.allclose(cKDTree(oxygens).query(middle)[0], network.clearance, atol=2e-3)


@pytest.mark.parametrize("change", [primitive, lambda f: supercell(f, (1, 2, 1))])
def test_the_same_in_every_cell(change):
    framework = known_framework("CHA")
    found, expected = pores(change(framework)), pores(framework)
    assert found.largest_included_angstrom == pytest.approx(expected.largest_included_angstrom)
    assert found.free_in_dimensions_angstrom == pytest.approx(expected.free_in_dimensions_angstrom)


def test_more_oxygens_are_taken_in_until_the_widest_void_is_bounded(monkeypatch):
    framework = known_framework("RHO")
    expected = pores(framework)
    monkeypatch.setattr(pore_network_module, "PADDING_ANGSTROM", 1.0)
    found = pores(framework)
    assert found.largest_included_angstrom == pytest.approx(expected.largest_included_angstrom)
    assert found.free_in_dimensions_angstrom == pytest.approx(expected.free_in_dimensions_angstrom)
