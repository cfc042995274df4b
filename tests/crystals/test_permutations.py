"""Permutations of the space group: groups, of the right order, in any cell."""

import numpy as np
import pytest

from molsieve.crystals.framework import primitive, supercell
from molsieve.crystals.known import known_framework
from molsieve.crystals.permutations import atom_permutations, restricted, stabiliser
from tests.crystals.brute_force import moved_atoms


@pytest.mark.parametrize("code", ["SOD", "ABW", "CHA", "LTA", "quartz"])
def test_as_the_international_tables_have_them(code: str) -> None:
    framework = known_framework(code)
    expected = {tuple(row) for row in moved_atoms(framework).tolist()}
    assert {tuple(row) for row in atom_permutations(framework).tolist()} == expected


@pytest.mark.parametrize(("repeats", "order"), [((1, 1, 1), 8), ((1, 1, 2), 16), ((2, 1, 1), 32)])
def test_a_supercell_adds_its_translations_and_stays_a_group(
    repeats: tuple[int, int, int], order: int
) -> None:
    """ABW, Imma: 16 operations in the centred cell. The mirror across a keeps every T atom, at
    x = 0 and 1/2, until the cell is doubled along a."""
    framework = supercell(known_framework("ABW"), repeats)
    group = restricted(atom_permutations(framework), framework.t_index)
    assert len(group) == order
    rows = {tuple(row) for row in group.tolist()}
    assert {tuple(one[other]) for one in group for other in group.tolist()} <= rows


def test_a_supercell_that_breaks_a_cubic_axis_keeps_what_it_can() -> None:
    framework = supercell(known_framework("SOD"), (1, 1, 2))
    assert len(atom_permutations(framework)) == 64  # 4/mmm (16), centring (2), repeat (2)
    assert len(atom_permutations(primitive(known_framework("SOD")))) == 48


def test_heteroatoms_are_kept_by_the_stabiliser() -> None:
    framework = known_framework("CHA")
    group = restricted(atom_permutations(framework), framework.t_index)
    labels = np.zeros(36, dtype=int)
    assert len(stabiliser(group, labels)) == 36
    labels[0] = 1
    assert len(stabiliser(group, labels)) == 1
