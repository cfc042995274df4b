"""Charge compensation of a substituted framework, by protons or cations: every distinct way.

Charges are bookkept against the framework as given, which is taken to be neutral (SiO2, AlPO4):
Al for Si -1 e, P for Si +1 e, Si for P -1 e, Ge for Si 0. What the substitution and the guests in
the cell leave negative is balanced by ions, each next to a charge of its own; a positive rest is
refused, because it would take an anion. The identifier adds ``+H2.3`` to the arrangement's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import ase
import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from molsieve.crystals.arrangement import Arrangement, arrangement_from_id, substitute
from molsieve.crystals.framework import Framework
from molsieve.crystals.ion_geometry import CATION_CHARGE_E
from molsieve.crystals.ion_sites import IonSites, ion_sites
from molsieve.crystals.orderly import OrderlySubsets
from molsieve.crystals.subset_rank import rank_text, subset_of
from molsieve.crystals.tetrahedra import SubstitutionError


@dataclass(frozen=True)
class Compensation:
    """Ions on places of an arrangement.

    Attributes:
        arrangement: the substitution.
        ion: element of the ions.
        places: which of the places of :func:`~molsieve.crystals.ion_sites.ion_sites`, ascending.
        n_places: how many places there are.
    """

    arrangement: Arrangement
    ion: str = "H"
    places: tuple[int, ...] = ()
    n_places: int = 0

    @property
    def id(self) -> str:
        """The arrangement's identifier, and ``+H2.3`` where there are ions."""
        if not self.places:
            return self.arrangement.id
        number = rank_text([self.places], self.n_places)
        return f"{self.arrangement.id}+{self.ion}{len(self.places)}.{number}"

    @property
    def charge_e(self) -> int:
        """Charge of framework and ions together; guests bring the opposite."""
        return self.arrangement.charge_e + len(self.places) * CATION_CHARGE_E[self.ion]


def iterate_compensations(
    framework: Framework, arrangement: Arrangement, ion: str = "H", guest_charge_e: int = 0
) -> Iterator[Compensation]:
    """All symmetry-distinct ways to make the cell neutral, one at a time, in a fixed order.

    Args:
        framework: without the substitution.
        ion: ``"H"`` or a cation.
        guest_charge_e: charge of all guests in the cell together.

    Raises:
        SubstitutionError: an unknown ion, a charge that it cannot balance, or no room.
    """
    number = _ions_needed(arrangement, ion, guest_charge_e)
    if number == 0:
        yield Compensation(arrangement, ion)
        return
    sites = ion_sites(framework, arrangement, ion)
    found = False
    for places in _subsets(sites)(number):
        if _each_has_its_own(sites.defects[list(places)]):
            found = True
            yield Compensation(arrangement, ion, places, len(sites.room))
    if not found:
        raise SubstitutionError(
            f"{framework.name} {arrangement.id}: no room for {number} {ion} next to as many "
            f"substituted atoms ({int(sites.room.sum())} of {len(sites.room)} places are free)"
        )


def compensate(framework: Framework, compensation: Compensation) -> Framework:
    """The framework with the substitution and its ions; no framework atom moves."""
    filled = substitute(framework, compensation.arrangement)
    if not compensation.places:
        return filled
    sites = ion_sites(framework, compensation.arrangement, compensation.ion)
    held = list(compensation.places)
    ions = ase.Atoms([compensation.ion] * len(held), sites.position_angstrom[held])
    return Framework(framework.name, filled.atoms + ions)


def compensation_from_id(framework: Framework, text: str) -> Compensation:
    """The arrangement and ions that an identifier names.

    Raises:
        SubstitutionError: not an identifier, of another cell, or not one that
            :func:`iterate_compensations` gives.
    """
    bare, plus, ions = text.partition("+")
    arrangement = arrangement_from_id(framework, bare)
    if not plus:
        return Compensation(arrangement)
    match = re.fullmatch(r"([A-Z][a-z]?)(\d+)\.([0-9a-f]+)", ions)
    if match is None or match[1] not in CATION_CHARGE_E:
        raise SubstitutionError(f"{text!r} names no ions; they look like +H2.3 or +Na1.0")
    sites = ion_sites(framework, arrangement, match[1])
    chosen = subset_of(int(match[3], 16), [int(match[2])], len(sites.room))
    if chosen is not None and _stands(sites, chosen[0]):
        found = Compensation(arrangement, match[1], chosen[0], len(sites.room))
        if found.id == text:
            return found
    raise SubstitutionError(
        f"{text!r} names no ions of {framework.name} {bare}, which has {len(sites.room)} places"
    )


def _ions_needed(arrangement: Arrangement, ion: str, guest_charge_e: int) -> int:
    """How many ions make the cell neutral."""
    if ion not in CATION_CHARGE_E:
        raise SubstitutionError(f"{ion!r} is no ion; allowed: {', '.join(sorted(CATION_CHARGE_E))}")
    left, each = arrangement.charge_e + guest_charge_e, CATION_CHARGE_E[ion]
    if left > 0 or left % each:
        raise SubstitutionError(
            f"{arrangement.id} ({arrangement.charge_e:+d} e) with guests of {guest_charge_e:+d} e "
            f"leaves {left:+d} e, which {ion} (+{each} e) cannot balance: change the number of "
            "heteroatoms or guests a cell"
        )
    return -left // each


def _subsets(sites: IonSites) -> OrderlySubsets:
    """Places to take together."""
    return OrderlySubsets(sites.permutations, sites.room, _rivals(sites))


def _rivals(sites: IonSites) -> np.ndarray:
    """(M, M) bool: places too near to each other, or next to the same charge and no other."""
    alone = sites.defects.sum(axis=1) == 1
    rivals = (sites.defects @ sites.defects.T) & alone & alone[:, None]
    np.fill_diagonal(rivals, False)
    return rivals | sites.apart


def _stands(sites: IonSites, places: tuple[int, ...]) -> bool:
    """Whether places are a choice that enumeration gives: free, each its own charge, canonical."""
    held = list(places)
    images = np.sort(sites.permutations[:, held], axis=1)
    return bool(
        sites.room[held].all()
        and not _rivals(sites)[np.ix_(held, held)].any()
        and _each_has_its_own(sites.defects[held])
        and tuple(images[np.lexsort(images.T[::-1])[0]].tolist()) == places
    )


def _each_has_its_own(defects: np.ndarray) -> bool:
    """Whether ions (n, D) can be matched to missing charges of their own."""
    matched = maximum_bipartite_matching(csr_array(defects), perm_type="column")
    return bool((matched >= 0).all())
