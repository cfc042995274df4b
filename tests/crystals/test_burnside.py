"""Counts by the cycle index against necklaces known from the literature and plain counting."""

from itertools import permutations
from math import comb

import numpy as np
import pytest

from molsieve.crystals.burnside import count_decorations, cycle_lengths
from molsieve.crystals.orderly import OrderlySubsets

RING = (np.arange(12)[:, None] + np.arange(12)) % 12


def test_cycle_lengths() -> None:
    assert cycle_lengths(np.array([1, 2, 0, 3, 5, 4])) == (1, 2, 3)


def test_no_symmetry_counts_multinomially() -> None:
    assert count_decorations(np.arange(96)[None], [4]) == comb(96, 4)
    assert count_decorations(np.arange(9)[None], [4, 3]) == comb(9, 4) * comb(5, 3)


def test_necklaces_of_twelve_beads() -> None:
    """The 352 binary necklaces of 12 beads (OEIS A000031), by number of black beads."""
    by_size = [count_decorations(RING, [size]) for size in range(13)]
    assert by_size[:7] == [1, 1, 6, 19, 43, 66, 80]
    assert sum(by_size) == 352


def test_agrees_with_orderly_generation() -> None:
    for size in range(7):
        assert count_decorations(RING, [size]) == OrderlySubsets(RING).count(size)


def test_nothing_to_place_is_one_way() -> None:
    assert count_decorations(RING, []) == 1


def test_all_permutations_leave_one_way() -> None:
    group = np.array(list(permutations(range(5))))
    assert count_decorations(group, [2, 1]) == 1


def test_permutations_that_are_no_group_are_told() -> None:
    with pytest.raises(ValueError, match="not a group"):
        count_decorations(np.array([[0, 1, 2], [1, 2, 0]]), [1])
