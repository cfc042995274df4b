"""Protons and cations on real frameworks: neutral, sound, distinct, complete."""

from itertools import combinations, product

import numpy as np
import pytest

from molsieve.crystals.arrangement import Arrangement, substitute
from molsieve.crystals.compensation import (
    Compensation,
    compensate,
    compensation_from_id,
    iterate_compensations,
)
from molsieve.crystals.framework import Framework
from molsieve.crystals.ion_geometry import CATION_CHARGE_E, cation_oxygen_angstrom, ion_positions
from molsieve.crystals.ion_sites import ion_sites
from molsieve.crystals.known import known_framework
from molsieve.crystals.substitution import iterate_arrangements
from molsieve.crystals.tetrahedra import NO_RULE, OXIDATION_STATE, SubstitutionError
from tests.crystals.brute_force import distinct, moved_atoms
from tests.crystals.einer_chains import einer_chains

CASES = [("SOD", 1), ("ABW", 1), ("ABW", 2), ("ACO", 2), ("CHA", 1), ("CHA", 2), ("LTA", 1)]


def first(code: str, **counts: int) -> tuple[Framework, Arrangement]:
    framework = known_framework(code)
    return framework, next(iterate_arrangements(framework, counts))


def charge_e(framework: Framework) -> int:
    """Formal charge of all atoms: T by their oxidation states, O -2, ions as they are."""
    known = {**OXIDATION_STATE, **CATION_CHARGE_E, "O": -2}
    return sum(known[symbol] for symbol in framework.atoms.symbols)


@pytest.mark.parametrize(("code", "number"), [("SOD", 1), ("ABW", 3), ("ACO", 2), ("CHA", 4),
                                              ("RHO", 2), ("LTA", 3)])  # fmt: skip
def test_one_al_has_as_many_acid_sites_as_it_has_distinct_oxygens(code: str, number: int) -> None:
    """The numbers of inequivalent oxygens of these frameworks, each of which is on the one T."""
    framework, arrangement = first(code, Al=1)
    assert len(list(iterate_compensations(framework, arrangement))) == number


@pytest.mark.parametrize(("code", "al"), [("SOD", 2), ("ABW", 2), ("ABW", 4), ("CHA", 2)])
def test_as_many_acid_forms_as_brute_force_finds(code: str, al: int) -> None:
    """One proton on an oxygen of each Al, all labelled structures compared; clashes aside."""
    framework = known_framework(code)
    bonds, total, expected = framework.bonds, 0, 0
    for arrangement in iterate_arrangements(framework, {"Al": al}):
        atoms = substitute(framework, arrangement).atoms
        held = np.flatnonzero(atoms.numbers == 13)
        sites = ion_sites(framework, arrangement, "H")
        assert (sites.room.all() and not sites.apart.any()) or al == 4
        if sites.apart.any():
            continue
        total += len(list(iterate_compensations(framework, arrangement)))
        own = [bonds.o[bonds.t == atom].tolist() for atom in held]
        labels = [("Al", atom) for atom in held.tolist()]
        expected += distinct(
            framework, ([*labels, *(("H", o) for o in oxygens)] for oxygens in product(*own))
        )
    assert total == expected


@pytest.mark.parametrize(("code", "al"), CASES)
@pytest.mark.parametrize("ion", ["H", "Na", "K"])
def test_every_form_is_neutral_sound_and_named(code: str, al: int, ion: str) -> None:
    framework, arrangement = first(code, Al=al)
    found = list(iterate_compensations(framework, arrangement, ion))
    assert len({one.id for one in found}) == len(found) > 0
    for one in found:
        assert one.charge_e == 0 and len(one.places) == al
        whole = compensate(framework, one)  # sound, or it raises
        assert charge_e(whole) == 0 and len(whole.atoms) == len(framework.atoms) + al
        assert compensation_from_id(framework, one.id) == one


@pytest.mark.parametrize(("code", "al"), CASES)
def test_protons_are_bonded_and_clear_of_the_rest(code: str, al: int) -> None:
    framework, arrangement = first(code, Al=al)
    for one in iterate_compensations(framework, arrangement):
        atoms = compensate(framework, one).atoms
        distances = atoms.get_all_distances(mic=True)
        for proton in np.flatnonzero(atoms.numbers == 1):
            to_o = np.sort(distances[proton][atoms.numbers == 8])
            assert to_o[0] == pytest.approx(0.97) and to_o[1] > 1.6
            oxygen = next(i for i in np.flatnonzero(distances[proton] < 1) if i != proton)
            bonded = np.flatnonzero((distances[oxygen] < 1.7) & (distances[oxygen] > 1))
            angles = [atoms.get_angle(proton, oxygen, t, mic=True) for t in bonded]
            assert len(angles) == 2 and min(angles) > 89.9  # 90 on a straight bridge
            assert "Al" in atoms.symbols[bonded]
            assert distances[proton][np.isin(atoms.numbers, (13, 14))].min() > 1.8
        protons = distances[np.ix_(atoms.numbers == 1, atoms.numbers == 1)]
        assert len(protons) == al and (protons[np.triu_indices(al, 1)] > 1.6).all()


