"""Löwenstein's rule and its exceptions."""

import pytest

from molsieve.crystals.tetrahedra import LOWENSTEIN, NO_RULE, SubstitutionError, lowenstein


@pytest.mark.parametrize(
    "pair", [("Al", "Al"), ("B", "Al"), ("Al", "Ga"), ("P", "P"), ("Zn", "Al")]
)
def test_pairs_that_leave_an_oxygen_unbalanced_are_forbidden(pair: tuple[str, str]) -> None:
    assert LOWENSTEIN.forbids(*pair) and LOWENSTEIN.forbids(*pair[::-1])
    assert not NO_RULE.forbids(*pair)


@pytest.mark.parametrize(
    "pair", [("Ge", "Ge"), ("Al", "Ge"), ("Al", "P"), ("Si", "P"), ("Ti", "B")]
)
def test_germanium_and_the_bond_of_alpo_are_exempt(pair: tuple[str, str]) -> None:
    assert not LOWENSTEIN.forbids(*pair)


def test_pairs_can_be_allowed_and_forbidden() -> None:
    rule = lowenstein(allow=["B-B", "Al-B"], forbid=["Si-P"])
    assert not rule.forbids("B", "B") and not rule.forbids("Al", "B")
    assert rule.forbids("P", "Si") and rule.forbids("Al", "Al")


@pytest.mark.parametrize("text", ["Al", "Al-Al-Al", "Al-Xx", ""])
def test_what_is_no_pair_is_told(text: str) -> None:
    with pytest.raises(SubstitutionError, match=r"allowed|Al-Al"):
        lowenstein(forbid=[text])
