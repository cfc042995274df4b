"""Subsets of sites that are distinct under a permutation group, one after the other.

Orderly generation: R. C. Read, Ann. Discrete Math. 2, 107 (1978); I. A. Faradžev (1978). Of an
orbit of subsets the canonical one is the lexicographically smallest as a sorted tuple. A
canonical subset without its largest site is canonical, so that a depth-first search that adds
larger sites and drops what is not canonical meets every orbit once, and holds one path of the
tree in memory: G x size words, however many subsets there are. A conflict graph (Löwenstein's
rule) prunes the same tree, because a subset of a set without conflicts has none.

A subset is a row of 64-bit words in which a smaller site is a higher bit: the lexicographically
smallest tuple is the largest number.
"""

from __future__ import annotations

from collections.abc import Iterator

import networkx as nx
import numpy as np

CHUNK_WORDS = 1 << 20
"""Images of candidate subsets tested at once: 8 MiB of words."""
DENSE = 6
"""The bound on what is left pays from one site in so many: a T atom bars four others."""


class OrderlySubsets:
    """Canonical subsets of n sites under a group, without conflicting pairs.

    Args:
        permutations: (G, n) int, the whole group (not generators only).
        allowed: (n,) bool, sites that may be chosen; the group maps them onto themselves.
        conflicts: (n, n) bool, symmetric and invariant under the group: pairs that cannot be
            chosen together; a true diagonal element forbids the site.
    """

    def __init__(
        self,
        permutations: np.ndarray,
        allowed: np.ndarray | None = None,
        conflicts: np.ndarray | None = None,
    ) -> None:
        self.permutations = permutations
        n = permutations.shape[1]
        self._free = np.ones(n, dtype=bool) if allowed is None else allowed.copy()
        self._conflicts = conflicts if conflicts is not None and conflicts.any() else None
        self._bits = _bits(n)
        self._cover: np.ndarray | None = None
        if self._conflicts is not None:
            self._free &= ~self._conflicts.diagonal()

    def __call__(self, size: int) -> Iterator[tuple[int, ...]]:
        """The canonical subsets of this size, in lexicographic order."""
        if size == 0:
            yield ()
        for prefix, last in self._blocks(size):
            for site in last.tolist():
                yield (*prefix, site)

    def count(self, size: int) -> int:
        """How many there are, by walking the tree; nothing is kept."""
        return 1 if size == 0 else sum(len(last) for _, last in self._blocks(size))

    def _blocks(self, size: int) -> Iterator[tuple[tuple[int, ...], np.ndarray]]:
        """Canonical subsets, not empty, that share all but the largest site: (prefix, largest)."""
        if size == 0:
            return
        if self._conflicts is not None and size * DENSE > self._free.sum():
            self._cover = _pair_cover(self._conflicts, self._free)
        images = np.zeros((len(self.permutations), self._bits.shape[1]), dtype=np.uint64)
        own = np.zeros(self._bits.shape[1], dtype=np.uint64)
        yield from self._extend((), np.flatnonzero(self._free), own, images, size)

    def _extend(
        self,
        prefix: tuple[int, ...],
        open_sites: np.ndarray,
        own: np.ndarray,
        images: np.ndarray,
        size: int,
    ) -> Iterator[tuple[tuple[int, ...], np.ndarray]]:
        """Depth first below a canonical prefix.

        Args:
            open_sites: (m,) sites after the prefix that conflict with none of it, ascending.
            own: (W,) words of the prefix; images: (G, W) words of its images.
        """
        missing = size - len(prefix)
        if not self._room(open_sites, missing):
            return
        chosen = open_sites[self._canonical(open_sites, own, images)]
        if missing == 1:
            if len(chosen):
                yield prefix, chosen
            return
        for site in chosen.tolist():
            later = open_sites[open_sites > site]
            if self._conflicts is not None:
                later = later[~self._conflicts[site, later]]
            below = images | self._bits[self.permutations[:, site]]
            yield from self._extend((*prefix, site), later, own | self._bits[site], below, size)

    def _room(self, open_sites: np.ndarray, missing: int) -> bool:
        """Whether so many more sites can be had: a pair of the cover in conflict gives one."""
        if len(open_sites) < missing or self._cover is None:
            return len(open_sites) >= missing
        return len(np.unique(self._cover[open_sites])) >= missing

    def _canonical(self, candidates: np.ndarray, own: np.ndarray, images: np.ndarray) -> np.ndarray:
        """(m,) bool: the prefix with this site has no image that is a larger number."""
        step = max(1, CHUNK_WORDS // images.size)
        parts = [
            self._canonical_chunk(candidates[start : start + step], own, images)
            for start in range(0, len(candidates), step)
        ]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=bool)

    def _canonical_chunk(
        self, candidates: np.ndarray, own: np.ndarray, images: np.ndarray
    ) -> np.ndarray:
        """As :meth:`_canonical`; compares word by word from the most significant one."""
        moved = self.permutations[:, candidates]
        larger = np.zeros(moved.shape, dtype=bool)
        equal = np.ones(moved.shape, dtype=bool)
        for word in range(len(own)):
            image = images[:, word, None] | self._bits[moved, word]
            reference = own[word] | self._bits[candidates, word]
            larger |= equal & (image > reference)
            equal &= image == reference
            if not equal.any():
                break
        return np.logical_not(larger.any(axis=0))


def _bits(n: int) -> np.ndarray:
    """(n, W) uint64: the word and bit of each site, a smaller site a more significant bit."""
    bits = np.zeros((n, -(-n // 64)), dtype=np.uint64)
    sites = np.arange(n)
    bits[sites, sites // 64] = np.uint64(1) << (63 - sites % 64).astype(np.uint64)
    return bits


def _pair_cover(conflicts: np.ndarray, free: np.ndarray) -> np.ndarray:
    """(n,) number of the pair or single site that covers each site: a matching of the conflicts.

    Of a pair in conflict one site at most can be chosen, so the number of pairs and singles left
    bounds how many can still be had: at Si/Al = 1 the search would not end without it.
    """
    graph = nx.from_numpy_array(conflicts & free & free[:, None])
    graph.remove_edges_from(nx.selfloop_edges(graph))
    cover = np.arange(len(conflicts))
    for one, other in nx.max_weight_matching(graph, maxcardinality=True):
        cover[one] = other
    return cover