@pytest.mark.parametrize("ion", ["Na", "K"])
def test_cations_lean_on_two_oxygens_of_an_al_and_touch_nothing(ion: str) -> None:
    framework, arrangement = first("CHA", Al=2)
    length = cation_oxygen_angstrom(ion)
    for one in iterate_compensations(framework, arrangement, ion):
        atoms = compensate(framework, one).atoms
        distances = atoms.get_all_distances(mic=True)
        al, oxygen = atoms.numbers == 13, atoms.numbers == 8
        ions = np.flatnonzero(atoms.symbols == ion)
        for cation in ions:
            to_o = distances[cation][oxygen]
            assert to_o.min() > 0.9 * length - 1e-9
            assert (np.abs(to_o - length) < 1e-6).sum() >= 2
            assert distances[cation][al].min() < length + 1.0
        assert distances[ions[0], ions[1]] > 3.0


def test_sodium_in_sodalite_sits_in_the_six_rings() -> None:
    """Six edges of the one Al: four in 6-rings, all alike, two in 4-rings without room."""
    framework, arrangement = first("SOD", Al=1)
    sites = ion_sites(framework, arrangement, "Na")
    assert (len(sites.room), int(sites.room.sum())) == (6, 4)
    assert len(list(iterate_compensations(framework, arrangement, "Na"))) == 1


def test_places_are_mapped_onto_places() -> None:
    """The permutations of places do what the operations do to oxygens."""
    framework, arrangement = first("SOD", Al=2)
    filled = substitute(framework, arrangement).atoms
    kept = [row for row in moved_atoms(framework) if (filled.numbers[row] == filled.numbers).all()]
    sites = ion_sites(framework, arrangement, "H")
    assert len({tuple(row) for row in sites.permutations.tolist()}) <= len(kept)
    orbits = {min(column) for column in sites.permutations.T.tolist()}
    assert len(orbits) == distinct_oxygens(filled, framework, kept)


def distinct_oxygens(atoms: object, framework: Framework, kept: list[np.ndarray]) -> int:
    """Orbits of the oxygens of Al under operations."""
    bonds = framework.bonds
    own = bonds.o[np.isin(bonds.t, np.flatnonzero(atoms.numbers == 13))]  # type: ignore[attr-defined]
    return len({min(row[oxygen] for row in kept) for oxygen in own.tolist()})


