"""Charges of tetrahedral atoms, and which of them may share an oxygen: Löwenstein's rule.

W. Loewenstein, Am. Mineral. 39, 92 (1954): of two tetrahedra that share an oxygen one at most is
AlO4; the other centre is silicon "or another small ion of electrovalence four or more, e.g.,
phosphorus". Its reason is Pauling's second rule (J. Am. Chem. Soc. 51, 1010 (1929)): the bond
strengths at an oxygen, charge of the T ion / 4 each, should sum to 2. Two trivalent atoms give
3/2, two pentavalent ones 5/2. So by default no oxygen joins two T atoms that are both below
valence 4 (Al, B, Ga, Fe, Zn …) or both above it (P, As, V); Si, Ge, Ti, Sn, Zr, Hf are free, and
Al–O–P, the bond of AlPO4, is sound.

The rule is no law. Al–O–Al was computed to be stabler in dry acid zeolites (Fletcher et al., Chem.
Sci. 8, 7483 (2017)), not so with water (Heard, Grajciar & Nachtigall, Chem. Sci. 10, 5705 (2019));
B–O–B and P–O–P are ordinary bonds of borates and phosphates, and follow the rule here by the
electrostatic argument only: allow them where they are wanted. In silicoaluminophosphates silicon
replaces phosphorus and Si–O–P is left out (Sastre, Lewis & Catlow, J. Phys. Chem. B 101, 5249
(1997)): forbid ``P-Si`` there, which in silica would forbid phosphorus altogether.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations_with_replacement

OXIDATION_STATE = {
    **dict.fromkeys(("Si", "Ge", "Ti", "Sn", "Zr", "Hf"), 4),
    **dict.fromkeys(("Al", "B", "Ga", "Fe", "In", "Cr"), 3),
    **dict.fromkeys(("P", "As", "V"), 5),
    **dict.fromkeys(("Zn", "Be", "Co", "Mn", "Ni", "Cu"), 2),
}
"""ASSUME: the state of a tetrahedral atom in a calcined framework (Fe(III), Co(II), V(V))."""


class SubstitutionError(ValueError):
    """A substitution that cannot be made; the message says what, and what is allowed."""


@dataclass(frozen=True)
class PairRule:
    """Pairs of elements that may not share an oxygen, each ``(one, other)`` sorted."""

    forbidden: frozenset[tuple[str, str]]

    def forbids(self, one: str, other: str) -> bool:
        """Whether the pair is forbidden."""
        return (min(one, other), max(one, other)) in self.forbidden


def oxidation_state(element: str) -> int:
    """The oxidation state of an element on a T site.

    Raises:
        SubstitutionError: none is known.
    """
    if element not in OXIDATION_STATE:
        raise SubstitutionError(
            f"{element!r} is not known on a T site; allowed: {', '.join(sorted(OXIDATION_STATE))}"
        )
    return OXIDATION_STATE[element]


def pair_of(text: str) -> tuple[str, str]:
    """``"Al-B"`` → ``("Al", "B")``, sorted.

    Raises:
        SubstitutionError: not two T elements joined by a hyphen.
    """
    elements = sorted(text.split("-"))
    if len(elements) != 2:
        raise SubstitutionError(f"{text!r} is no pair of elements; write it as Al-Al or Al-B")
    for element in elements:
        oxidation_state(element)
    return elements[0], elements[1]


def lowenstein(allow: Iterable[str] = (), forbid: Iterable[str] = ()) -> PairRule:
    """Löwenstein's rule as the module says, less the pairs allowed, plus those forbidden.

    Args:
        allow: pairs such as ``"B-B"``; forbid: pairs such as ``"P-Si"``; forbidding wins.
    """
    pairs = combinations_with_replacement(sorted(OXIDATION_STATE), 2)
    default = {
        (one, other)
        for one, other in pairs
        if (OXIDATION_STATE[one] - 4) * (OXIDATION_STATE[other] - 4) > 0
    }
    allowed = {pair_of(text) for text in allow}
    return PairRule(frozenset((default - allowed) | {pair_of(text) for text in forbid}))


LOWENSTEIN = lowenstein()
NO_RULE = PairRule(frozenset())
