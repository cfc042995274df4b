"""Identifiers, charges, orbits and structures of single arrangements."""

import ase
import numpy as np
import pytest

from molsieve.crystals.arrangement import (
    PURE,
    Arrangement,
    arrangement_from_id,
    canonical,
    degeneracy,
    substitute,
)
from molsieve.crystals.framework import Framework, supercell
from molsieve.crystals.known import known_framework
from molsieve.crystals.substitution import iterate_arrangements
from molsieve.crystals.tetrahedra import NO_RULE, SubstitutionError

CHA = known_framework("CHA")


def test_identifiers_are_read_back() -> None:
    for counts in ({}, {"Al": 1}, {"Al": 2}, {"B": 1, "Al": 1}, {"Ge": 1, "P": 1}):
        for arrangement in iterate_arrangements(CHA, counts):
            assert arrangement_from_id(CHA, arrangement.id) == arrangement


def test_identifiers_as_they_are_written() -> None:
    """Kept in tables and file names: they must not change."""
    assert Arrangement("Si", 36, ()).id == PURE
    assert Arrangement("Si", 36, (("Al", (0, 2)),)).id == "Al2.001"
    assert Arrangement("Si", 36, (("Al", (0,)), ("B", (3,)))).id == "Al1B1.002"
    assert Arrangement("P", 4, (("Si", (3,)),)).id == "P:Si1.3"


@pytest.mark.parametrize(
    "text",
    ["Al2.00", "Al2.275", "Al2.276", "Al99.0", "Xx1.0", "Al", "al1.0", "Al2.001+", "P:Si1.0"],
)
def test_identifiers_that_are_not_of_this_framework_are_told(text: str) -> None:
    with pytest.raises(SubstitutionError):
        arrangement_from_id(CHA, text)


def test_an_identifier_of_another_cell_is_told() -> None:
    last = list(iterate_arrangements(supercell(CHA, (1, 1, 2)), {"Al": 2}))[-1]
    with pytest.raises(SubstitutionError, match="another cell"):
        arrangement_from_id(CHA, last.id)
    with pytest.raises(SubstitutionError, match="72 Si sites"):
        substitute(CHA, last)


def test_identifiers_do_not_depend_on_the_order_of_the_file() -> None:
    order = np.random.default_rng(0).permutation(len(CHA.atoms))
    shuffled = Framework("CHA", CHA.atoms[order])
    for arrangement in iterate_arrangements(CHA, {"Al": 2}):
        one = substitute(CHA, arrangement).atoms
        other = substitute(shuffled, arrangement_from_id(shuffled, arrangement.id)).atoms
        assert (one.numbers[order] == other.numbers).all()


def test_substitution_changes_elements_only() -> None:
    arrangement = next(iterate_arrangements(CHA, {"Al": 2, "Ge": 3}))
    atoms = substitute(CHA, arrangement).atoms
    assert atoms.get_chemical_formula("metal") == ase.Atoms("Al2Ge3Si31O72").get_chemical_formula(
        "metal"
    )
    assert (atoms.positions == CHA.atoms.positions).all()
    assert "Al" not in CHA.atoms.symbols


@pytest.mark.parametrize(
    ("counts", "charge"),
    [({}, 0), ({"Al": 2}, -2), ({"Al": 2, "P": 1}, -1), ({"Ge": 4, "Zn": 1}, -2)],
)
def test_charge_against_silica(counts: dict[str, int], charge: int) -> None:
    assert next(iterate_arrangements(CHA, counts)).charge_e == charge


def test_orbits_add_up_to_all_labelled_structures() -> None:
    found = iterate_arrangements(CHA, {"Al": 2}, NO_RULE)
    assert sum(degeneracy(CHA, one) for one in found) == 36 * 35 // 2


def test_any_member_of_an_orbit_leads_to_the_same() -> None:
    for arrangement in iterate_arrangements(CHA, {"Al": 1, "B": 1}):
        (_, (al,)), (_, (b,)) = arrangement.sites
        swapped = Arrangement("Si", 36, (("Al", (b,)), ("B", (al,))))
        assert canonical(CHA, arrangement) == arrangement
        assert canonical(CHA, canonical(CHA, swapped)) == canonical(CHA, swapped)
        assert canonical(CHA, swapped).sites[0] == ("Al", (0,))
