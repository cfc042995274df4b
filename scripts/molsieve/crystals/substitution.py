"""Heteroatoms on the T sites of a cell: every symmetry-distinct arrangement, as a stream.

Distinct means: not carried into each other by the space group of the cell (spglib, tolerance
:data:`~molsieve.crystals.framework.SYMPREC_ANGSTROM`). Of several elements the first of the
alphabet is placed up to the whole group, the next up to what keeps the first, and so on; each
step is :class:`~molsieve.crystals.orderly.OrderlySubsets`, so that nothing is held but one path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from molsieve.crystals.arrangement import (
    Arrangement,
    Chosen,
    canonical,
    checked_counts,
)
from molsieve.crystals.burnside import count_decorations
from molsieve.crystals.framework import Framework
from molsieve.crystals.host_sites import HostSites, host_sites
from molsieve.crystals.orderly import OrderlySubsets
from molsieve.crystals.permutations import stabiliser
from molsieve.crystals.tetrahedra import LOWENSTEIN, PairRule, SubstitutionError

Elements = list[tuple[str, int]]
"""(element, atoms a cell), as checked_counts gives them."""
DRAWS_PER_ARRANGEMENT = 200
"""Random draws for one more arrangement, before drawing is given up."""


def iterate_arrangements(
    framework: Framework,
    counts: Mapping[str, int],
    rule: PairRule = LOWENSTEIN,
    host: str = "Si",
) -> Iterator[Arrangement]:
    """All symmetry-distinct arrangements in a fixed order, one at a time.

    Args:
        counts: atoms a cell of each element, such as ``{"Al": 2, "B": 1}``; ``{}`` gives the
            framework as it is.
        rule: pairs that may not share an oxygen.

    Raises:
        SubstitutionError: an element, a count or a host that cannot be.
    """
    sites = host_sites(framework, host)
    elements = checked_counts(sites, counts)
    return (Arrangement(host, len(sites.atom), held) for held in _chains(sites, elements, rule))


def count_arrangements(
    framework: Framework,
    counts: Mapping[str, int],
    rule: PairRule = LOWENSTEIN,
    host: str = "Si",
) -> int:
    """How many :func:`iterate_arrangements` gives, by walking the same tree."""
    sites = host_sites(framework, host)
    elements = checked_counts(sites, counts)
    if not elements or _meets_host(elements, rule, host):
        return sum(1 for _ in _chains(sites, elements, rule))
    last, count = elements[-1]
    return sum(
        _subsets(sites, last, held, rule).count(count)
        for held in _chains(sites, elements[:-1], rule)
    )


def count_without_rule(framework: Framework, counts: Mapping[str, int], host: str = "Si") -> int:
    """How many there are without a rule about neighbours: Burnside's lemma, nothing listed."""
    sites = host_sites(framework, host)
    elements = checked_counts(sites, counts)
    return count_decorations(sites.permutations, [count for _, count in elements])


def random_arrangements(
    framework: Framework,
    counts: Mapping[str, int],
    n: int,
    rng: np.random.Generator,
    rule: PairRule = LOWENSTEIN,
    host: str = "Si",
) -> list[Arrangement]:
    """Up to ``n`` distinct arrangements drawn at random, for cells with too many to list.

    Sites are drawn uniformly and draws against the rule dropped, so an arrangement comes up in
    proportion to its degeneracy, as in a random material. Fewer than ``n`` where
    :data:`DRAWS_PER_ARRANGEMENT` draws in a row bring nothing new.
    """
    sites = host_sites(framework, host)
    elements = checked_counts(sites, counts)
    found: dict[Arrangement, None] = {}  # ordered
    idle = 0
    while len(found) < n and idle < DRAWS_PER_ARRANGEMENT:
        order = rng.permutation(len(sites.atom))
        drawn = Arrangement(host, len(sites.atom), _dealt(order, elements))
        idle += 1
        if obeys(sites, drawn.sites, rule) and (one := canonical(framework, drawn)) not in found:
            found[one] = None
            idle = 0
    return list(found)