def test_alike_places_have_room_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounded coordinates may leave one of four alike places a hair too narrow: then none is."""
    whole = ion_positions

    def narrow(*given: object) -> tuple[np.ndarray, np.ndarray]:
        position, room = whole(*given)  # type: ignore[arg-type]
        return position, room & (np.arange(len(room)) != 2)

    monkeypatch.setattr("molsieve.crystals.ion_sites.ion_positions", narrow)
    framework, arrangement = first("SOD", Ga=1)  # not in the cache
    assert not ion_sites(framework, arrangement, "H").room.any()


def test_phosphorus_balances_aluminium() -> None:
    framework, arrangement = first("CHA", Al=1, P=1)
    (none,) = iterate_compensations(framework, arrangement)
    assert none.id == arrangement.id and none.places == ()
    assert compensate(framework, none).atoms.symbols.count("H") == 0
    assert compensation_from_id(framework, none.id) == none


def test_one_proton_for_two_al_and_a_p_and_none_on_al_o_p() -> None:
    """Al2P: wherever P sits next to an Al, the oxygen between them is left bare."""
    framework = known_framework("CHA")
    bonds = framework.bonds
    for arrangement in list(iterate_arrangements(framework, {"Al": 2, "P": 1}))[:12]:
        numbers = substitute(framework, arrangement).atoms.numbers
        near_p = set(bonds.o[numbers[bonds.t] == 15].tolist())
        bare = [o for o in bonds.o[numbers[bonds.t] == 13].tolist() if o not in near_p]
        assert len(ion_sites(framework, arrangement, "H").room) == len(bare)
        for one in iterate_compensations(framework, arrangement):
            assert charge_e(compensate(framework, one)) == 0 and len(one.places) == 1


def test_silicon_for_phosphorus_in_alpo_takes_a_proton_on_si_o_al() -> None:
    bare = known_framework("ABW")
    alpo = substitute(bare, next(iterate_arrangements(bare, {"Al": 4, "P": 4})))
    assert charge_e(alpo) == 0
    (arrangement,) = iterate_arrangements(alpo, {"Si": 1}, host="P")
    found = list(iterate_compensations(alpo, arrangement))
    assert len(found) == 3  # Pnma as long as nothing is relaxed: two of the four are mirror images
    for one in found:
        whole = compensate(alpo, one)
        assert charge_e(whole) == 0
        distances = whole.atoms.get_all_distances(mic=True)[-1]
        assert distances[whole.atoms.symbols == "Si"].min() < 2.2
        assert compensation_from_id(alpo, one.id) == one


def test_two_charges_of_one_atom_take_two_protons() -> None:
    framework, arrangement = first("CHA", Zn=1)
    found = list(iterate_compensations(framework, arrangement))
    assert {len(one.places) for one in found} == {2} and len(found) == 6  # pairs of 4 oxygens


def test_each_of_two_zinc_atoms_has_its_own_two_protons() -> None:
    framework, arrangement = first("CHA", Zn=2)
    sites = ion_sites(framework, arrangement, "H")
    found = list(iterate_compensations(framework, arrangement))
    assert found
    for one in found:  # two columns for each missing charge of a zinc atom
        assert sites.defects[list(one.places)].sum(axis=0).tolist() == [2, 2, 2, 2]


def test_protons_between_two_al_are_counted_once_each() -> None:
    """Without the rule an oxygen may join two Al: 7 oxygens, one proton for each Al."""
    framework = known_framework("CHA")
    near = next(
        one
        for one in iterate_arrangements(framework, {"Al": 2}, NO_RULE)
        if len(ion_sites(framework, one, "H").room) == 7
    )
    sites = ion_sites(framework, near, "H")
    shared = np.flatnonzero(sites.defects.all(axis=1))
    assert len(shared) == 1
    labelled = [
        pair
        for pair in combinations(range(7), 2)
        if shared[0] in pair or (sites.defects[list(pair)].any(axis=0)).all()
    ]
    assert len(labelled) == 15  # 3 x 3, and the shared one with each of 6
    free = [p for p in labelled if not sites.apart[p[0], p[1]]]
    orbits = {
        min(tuple(sorted(row[list(pair)].tolist())) for row in sites.permutations) for pair in free
    }
    assert len(list(iterate_compensations(framework, near))) == len(orbits)


@pytest.mark.parametrize(("guest", "protons"), [(0, 2), (1, 1), (2, 0)])
def test_charged_guests_leave_less_to_balance(guest: int, protons: int) -> None:
    framework, arrangement = first("CHA", Al=2)
    for one in iterate_compensations(framework, arrangement, guest_charge_e=guest):
        assert len(one.places) == protons and one.charge_e + guest == 0


@pytest.mark.parametrize(
    ("counts", "ion", "guest", "said"),
    [
        ({"P": 1}, "H", 0, r"leaves \+1 e"),
        ({"Al": 1}, "H", 2, r"guests of \+2 e leaves \+1 e"),
        ({"Al": 1}, "Ca", 0, "Ca .* cannot balance"),
        ({"Al": 1}, "Fe", 0, "allowed: Ag"),
    ],
)
def test_charges_that_cannot_be_balanced_are_told(
    counts: dict[str, int], ion: str, guest: int, said: str
) -> None:
    framework, arrangement = first("CHA", **counts)
    with pytest.raises(SubstitutionError, match=said):
        next(iterate_compensations(framework, arrangement, ion, guest))


def test_no_room_for_a_cation_in_quartz_is_told() -> None:
    framework, arrangement = first("quartz", Al=1)
    with pytest.raises(SubstitutionError, match="no room for 1 Cs"):
        next(iterate_compensations(framework, arrangement, "Cs"))


@pytest.mark.parametrize("tail", ["+H1", "+H9.0", "+H1.9", "+Xx1.0", "+H2.0", "+", "+H1.00"])
def test_identifiers_that_name_no_ions_are_told(tail: str) -> None:
    framework, arrangement = first("CHA", Al=1)
    with pytest.raises(SubstitutionError):
        compensation_from_id(framework, arrangement.id + tail)


def test_an_identifier_that_is_a_duplicate_is_told() -> None:
    """The four oxygens of Al in SOD are alike: only the first has an identifier."""
    framework, arrangement = first("SOD", Al=1)
    assert compensation_from_id(framework, "Al1.0+H1.0").places == (0,)
    with pytest.raises(SubstitutionError, match="names no ions"):
        compensation_from_id(framework, "Al1.0+H1.1")
    assert Compensation(arrangement, "H", (1,), 4).id == "Al1.0+H1.1"


def test_the_oxygen_of_a_self_image_is_one_place() -> None:
    """Al on its own neighbour, allowed on purpose: three oxygens, two of them alike."""
    framework = einer_chains()
    (arrangement,) = iterate_arrangements(framework, {"Al": 1}, NO_RULE)
    assert len(ion_sites(framework, arrangement, "H").room) == 3
    found = list(iterate_compensations(framework, arrangement))
    assert [charge_e(compensate(framework, one)) for one in found] == [0, 0]
    permutations = ion_sites(framework, arrangement, "Li").permutations
    assert (np.sort(permutations, axis=1) == np.arange(permutations.shape[1])).all()
