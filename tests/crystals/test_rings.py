"""Strong rings and vertex symbols, against the Atlas and against matscipy's ring search."""

from __future__ import annotations

import numpy as np
import pytest
from matscipy.rings import ring_statistics

from molsieve.crystals import rings as rings_module
from molsieve.crystals.ball import ball_around, shortest_path_rings
from molsieve.crystals.framework import primitive, supercell
from molsieve.crystals.known import known_codes, known_framework
from molsieve.crystals.rings import rings
from molsieve.crystals.symmetry import symmetry_of, t_sites
from molsieve.crystals.topology import neighbour_table, tot_graph

# recalled from the Atlas of Zeolite Framework Types; quartz from O'Keeffe and Hyde (1997)
SYMBOLS = {
    "SOD": "4.4.6.6.6.6",
    "CHA": "4.4.4.8.6.8",
    "RHO": "4.4.4.6.8.8",
    "LTA": "4.6.4.6.4.8",
    "quartz": "6.6.6_2.6_2.8_7.8_7",
}
LARGEST = {"SOD": 6, "ABW": 8, "ACO": 8, "CHA": 8, "RHO": 8, "LTA": 8, "quartz": 8}


@pytest.mark.parametrize("code", known_codes())
def test_as_in_the_atlas(code):
    found = rings(primitive(known_framework(code)))
    assert found.largest == LARGEST[code]
    if code in SYMBOLS:
        assert found.sites["T1"].vertex_symbol == SYMBOLS[code]


def test_cages_of_lta():
    """Faces of LTA's cages: three double 4-rings (18 4-rings), a sodalite cage (8 6-rings) and
    three 8-ring windows a cell."""
    assert rings(known_framework("LTA")).per_cell == {4: 18, 6: 8, 8: 3}


@pytest.mark.parametrize("code", ["ABW", "CHA", "quartz"])
def test_rings_of_sites_add_up_to_those_of_the_cell(code):
    framework = known_framework(code)
    found = rings(framework)
    sites = t_sites(framework, symmetry_of(framework))
    for size, number in found.per_cell.items():
        through = sum(len(s.members) * found.sites[s.name].strong.get(size, 0) for s in sites)
        assert through == size * number


@pytest.mark.parametrize(("code", "largest"), [("SOD", 8), ("ABW", 8), ("quartz", 8)])
def test_rings_without_short_cuts_as_matscipy_finds_them(code, largest):
    """In a supercell wide enough for no ring to close round it."""
    small = known_framework(code)
    table = neighbour_table(tot_graph(small))
    repeats = np.ceil(3.3 * largest / 1.5 / small.atoms.cell.lengths()).astype(int)
    t_atoms = supercell(small, tuple(repeats)).atoms
    t_atoms = t_atoms[t_atoms.numbers == 14]
    expected = ring_statistics(t_atoms, 3.5, maxlength=largest + 1)
    ball = ball_around(table, 0, largest // 2)
    for size in range(3, largest + 1):
        through_one = len(shortest_path_rings(ball, size)[0])
        count = expected[size] if size < len(expected) else 0
        assert through_one * len(t_atoms) == size * count, size


def test_sums_of_smaller_rings_are_not_strong():
    table = neighbour_table(tot_graph(known_framework("SOD")))
    assert len(shortest_path_rings(ball_around(table, 0, 6), 12)[0]) == 32
    assert 12 not in rings(known_framework("SOD")).per_cell


def test_looking_farther_out_for_smaller_rings_changes_nothing(monkeypatch):
    expected = rings(primitive(known_framework("CHA")))
    monkeypatch.setattr(rings_module, "MARGIN", 3)
    assert rings(primitive(known_framework("CHA"))) == expected


def test_rings_above_the_limit_are_not_looked_for():
    found = rings(known_framework("LTA"), largest=6)
    assert found.per_cell == {4: 18, 6: 8}
    assert found.sites["T1"].vertex_symbol == "4.6.4.6.4.*"