def atoms_per_cell(n_sites: int, ratios: Mapping[str, float]) -> dict[str, int]:
    """Atoms a cell for ratios host/element, such as ``{"Al": 11}`` for Si/Al = 11.

    The host sites left are ``n_sites / (1 + sum of 1/ratio)``, and each element has a ratio-th.

    Raises:
        SubstitutionError: no whole number of atoms; says which ratios this cell can have.
    """
    if any(ratio <= 0 for ratio in ratios.values()):
        raise SubstitutionError(f"ratios must be above 0: {dict(ratios)}")
    host = n_sites / (1 + sum(1 / ratio for ratio in ratios.values()))
    counts = {element: host / ratio for element, ratio in ratios.items()}
    for element, count in counts.items():
        if abs(count - round(count)) > 1e-3 or round(count) == 0:
            nearest = max(1, round(count))
            raise SubstitutionError(
                f"host/{element} = {ratios[element]:g} needs {count:.3f} {element} in a cell of "
                f"{n_sites} T sites; {nearest} would do ({(n_sites - nearest) / nearest:g} if it "
                "were alone), or a larger cell"
            )
    return {element: round(count) for element, count in counts.items()}


def obeys(sites: HostSites, held: Chosen, rule: PairRule = LOWENSTEIN) -> bool:
    """Whether no chosen atom shares an oxygen against the rule, with host atoms too."""
    taken = np.zeros(len(sites.atom), dtype=bool)
    for _, places in held:
        taken[list(places)] = True
    for element, places in held:
        wrong = _forbidden(sites, element, held, rule)
        if rule.forbids(element, sites.host):
            wrong |= sites.neighbours[:, ~taken].any(axis=1)
        if wrong[list(places)].any():
            return False
    return True


def _chains(sites: HostSites, elements: Elements, rule: PairRule) -> Iterator[Chosen]:
    """All ways to place the elements one after the other, the rule kept."""
    chains = _placed(sites, elements, rule, ())
    if not _meets_host(elements, rule, sites.host):
        return chains
    return (held for held in chains if obeys(sites, held, rule))


def _placed(sites: HostSites, elements: Elements, rule: PairRule, held: Chosen) -> Iterator[Chosen]:
    """The elements that are not held yet, placed; the host's own pairs are not looked at."""
    if len(held) == len(elements):
        yield held
        return
    element, count = elements[len(held)]
    for places in _subsets(sites, element, held, rule)(count):
        yield from _placed(sites, elements, rule, (*held, (element, places)))


def _subsets(sites: HostSites, element: str, held: Chosen, rule: PairRule) -> OrderlySubsets:
    """The distinct ways to put one more element beside those that are held."""
    labels = np.zeros(len(sites.atom), dtype=int)
    for number, (_, places) in enumerate(held, start=1):
        labels[list(places)] = number
    group = stabiliser(sites.permutations, labels) if held else sites.permutations
    allowed = (labels == 0) & ~_forbidden(sites, element, held, rule)
    conflicts = sites.neighbours if rule.forbids(element, element) else None
    return OrderlySubsets(group, allowed, conflicts)


def _forbidden(sites: HostSites, element: str, held: Chosen, rule: PairRule) -> np.ndarray:
    """(n,) bool: sites next to a T atom, of the framework or held, that the element may not meet.

    Next to itself too: a site whose oxygen leads to its own image is its own neighbour.
    """
    wrong = np.zeros(len(sites.atom), dtype=bool)
    for other, beside in sites.beside:
        if rule.forbids(element, other):
            wrong |= beside
    for other, places in held:
        if rule.forbids(element, other):
            wrong |= sites.neighbours[:, list(places)].any(axis=1)
    return wrong


def _meets_host(elements: Elements, rule: PairRule, host: str) -> bool:
    """Whether the rule has a say about an element and the host, known only at the end."""
    return any(rule.forbids(element, host) for element, _ in elements)


def _dealt(order: np.ndarray, elements: Elements) -> Chosen:
    """The first sites of a shuffled order dealt out to the elements."""
    held, start = [], 0
    for element, count in elements:
        held.append((element, tuple(sorted(order[start : start + count].tolist()))))
        start += count
    return tuple(held)
