"""Subsets as numbers and back: the combinatorial number system, exact integers.

Several disjoint subsets of the same sites are numbered one after the other, each among the sites
that those before it leave (mixed radix). D. E. Knuth, The Art of Computer Programming 4A, 7.2.1.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb


def rank_of(subsets: Sequence[Sequence[int]], n: int) -> tuple[int, int]:
    """The number of disjoint ascending subsets of 0 … n - 1, and how many such choices there are.

    Lexicographic: the first choice has number 0.
    """
    rank, total = 0, 1
    left = list(range(n))
    for subset in subsets:
        place = {site: number for number, site in enumerate(left)}
        ways = comb(len(left), len(subset))
        rank = rank * ways + _rank([place[site] for site in subset], len(left))
        total *= ways
        left = [site for site in left if site not in subset]
    return rank, total


def rank_text(subsets: Sequence[Sequence[int]], n: int) -> str:
    """The number in hexadecimal, as many digits for all choices of these sizes."""
    rank, total = rank_of(subsets, n)
    return f"{rank:0{len(f'{total - 1:x}')}x}"


def subset_of(rank: int, sizes: Sequence[int], n: int) -> list[tuple[int, ...]] | None:
    """The subsets with a number, or None where there are not so many choices."""
    ways, left_count = [], n
    for size in sizes:
        ways.append(comb(left_count, size))
        left_count -= size
    ranks = []
    for radix in reversed(ways):
        rank, digit = divmod(rank, radix) if radix else (1, 0)
        ranks.append(digit)
    if rank:
        return None
    left, subsets = list(range(n)), []
    for digit, size in zip(reversed(ranks), sizes, strict=True):
        subset = tuple(left[place] for place in _unrank(digit, size, len(left)))
        subsets.append(subset)
        left = [site for site in left if site not in subset]
    return subsets


def _rank(subset: Sequence[int], n: int) -> int:
    """Lexicographic number of an ascending subset: all, less those that come after it."""
    size = len(subset)
    after = sum(comb(n - 1 - site, size - place) for place, site in enumerate(subset))
    return comb(n, size) - 1 - after


def _unrank(rank: int, size: int, n: int) -> list[int]:
    """The ascending subset with a lexicographic number."""
    subset, site = [], 0
    for missing in range(size, 0, -1):
        while (ways := comb(n - 1 - site, missing - 1)) <= rank:
            rank, site = rank - ways, site + 1
        subset.append(site)
        site += 1
    return subset
