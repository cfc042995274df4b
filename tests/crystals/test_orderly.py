"""Orderly generation against all subsets, and that a stream holds nothing."""

import tracemalloc
from itertools import combinations, islice, permutations

import numpy as np
import pytest

from molsieve.crystals.orderly import OrderlySubsets


def cyclic(n: int) -> np.ndarray:
    """Rotations of a ring of n sites."""
    return (np.arange(n)[:, None] + np.arange(n)) % n


def smallest_images(group: np.ndarray, size: int, fine=lambda subset: True) -> list[tuple]:
    """The smallest image of every subset, sorted: what orderly generation must give."""
    found = set()
    for subset in combinations(range(group.shape[1]), size):
        if fine(subset):
            found.add(min(tuple(sorted(row[list(subset)].tolist())) for row in group))
    return sorted(found)


@pytest.mark.parametrize(("n", "size"), [(1, 1), (7, 2), (7, 3), (12, 4), (65, 2), (130, 2)])
def test_each_orbit_once_smallest_first(n: int, size: int) -> None:
    """65 and 130 sites take more than one word."""
    group = cyclic(n)[:: max(1, n // 13)]
    expected = smallest_images(group, size)
    assert list(OrderlySubsets(group)(size)) == expected
    assert OrderlySubsets(group).count(size) == len(expected)


def test_all_permutations_leave_one_subset_of_each_size() -> None:
    group = np.array(list(permutations(range(5))))
    subsets = OrderlySubsets(group)
    assert [list(subsets(size)) for size in range(7)] == [
        *([tuple(range(size))] for size in range(6)),
        [],
    ]


@pytest.mark.parametrize("size", range(1, 7))
def test_conflicts_are_kept_apart_even_where_the_cell_is_full(size: int) -> None:
    group = cyclic(12)
    near = np.abs(np.arange(12)[:, None] - np.arange(12)) % 12
    conflicts = (near == 1) | (near == 11)

    def apart(subset: tuple[int, ...]) -> bool:
        return not conflicts[np.ix_(subset, subset)].any()

    found = list(OrderlySubsets(group, conflicts=conflicts)(size))
    assert found == smallest_images(group, size, apart)


def test_a_site_in_conflict_with_itself_is_never_chosen() -> None:
    conflicts = np.diag([True, False, False])
    assert list(OrderlySubsets(np.arange(3)[None], conflicts=conflicts)(1)) == [(1,), (2,)]


def test_sites_not_allowed_are_left_out() -> None:
    allowed = np.array([True, False] * 3)
    group = cyclic(6)[::2]
    assert list(OrderlySubsets(group, allowed)(2)) == [(0, 2)]


def test_a_full_ring_has_no_room_and_ends_at_once() -> None:
    """101 sites in a ring take 50 at most: without the bound the search for 51 does not end."""
    group = np.arange(101)[None]
    ring = np.abs(group.T - group)
    conflicts = (ring == 1) | (ring == 100)
    assert list(OrderlySubsets(group, conflicts=conflicts)(51)) == []
    assert next(OrderlySubsets(group, conflicts=conflicts)(50)) == tuple(range(0, 100, 2))


def test_chunks_do_not_change_what_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(OrderlySubsets(cyclic(30))(3))
    monkeypatch.setattr("molsieve.crystals.orderly.CHUNK_WORDS", 100)
    assert list(OrderlySubsets(cyclic(30))(3)) == whole


def test_a_stream_holds_one_path() -> None:
    """10¹² subsets of 8 of 200: the first thousands come at once, in less than a megabyte."""
    stream = OrderlySubsets(cyclic(200))(8)
    next(stream)
    tracemalloc.start()
    assert sum(1 for _ in islice(stream, 5000)) == 5000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2e6
