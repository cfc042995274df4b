"""One arrangement of heteroatoms on the T sites of a cell: identifier, charge, orbit, structure.

The identifier, ``Al2.1f`` or ``Al1B1.0c3``, is the composition and, in hexadecimal, the rank
among all ways to choose the sites (:mod:`~molsieve.crystals.subset_rank`): it is decoded, not
looked up. Sites are numbered by coordinates (:mod:`~molsieve.crystals.host_sites`), so that it
does not depend on the order of atoms in a file, but on the cell and its origin.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers

from molsieve.crystals.framework import Framework
from molsieve.crystals.host_sites import HostSites, host_sites
from molsieve.crystals.permutations import stabiliser
from molsieve.crystals.subset_rank import rank_text, subset_of
from molsieve.crystals.tetrahedra import SubstitutionError, oxidation_state

PURE = "pure"
"""The identifier of the framework as it is."""

Chosen = tuple[tuple[str, tuple[int, ...]], ...]
"""``(element, host sites ascending)``, elements in alphabetical order."""


@dataclass(frozen=True)
class Arrangement:
    """Which host sites hold which element.

    Attributes:
        host: element that is replaced.
        n_sites: number of host sites in the cell.
        sites: (element, its sites ascending), elements in alphabetical order.
    """

    host: str
    n_sites: int
    sites: Chosen

    @property
    def id(self) -> str:
        """``pure``, ``Al2.1f``, or ``P:Si1.3`` where the host is not silicon."""
        if not self.sites:
            return PURE
        formula = "".join(f"{element}{len(held)}" for element, held in self.sites)
        host = "" if self.host == "Si" else f"{self.host}:"
        return f"{host}{formula}.{rank_text([held for _, held in self.sites], self.n_sites)}"

    @property
    def charge_e(self) -> int:
        """Charge that the substitution brings: Al or B for Si -1, P for Si +1, Ge 0."""
        host = oxidation_state(self.host)
        return sum((oxidation_state(element) - host) * len(held) for element, held in self.sites)


def checked_counts(sites: HostSites, counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """(element, atoms a cell) in alphabetical order, without zeros.

    Raises:
        SubstitutionError: an element that is the host or unknown, or more atoms than sites.
    """
    for element, count in counts.items():
        oxidation_state(element)
        if element == sites.host or count < 0:
            raise SubstitutionError(
                f"{count} {element} cannot replace {sites.host}; allowed: other elements, "
                "0 or more atoms a cell"
            )
    if sum(counts.values()) > len(sites.atom):
        raise SubstitutionError(
            f"{sum(counts.values())} atoms to place, but the cell has {len(sites.atom)} "
            f"{sites.host} sites: place fewer, or give a larger cell"
        )
    return sorted((element, count) for element, count in counts.items() if count)


def substitute(framework: Framework, arrangement: Arrangement) -> Framework:
    """The framework with the elements of an arrangement on its sites; no atom moves.

    Raises:
        SubstitutionError: the arrangement is of another cell.
    """
    if not arrangement.sites:
        return framework
    sites = host_sites(framework, arrangement.host)
    if len(sites.atom) != arrangement.n_sites:
        raise SubstitutionError(
            f"{arrangement.id} is for {arrangement.n_sites} {arrangement.host} sites a cell, "
            f"{framework.name} has {len(sites.atom)}"
        )
    atoms = framework.atoms.copy()
    atoms.numbers[sites.atom] = site_labels(arrangement)
    return Framework(framework.name, atoms)


def arrangement_from_id(framework: Framework, text: str) -> Arrangement:
    """The arrangement that an identifier names in a framework.

    Raises:
        SubstitutionError: not an identifier, of another cell, or not a canonical arrangement of
            this framework (another cell setting, or other coordinates).
    """
    if text == PURE:
        return Arrangement("Si", len(framework.t_index), ())
    match = re.fullmatch(r"(?:([A-Z][a-z]?):)?((?:[A-Z][a-z]?\d+)+)\.([0-9a-f]+)", text)
    if match is None:
        raise SubstitutionError(f"{text!r} is no arrangement; they look like Al2.1f, or {PURE}")
    sites = host_sites(framework, match[1] or "Si")
    counts = {element: int(n) for element, n in re.findall(r"([A-Z][a-z]?)(\d+)", match[2])}
    elements = checked_counts(sites, counts)
    chosen = subset_of(int(match[3], 16), [count for _, count in elements], len(sites.atom))
    if chosen is not None:
        held = tuple((element, one) for (element, _), one in zip(elements, chosen, strict=True))
        found = Arrangement(sites.host, len(sites.atom), held)
        if found.id == text and canonical(framework, found) == found:
            return found
    raise SubstitutionError(
        f"{text!r} is no arrangement of {framework.name} in this cell ({len(sites.atom)} "
        f"{sites.host} sites): was it made from another cell or other coordinates?"
    )


def canonical(framework: Framework, arrangement: Arrangement) -> Arrangement:
    """The arrangement of the same orbit that enumeration gives: the smallest, first element first.

    The framework is the bare one, without the substitution.
    """
    if not arrangement.sites:
        return arrangement
    group = host_sites(framework, arrangement.host).permutations
    images = [np.sort(group[:, list(held)], axis=1) for _, held in arrangement.sites]
    keys = np.concatenate(images, axis=1)
    best = keys[np.lexsort(keys.T[::-1])[0]].tolist()
    sites, start = [], 0
    for element, held in arrangement.sites:
        sites.append((element, tuple(best[start : start + len(held)])))
        start += len(held)
    return Arrangement(arrangement.host, arrangement.n_sites, tuple(sites))


def degeneracy(framework: Framework, arrangement: Arrangement) -> int:
    """In how many ways the cell can show an arrangement: the size of its orbit."""
    group = host_sites(framework, arrangement.host).permutations
    return len(group) // len(stabiliser(group, site_labels(arrangement)))


def site_labels(arrangement: Arrangement) -> np.ndarray:
    """(n,) atomic number on each host site."""
    labels = np.full(arrangement.n_sites, atomic_numbers[arrangement.host])
    for element, held in arrangement.sites:
        labels[list(held)] = atomic_numbers[element]
    return labels
