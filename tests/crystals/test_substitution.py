"""Arrangements of heteroatoms against brute force, Burnside's lemma and the rule on small cells."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from molsieve.crystals.arrangement import degeneracy, substitute
from molsieve.crystals.framework import Framework, primitive, supercell
from molsieve.crystals.host_sites import host_sites
from molsieve.crystals.known import known_framework
from molsieve.crystals.substitution import (
    atoms_per_cell,
    count_arrangements,
    count_without_rule,
    iterate_arrangements,
    obeys,
    random_arrangements,
)
from molsieve.crystals.tetrahedra import NO_RULE, SubstitutionError, lowenstein
from tests.crystals.brute_force import distinct, independent_sets, next_to, pairs_of_two
from tests.crystals.einer_chains import einer_chains

SMALL = [("SOD", 2), ("SOD", 3), ("SOD", 6), ("ABW", 1), ("ABW", 2), ("ABW", 4), ("CHA", 2)]


@pytest.mark.parametrize(("code", "number"), SMALL)
def test_as_many_as_brute_force_finds(code: str, number: int) -> None:
    """All labelled structures compared under the operations of the International Tables."""
    framework = known_framework(code)
    near = next_to(framework)
    every = list(combinations(framework.t_index.tolist(), number))
    apart = [held for held in every if not near[np.ix_(held, held)].any()]
    for rule, allowed in ((NO_RULE, every), (lowenstein(), apart)):
        expected = distinct(framework, ([("Al", atom) for atom in held] for held in allowed))
        found = list(iterate_arrangements(framework, {"Al": number}, rule))
        assert len(set(found)) == len(found) == expected
        assert count_arrangements(framework, {"Al": number}, rule) == expected


@pytest.mark.parametrize(("code", "al", "b"), [("SOD", 2, 1), ("ABW", 2, 2), ("CHA", 1, 1)])
def test_mixed_elements_as_many_as_brute_force_finds(code: str, al: int, b: int) -> None:
    framework = known_framework(code)
    near = next_to(framework)
    every = list(pairs_of_two(framework, al, b))
    apart = [labels for labels in every if not _touching(labels, near, {"Al-Al", "B-B", "Al-B"})]
    mixed = [labels for labels in every if not _touching(labels, near, {"Al-Al"})]
    counts = {"Al": al, "B": b}
    for rule, allowed in (
        (NO_RULE, every),
        (lowenstein(), apart),
        (lowenstein(allow=["B-B", "Al-B"]), mixed),
    ):
        expected = distinct(framework, allowed)
        assert count_arrangements(framework, counts, rule) == expected
        assert len(set(iterate_arrangements(framework, counts, rule))) == expected


@pytest.mark.parametrize("code", ["SOD", "ABW", "ACO", "CHA", "RHO", "LTA", "quartz"])
@pytest.mark.parametrize("counts", [{"Al": 1}, {"Al": 3}, {"Al": 2, "Ge": 1}, {}])
def test_without_a_rule_as_many_as_burnside_counts(code: str, counts: dict[str, int]) -> None:
    framework = known_framework(code)
    found = sum(1 for _ in iterate_arrangements(framework, counts, NO_RULE))
    assert found == count_without_rule(framework, counts)
    assert found == count_arrangements(framework, counts, NO_RULE)


@pytest.mark.parametrize("code", ["SOD", "ABW", "ACO", "LTA", "CHA"])
def test_orbits_under_the_rule_add_up_to_the_labelled_structures(code: str) -> None:
    """At every Si/Al down to the fullest cell; the labelled ones as independent sets of T–T."""
    framework = known_framework(code)
    near = next_to(framework)[np.ix_(framework.t_index, framework.t_index)]
    for number, labelled in enumerate(independent_sets(near)):
        if labelled < 3000:
            found = iterate_arrangements(framework, {"Al": number})
            assert sum(degeneracy(framework, one) for one in found) == labelled
    assert count_arrangements(framework, {"Al": number + 1}) == 0


def test_every_arrangement_obeys_and_no_two_al_share_an_oxygen() -> None:
    framework = known_framework("CHA")
    near = next_to(framework)
    for arrangement in iterate_arrangements(framework, {"Al": 3}):
        al = np.flatnonzero(substitute(framework, arrangement).atoms.numbers == 13)
        assert len(al) == 3 and not near[np.ix_(al, al)].any()
        assert obeys(host_sites(framework), arrangement.sites)


@pytest.mark.parametrize(
    ("code", "half", "number"),
    [("ABW", 4, 1), ("SOD", 6, 1), ("ACO", 8, 1), ("CHA", 18, 1), ("LTA", 12, 0), ("RHO", 24, 1)],
)
def test_si_al_of_one_alternates_where_the_cell_lets_it(code: str, half: int, number: int) -> None:
    """LTA alternates only in a cell doubled along each axis, Fm-3c: in the single cell a path from
    a T atom to its image has an odd number of steps."""
    framework = known_framework(code)
    assert len(list(iterate_arrangements(framework, {"Al": half}))) == number
    assert list(iterate_arrangements(framework, {"Al": half + 1})) == []


def test_primitive_cells_have_neighbours_across_the_boundary() -> None:
    """In the 4-T cell of ABW and the 6-T cell of SOD most neighbours are images. Li-ABW alternates
    (Pna2_1) only by losing the centring of Imma: not in the primitive cell."""
    abw, sod = primitive(known_framework("ABW")), primitive(known_framework("SOD"))
    assert count_arrangements(abw, {"Al": 1}) == 1
    assert count_arrangements(abw, {"Al": 2}) == 0
    assert count_arrangements(known_framework("ABW"), {"Al": 4}) == 1
    assert count_arrangements(sod, {"Al": 2}) == 1  # opposite each other
    assert count_arrangements(sod, {"Al": 2}, NO_RULE) == 2


def test_a_t_atom_next_to_its_own_image_takes_no_aluminium() -> None:
    framework = einer_chains()
    assert host_sites(framework).neighbours.diagonal().all()
    assert list(iterate_arrangements(framework, {"Al": 1})) == []
    assert count_arrangements(framework, {"Al": 1, "Ge": 1}) == 0
    assert count_arrangements(framework, {"Ge": 2}) == 1
    assert count_arrangements(framework, {"Al": 1}, lowenstein(allow=["Al-Al"])) == 1
    assert random_arrangements(framework, {"Al": 1}, 1, np.random.default_rng(0)) == []


def test_the_image_is_another_atom_once_the_cell_is_doubled() -> None:
    """Doubled along c, the T atoms of the chains along c take aluminium, those along b do not."""
    framework = supercell(einer_chains(), (1, 1, 2))
    assert host_sites(framework).neighbours.diagonal().sum() == 2
    assert count_arrangements(framework, {"Al": 1}) == 1
    assert count_without_rule(framework, {"Al": 1}) == 2
    both = supercell(einer_chains(), (1, 2, 2))
    assert not host_sites(both).neighbours.diagonal().any()
    assert count_arrangements(both, {"Al": 1}) == count_without_rule(both, {"Al": 1}) == 1


def test_heteroatoms_that_are_there_already_are_neighbours_too() -> None:
    """One Al in SOD, and one more to come: 4 neighbours less, and the symmetry that is left."""
    bare = known_framework("SOD")
    held = next(iterate_arrangements(bare, {"Al": 1}))
    with_one = substitute(bare, held)
    assert count_arrangements(with_one, {"Al": 1}) == count_arrangements(bare, {"Al": 1, "Ga": 1})
    assert count_arrangements(with_one, {"Al": 1}) < count_without_rule(with_one, {"Al": 1})


def test_silicon_in_alpo_replaces_phosphorus_only() -> None:
    """AlPO4 on ABW: all P alike; Si–O–P cannot come up, because P has Al neighbours only."""
    alpo = substitute(known_framework("ABW"), next(_alternating("ABW")))
    for rule in (lowenstein(), lowenstein(forbid=["P-Si"])):
        (one,) = iterate_arrangements(alpo, {"Si": 1}, rule, host="P")
        assert one.id == "P:Si1.0" and one.charge_e == -1
    forbidden = lowenstein(forbid=["P-Si"])
    assert count_arrangements(known_framework("ABW"), {"P": 1}, forbidden) == 0
    assert count_arrangements(known_framework("ABW"), {"Al": 4, "P": 4}, forbidden) == 1


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
@given(st.randoms(use_true_random=False), st.tuples(*[st.floats(-1, 1)] * 3))
def test_counts_do_not_depend_on_order_or_origin(
    chance: object, shift: tuple[float, float, float]
) -> None:
    bare = known_framework("ABW")
    order = list(range(len(bare.atoms)))
    chance.shuffle(order)  # type: ignore[attr-defined]
    atoms = bare.atoms[order]
    atoms.set_scaled_positions(atoms.get_scaled_positions() + np.array(shift))
    moved = Framework("ABW", atoms)
    for counts, expected in (({"Al": 2}, 4), ({"Al": 1, "B": 1}, 4), ({"Al": 2, "P": 1}, 12)):
        assert count_arrangements(moved, counts) == expected
    assert count_without_rule(moved, {"Al": 3, "Ge": 1}) == count_without_rule(
        bare, {"Al": 3, "Ge": 1}
    )


def test_drawn_arrangements_are_distinct_and_all_there_are_in_the_end() -> None:
    framework = known_framework("CHA")
    every = set(iterate_arrangements(framework, {"Al": 2}))
    drawn = random_arrangements(framework, {"Al": 2}, 10, np.random.default_rng(1))
    assert len(set(drawn)) == 10 and set(drawn) < every
    assert drawn == random_arrangements(framework, {"Al": 2}, 10, np.random.default_rng(1))
    assert set(random_arrangements(framework, {"Al": 2}, 99, np.random.default_rng(1))) == every


def test_ratios_give_atoms_a_cell() -> None:
    assert atoms_per_cell(36, {"Al": 11}) == {"Al": 3}
    assert atoms_per_cell(12, {"Al": 1}) == {"Al": 6}
    assert atoms_per_cell(36, {"Al": 15, "Ge": 7.5}) == pytest.approx({"Al": 2, "Ge": 4})


@pytest.mark.parametrize("ratios", [{"Al": 12}, {"Al": 100}, {"Al": 0}, {"Al": -1}])
def test_ratios_that_the_cell_cannot_have_are_told(ratios: dict[str, float]) -> None:
    with pytest.raises(SubstitutionError, match=r"would do|above 0"):
        atoms_per_cell(36, ratios)


@pytest.mark.parametrize(
    ("counts", "host", "said"),
    [
        ({"Xx": 1}, "Si", "allowed: "),
        ({"Si": 1}, "Si", "other elements"),
        ({"Al": -1}, "Si", "0 or more"),
        ({"Al": 13}, "Si", "12 Si sites"),
        ({"Si": 1}, "P", "it has Si"),
    ],
)
def test_what_cannot_be_placed_is_told_at_once(counts: dict, host: str, said: str) -> None:
    with pytest.raises(SubstitutionError, match=said):
        iterate_arrangements(known_framework("SOD"), counts, host=host)


def _alternating(code: str):
    """Al and P alternating on all T sites."""
    framework = known_framework(code)
    half = len(framework.t_index) // 2
    return iterate_arrangements(framework, {"Al": half, "P": half})


def _touching(labels: tuple, near: np.ndarray, pairs: set[str]) -> bool:
    """Whether two atoms of a forbidden pair of elements are neighbours."""
    return any(
        near[one, two] and "-".join(sorted((a, b))) in pairs
        for (a, one), (b, two) in combinations(labels, 2)
    )
