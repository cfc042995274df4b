"""Symmetry-distinct places for the ions that balance a substituted framework.

A *defect* is a T atom with less charge than the host atom it replaced (Al or B for Si, Si for P).

- Protons: on every oxygen of a defect whose T atoms leave it underbonded, that is, whose charges
  add to less than 8: Si–O(H)–Al, not Al–O–P (Pauling's second rule, as in
  :mod:`~molsieve.crystals.tetrahedra`). ASSUME: the start is tetrahedral for boron too; with a
  proton it relaxes to three-coordinate (Fild et al., Phys. Chem. Chem. Phys. 2, 3091 (2000)).
- Cations: on every edge of a defect's tetrahedron, two oxygens at the M–O distance. The six edges
  are the six rings that pass through the T atom, so that these are the sites in and over the
  rings next to Al. Edges whose places fall within :data:`MERGE_ANGSTROM` are one site.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from molsieve.crystals.arrangement import Arrangement, site_labels, substitute
from molsieve.crystals.framework import Framework
from molsieve.crystals.host_sites import coordinate_order, host_sites
from molsieve.crystals.ion_geometry import (
    Arms,
    cation_arms,
    closest_angstrom,
    ion_positions,
    near_pairs,
    proton_arms,
)
from molsieve.crystals.permutations import atom_permutations, restricted, stabiliser
from molsieve.crystals.tetrahedra import oxidation_state

MERGE_ANGSTROM = 0.5
UNDERBONDED = 8
"""Charges of the two T ions at an oxygen add to 8 where its bond strengths sum to 2."""


@dataclass(frozen=True, eq=False)
class IonSites:
    """M places for one kind of ion.

    Attributes:
        position_angstrom: (M, 3).
        room: (M,) bool, whether the ion fits.
        defects: (M, D) bool, the missing charges that it is next to, one column for each e.
        permutations: (G', M), what keeps the arrangement, on the places.
        apart: (M, M) bool, places too near to each other to be taken together.
    """

    position_angstrom: np.ndarray
    room: np.ndarray
    defects: np.ndarray
    permutations: np.ndarray
    apart: np.ndarray


@lru_cache(maxsize=16)  # listing the ways of an arrangement and building them ask for the same
def ion_sites(framework: Framework, arrangement: Arrangement, ion: str) -> IonSites:
    """The places for protons (``"H"``) or cations in a framework with an arrangement.

    Args:
        framework: without the substitution.
    """
    filled = substitute(framework, arrangement)
    group = stabiliser(atom_permutations(framework), filled.atoms.numbers)
    defects = _defects(framework, arrangement)
    kept = _protons(filled, group, defects) if ion == "H" else _cations(filled, group, defects, ion)
    arms, touching, permutations = kept
    position, room = ion_positions(filled.atoms, ion, arms)
    room = room[permutations].all(axis=0)
    if ion != "H":
        position, room, touching, permutations = _merged(
            filled, position, room, touching, permutations
        )
    limit = closest_angstrom(ion, np.array([atomic_numbers[ion]]))[0]
    apart = _invariant(near_pairs(filled.atoms.cell, position, limit), permutations)
    return IonSites(position, room, touching, permutations, apart)


def _defects(framework: Framework, arrangement: Arrangement) -> np.ndarray:
    """Atom of each missing charge, (D,): once for every e that its element has less."""
    labels, host = site_labels(arrangement), oxidation_state(arrangement.host)
    missing = [host - oxidation_state(chemical_symbols[number]) for number in labels]
    atom = host_sites(framework, arrangement.host).atom
    return np.repeat(atom, np.maximum(missing, 0))


def _protons(
    filled: Framework, group: np.ndarray, defects: np.ndarray
) -> tuple[Arms, np.ndarray, np.ndarray]:
    """Arms, missing charges (M, D) and permutations (G', M) of the oxygens of defects."""
    bonds, atoms = filled.bonds, filled.atoms
    pairs = np.argsort(bonds.o, kind="stable").reshape(-1, 2)  # the two bonds of each oxygen
    t, oxygen = bonds.t[pairs], bonds.o[pairs[:, 0]]
    to_t = -_bond_vectors(filled)[pairs]
    symbols = np.array(chemical_symbols)[atoms.numbers]
    charges = np.array([[oxidation_state(symbol) for symbol in two] for two in symbols[t]])
    touching = (t[:, :, None] == defects).any(axis=1)
    chosen = np.flatnonzero((charges.sum(axis=1) < UNDERBONDED) & touching.any(axis=1))
    scaled = atoms.get_scaled_positions(wrap=True)[oxygen[chosen]]
    chosen = chosen[coordinate_order(scaled)]
    oxygen = oxygen[chosen]
    arms = proton_arms(atoms.positions[oxygen], to_t[chosen], oxygen)
    return arms, touching[chosen], restricted(group, oxygen)


def _cations(
    filled: Framework, group: np.ndarray, defects: np.ndarray, ion: str
) -> tuple[Arms, np.ndarray, np.ndarray]:
    """Arms, missing charges (M, D) and permutations (G', M) of the edges of defects."""
    bonds, atoms = filled.bonds, filled.atoms
    order = coordinate_order(atoms.get_scaled_positions(wrap=True))
    rank = np.empty(len(order), dtype=int)
    rank[order] = np.arange(len(order))
    vectors = _bond_vectors(filled)
    edges: dict[tuple[int, int, int], tuple[int, int]] = {}  # T atom, oxygens → two bonds
    for t in sorted(set(defects.tolist()), key=lambda atom: rank[atom]):
        own = sorted(np.flatnonzero(bonds.t == t).tolist(), key=lambda bond: rank[bonds.o[bond]])
        for one, other in combinations(own, 2):  # a self-image's oxygen comes up twice: kept once
            edges.setdefault((t, int(bonds.o[one]), int(bonds.o[other])), (one, other))
    edge = np.array(list(edges.values()), dtype=int).reshape(-1, 2)
    t = bonds.t[edge[:, 0]]
    arms = cation_arms(atoms.positions[t], vectors[edge], ion)
    return arms, t[:, None] == defects, _edge_permutations(group, t, bonds.o[edge])


def _edge_permutations(group: np.ndarray, t: np.ndarray, oxygens: np.ndarray) -> np.ndarray:
    """(G', M) the group on edges, each a T atom and two oxygens of it."""
    keys = np.column_stack([t, np.sort(oxygens, axis=1)])
    number = {tuple(key): place for place, key in enumerate(keys.tolist())}
    rows = []
    for row in group:
        moved = np.column_stack([row[t], np.sort(row[oxygens], axis=1)])
        rows.append([number[tuple(key)] for key in moved.tolist()])
    return np.unique(np.array(rows, dtype=np.int32), axis=0)


def _merged(
    filled: Framework,
    position: np.ndarray,
    room: np.ndarray,
    touching: np.ndarray,
    permutations: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Places with room that coincide, made one: the first of each holds the position."""
    same = near_pairs(filled.atoms.cell, position, MERGE_ANGSTROM) & room & room[:, None]
    _, cluster = connected_components(csr_array(_invariant(same, permutations)), directed=False)
    _, first, cluster = np.unique(cluster, return_index=True, return_inverse=True)
    order = np.argsort(first)  # clusters in the order of their first places
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order))
    first, cluster = first[order], rank[cluster]
    merged = np.zeros((len(first), touching.shape[1]), dtype=bool)
    np.logical_or.at(merged, cluster, touching)
    return position[first], room[first], merged, np.unique(cluster[permutations[:, first]], axis=0)


def _invariant(pairs: np.ndarray, permutations: np.ndarray) -> np.ndarray:
    """A relation of places that holds where it holds for any image of the pair.

    An ion that must leave a mirror plane picks a side, so that distances alone need not show it.
    """
    whole = pairs.copy()
    for row in permutations:
        whole |= pairs[np.ix_(row, row)]
    return whole | whole.T


def _bond_vectors(framework: Framework) -> np.ndarray:
    """(B, 3) from the T atom of each bond to its oxygen, Å."""
    bonds, atoms = framework.bonds, framework.atoms
    return atoms.positions[bonds.o] + bonds.image @ atoms.cell.array - atoms.positions[bonds.t]
