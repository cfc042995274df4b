"""Frameworks with heteroatoms: the forms that a composition has in a cell, neutral with its guests.

What the heteroatoms leave negative is balanced by the composition's ions or, wholly, by the guests:
charged ones (``charged_guests: framework_aluminium``) sit in a framework without ions. A
composition that brings no charge gets as many aluminium atoms as the guests have charges.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from molsieve.crystals.arrangement import Arrangement
from molsieve.crystals.compensation import Compensation, iterate_compensations
from molsieve.crystals.framework import Framework
from molsieve.crystals.substitution import (
    atoms_per_cell,
    count_without_rule,
    iterate_arrangements,
    random_arrangements,
)
from molsieve.crystals.tetrahedra import LOWENSTEIN, NO_RULE, SubstitutionError, oxidation_state
from molsieve.domains.zeolite import config
from molsieve.section import digest

HOST = "Si"
PURE = "pure"
LISTED_ARRANGEMENTS = 20_000
"""Of compositions with more arrangements (counted without Löwenstein's rule) some are drawn."""


def framework_forms(
    framework: Framework, entry: config.Heteroatoms, guest_charge_e: int = 0
) -> Iterator[tuple[str, set[str]]]:
    """Identifiers of arrangements with their ions, and the elements of each; seeded by framework.

    Args:
        guest_charge_e: of all guests in the cell together. Those of charged guests have no ions;
            their elements include hydrogen, as protons stand for the guests in the empty framework.

    Raises:
        SubstitutionError: heteroatoms that the cell cannot have, or that nothing can balance.
    """
    own = set(framework.atoms.get_chemical_symbols())
    counts = _counts(framework, entry, guest_charge_e)
    if not any(counts.values()):
        yield PURE, own
        return
    present = own | {element for element, count in counts.items() if count}
    found = _drawn_arrangements(framework, counts, entry)
    refusals = [f"{framework.name} has no arrangement of {counts} within the rule"]
    forms = _in_turn(framework, found, entry.ion, guest_charge_e, refusals)
    first = next(forms, None)
    if first is None:
        raise SubstitutionError(refusals[-1])
    for form in itertools.islice(itertools.chain([first], forms), entry.most):
        ions = {"H"} if guest_charge_e else {entry.ion} if "+" in form.id else set()
        yield form.id, present | ions


def _counts(framework: Framework, entry: config.Heteroatoms, guest_charge_e: int) -> dict[str, int]:
    """Atoms of each heteroatom in the cell."""
    counts = dict(entry.counts)
    if entry.si_ratios:
        counts = atoms_per_cell(len(framework.t_index), entry.si_ratios)
    charge = sum(n * (oxidation_state(e) - oxidation_state(HOST)) for e, n in counts.items())
    if not guest_charge_e or charge == -guest_charge_e:
        return counts
    if charge == 0:
        return counts | {"Al": counts.get("Al", 0) + guest_charge_e}
    raise SubstitutionError(
        f"{counts} leave {charge:+d} e, the guests have {guest_charge_e:+d} e: give as many "
        f"aluminium atoms as they have charges ({guest_charge_e}), or none (they are added), or "
        "another loading"
    )


def _drawn_arrangements(
    framework: Framework, counts: dict[str, int], entry: config.Heteroatoms
) -> list[Arrangement]:
    """Arrangements in the order they are wanted: all, or where they are too many a random draw."""
    rule = LOWENSTEIN if entry.loewenstein else NO_RULE
    rng = np.random.default_rng(int(digest(["arrangements", framework.name, counts]), 16))
    if count_without_rule(framework, counts) > LISTED_ARRANGEMENTS:
        return random_arrangements(framework, counts, entry.most, rng, rule)
    found = list(iterate_arrangements(framework, counts, rule))
    if len(found) > entry.most:
        return [found[place] for place in rng.permutation(len(found))]
    return found


def _in_turn(
    framework: Framework,
    found: Iterable[Arrangement],
    ion: str,
    guest_charge_e: int,
    refusals: list[str],
) -> Iterator[Compensation]:
    """The first form of each arrangement, then the second of each: none takes another's place.

    Args:
        refusals: gets why an arrangement has no form; others may have one.
    """
    waiting: Iterable[Iterator[Compensation]]
    waiting = (
        iterate_compensations(framework, arrangement, ion, guest_charge_e) for arrangement in found
    )
    while waiting:
        going = []
        for forms in waiting:
            try:
                form = next(forms)
            except StopIteration:
                continue
            except SubstitutionError as error:
                refusals.append(str(error))
                continue
            going.append(forms)
            yield form
        waiting = going
