"""The T sites of a framework that an atom may be put on: their order, neighbours and symmetry."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from ase.data import chemical_symbols

from molsieve.crystals.framework import SYMPREC_ANGSTROM, Framework
from molsieve.crystals.permutations import atom_permutations, restricted
from molsieve.crystals.tetrahedra import SubstitutionError
from molsieve.crystals.topology import tot_graph

ORDER_DECIMALS = 3
"""Sites are ordered by fractional coordinates, rounded so: not by the order of the file."""


@dataclass(frozen=True, eq=False)
class HostSites:
    """The n T sites of the host element, numbered 0 … n - 1 by their wrapped coordinates.

    Attributes:
        host: element that is replaced.
        atom: (n,) int, the atom of each site.
        permutations: (G, n) int, the space group of the cell on the sites.
        neighbours: (n, n) bool, symmetric: the sites share an oxygen. The diagonal is true where
            an oxygen joins a site and its own image in the next cell.
        beside: (element, (n,) bool) of T atoms that are not the host's: sites next to one.
    """

    host: str
    atom: np.ndarray
    permutations: np.ndarray
    neighbours: np.ndarray
    beside: tuple[tuple[str, np.ndarray], ...]


@lru_cache(maxsize=8)
def host_sites(
    framework: Framework, host: str = "Si", symprec_angstrom: float = SYMPREC_ANGSTROM
) -> HostSites:
    """The sites of ``host`` in a framework.

    Raises:
        SubstitutionError: the framework has no T atom of this element.
    """
    atoms = framework.atoms
    symbols = np.array(chemical_symbols)[atoms.numbers[framework.t_index]]
    place = np.flatnonzero(symbols == host)  # places in t_index
    if not len(place):
        raise SubstitutionError(
            f"{framework.name} has no T atom {host!r} to replace; it has "
            f"{', '.join(sorted(set(symbols.tolist())))}"
        )
    scaled = atoms.get_scaled_positions(wrap=True)
    place = place[coordinate_order(scaled[framework.t_index[place]])]
    linked = t_neighbours(framework)
    beside = {
        element: linked[place][:, symbols == element].any(axis=1)
        for element in sorted(set(symbols.tolist()) - {host})
    }
    atom = framework.t_index[place]
    return HostSites(
        host=host,
        atom=atom,
        permutations=restricted(atom_permutations(framework, symprec_angstrom), atom),
        neighbours=linked[np.ix_(place, place)],
        beside=tuple(beside.items()),
    )


def t_neighbours(framework: Framework) -> np.ndarray:
    """(n_t, n_t) bool in the order of ``t_index``: they share an oxygen, own images included."""
    graph = tot_graph(framework)
    linked = np.zeros((graph.n_vertices, graph.n_vertices), dtype=bool)
    linked[graph.first, graph.second] = True
    return linked | linked.T


def coordinate_order(scaled: np.ndarray) -> np.ndarray:
    """(n,) the sites by x, then y, then z, each rounded and wrapped into [0, 1)."""
    rounded = np.round(scaled, ORDER_DECIMALS) % 1.0
    return np.lexsort(np.round(rounded, ORDER_DECIMALS).T[::-1])
