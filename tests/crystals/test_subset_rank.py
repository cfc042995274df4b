"""Numbers of subsets: lexicographic, and back."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from molsieve.crystals.subset_rank import rank_of, rank_text, subset_of


def test_single_subsets_are_numbered_in_lexicographic_order() -> None:
    for number, subset in enumerate(combinations(range(7), 3)):
        assert rank_of([subset], 7) == (number, 35)
        assert subset_of(number, [3], 7) == [subset]
    assert subset_of(35, [3], 7) is None


@given(st.permutations(range(11)), st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_disjoint_subsets_come_back(order: list[int], sizes: list[int]) -> None:
    sizes = sizes if sum(sizes) <= 11 else sizes[:1]
    subsets, start = [], 0
    for size in sizes:
        subsets.append(tuple(sorted(order[start : start + size])))
        start += size
    rank, total = rank_of(subsets, 11)
    assert 0 <= rank < total
    assert subset_of(rank, sizes, 11) == subsets
    assert subset_of(total, sizes, 11) is None


def test_text_is_as_long_for_the_last_as_for_the_first() -> None:
    assert (rank_text([(0, 1)], 36), rank_text([(34, 35)], 36)) == ("000", "275")  # 630 pairs


def test_more_sites_than_there_are() -> None:
    assert subset_of(0, [4], 3) is None
