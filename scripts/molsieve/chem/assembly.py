"""Molecules joined from fragments as SMILES text: arms on the joints of a core, each product once.

A core's text is cut at its joints and the arms' texts are put in (see
:mod:`molsieve.chem.enumeration`), so that RDKit reads each product once. Assignments that the
core's symmetry makes equal are made once; products that are equal by chance (two ways to cut one
molecule into fragments) are left to canonical identity.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator

from molsieve.chem import enumeration
from molsieve.chem.enumeration import ScaffoldTemplate


def core(form: str) -> ScaffoldTemplate:
    """A fragment's form (:func:`fragments.forms`) cut at its joints."""
    parts = form.split("*")
    numbered = "".join(f"{part}[*:{n}]" for n, part in enumerate(parts[:-1], start=1)) + parts[-1]
    return enumeration.scaffold_template(numbered)


def arm(form: str) -> str:
    """The text of a form with one joint that takes a core's joint."""
    return enumeration.substituent_text(form)


def bridged(bridge: ScaffoldTemplate, arm_text: str) -> list[str]:
    """Texts of the arm behind a bridge: one, or two where the bridge's ends are different."""
    ends = [(0, 1)] if len(bridge.symmetries) > 1 else [(0, 1), (1, 0)]
    return [arm(enumeration.assembled(bridge, {near: "*", far: arm_text})) for near, far in ends]


def with_equal_arms(cores: Iterable[ScaffoldTemplate], arm_texts: Iterable[str]) -> Iterator[str]:
    """SMILES of every core with the same arm on all its joints; arms are asked for one by one."""
    cores = list(cores)
    for text in arm_texts:
        for template in cores:
            yield enumeration.assembled(template, dict.fromkeys(range(template.sites), text))


def with_different_arms(
    cores: Iterable[ScaffoldTemplate], arm_texts: Iterable[str]
) -> Iterator[str]:
    """SMILES of every core whose joints all have different arms, once each up to its symmetry.

    Arms are asked for one by one: each new one is joined with those before it.
    """
    cores = list(cores)
    before: list[str] = []
    for text in arm_texts:
        for template in cores:
            for others in itertools.combinations(before, template.sites - 1):
                for order in distinct_orders(template):
                    arms = [*others, text]
                    yield enumeration.assembled(template, {s: arms[i] for s, i in enumerate(order)})
        before.append(text)


def distinct_orders(template: ScaffoldTemplate) -> list[tuple[int, ...]]:
    """Orders of different arms on the joints, one of each set that symmetry makes equal."""
    return [
        order
        for order in itertools.permutations(range(template.sites))
        if all(order <= tuple(order[i] for i in swap) for swap in template.symmetries)
    ]


def count_different_arms(template: ScaffoldTemplate, arms: int) -> int:
    """How many products :func:`with_different_arms` gives of a core, by counting.

    No symmetry but the identity leaves an assignment of different arms as it is, so that of
    Burnside's sum one term is left.
    """
    return math.perm(arms, template.sites) // len(template.symmetries)
