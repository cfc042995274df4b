"""Patterns of donors, bridges and acceptors as streams of SMILES, and how many they give.

========================  ======================================================================
``D-A``, ``D-B-A``        an acceptor with one joint; a donor, directly or behind a bridge
``D-A-D``, ``D-B-A-B-D``  an acceptor with two joints, the same donor (and bridge) on both
``D-A-D'`` …              two different donors (or donors behind different bridges)
``A-D-A`` …               the same with donor and acceptor exchanged
``(D)n-A``, ``(D-B)n-A``  an acceptor with three joints or more, the same donor on all
========================  ======================================================================

Nothing is held but the forms of the fragments (fragments with their substituents) and of the arms
(donor, or donor behind bridge): products are made one at a time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

from molsieve.chem import assembly, enumeration, fragments
from molsieve.chem.enumeration import ScaffoldTemplate
from molsieve.domains.oled import config
from molsieve.loading import wrong_choice
from molsieve.section import CampaignError

SOURCE = "candidates.source"


class Parts:
    """The fragments of a source, read and checked.

    Raises:
        CampaignError: a list, a name or a substituent that cannot be used, or a pattern for which
            there is no fragment.
    """

    def __init__(self, source: config.Fragments):
        self._source = source
        self._substituents = _substituents(source)
        self._fragments = _chosen(source)
        for index, pattern in enumerate(source.patterns):
            self._check_pattern(index, pattern)

    def products(self) -> Iterator[tuple[str, str]]:
        """(SMILES, pattern) of every product, pattern by pattern."""
        for pattern in self._source.patterns:
            arms = self._arms(pattern)
            cores = self._cores(pattern)
            joined = assembly.with_different_arms if "'" in pattern else assembly.with_equal_arms
            yield from ((text, pattern) for text in joined(cores, arms))

    def count(self) -> int:
        """How many :meth:`products` gives."""
        return sum(self.count_of(pattern) for pattern in self._source.patterns)

    def count_of(self, pattern: config.Pattern) -> int:
        """How many products a pattern gives, counted and not made."""
        cores = self._cores(pattern)
        arms = sum(1 for _ in self.forms(self.fragments_of(pattern)["arm"]))
        if "B" in pattern:
            arms *= sum(map(_ends, self._bridges))
        return sum(_count(pattern, core, arms) for core in cores)

    def drawer(self, pattern: config.Pattern) -> Callable[[random.Random], str]:
        """A function that draws one product of a pattern, each as likely as any other."""
        cores = self._cores(pattern)
        bare = [assembly.arm(form) for form in self.forms(self.fragments_of(pattern)["arm"])]
        bridges = self._bridges if "B" in pattern else []
        ends = [_ends(bridge) for bridge in bridges]
        weights = [_count(pattern, core, len(bare) * (sum(ends) or 1)) for core in cores]

        def arm(rng: random.Random) -> str:
            text = rng.choice(bare)
            if bridges:
                text = rng.choice(assembly.bridged(rng.choices(bridges, ends)[0], text))
            return text

        def draw(rng: random.Random) -> str:
            (core,) = rng.choices(cores, weights)
            arms = [arm(rng)] * core.sites
            while "'" in pattern and len(set(arms)) < core.sites:
                arms = [arm(rng) for _ in arms]
            return enumeration.assembled(core, dict(enumerate(arms)))

        return draw

    def fragments_of(self, pattern: config.Pattern) -> dict[str, list[fragments.Fragment]]:
        """The fragments that a pattern uses: centre, arm and, where it has one, bridge."""
        centre, arm = _centre_and_arm(pattern)
        found = {
            "centre": [f for f in self._fragments if f.kind == centre and _fits(pattern, f.joints)],
            "arm": [f for f in self._fragments if f.kind == arm and f.joints == 1],
        }
        if "B" in pattern:
            found["bridge"] = [f for f in self._fragments if f.kind == "bridge"]
        return found

    def forms(self, chosen: Iterable[fragments.Fragment]) -> Iterator[str]:
        """Each distinct form of the fragments, substituted up to the source's limit.

        Raises:
            CampaignError: a substituent cannot stand on a free site.
        """
        seen = set()
        most = self._source.max_substitutions
        try:
            for fragment in chosen:
                for form in fragments.forms(fragment, self._substituents, most):
                    if form not in seen:
                        seen.add(form)
                        yield form
        except fragments.FragmentError as error:
            raise CampaignError(
                f"{SOURCE}.substituents: {error}; allowed: groups for which every free site "
                "([*:1] …) of the fragments has a bond left"
            ) from error

    @cached_property
    def _bridges(self) -> list[ScaffoldTemplate]:
        bridges = [f for f in self._fragments if f.kind == "bridge"]
        return [assembly.core(form) for form in self.forms(bridges)]

    def _cores(self, pattern: config.Pattern) -> list[ScaffoldTemplate]:
        return [assembly.core(form) for form in self.forms(self.fragments_of(pattern)["centre"])]

    def _arms(self, pattern: config.Pattern) -> Iterator[str]:
        bare = (assembly.arm(form) for form in self.forms(self.fragments_of(pattern)["arm"]))
        if "B" not in pattern:
            yield from bare
            return
        seen = set()
        for arm in bare:
            for bridge in self._bridges:
                for text in assembly.bridged(bridge, arm):
                    if text not in seen:
                        seen.add(text)
                        yield text

    def _check_pattern(self, index: int, pattern: config.Pattern) -> None:
        for part, found in self.fragments_of(pattern).items():
            if not found:
                centre, arm = _centre_and_arm(pattern)
                kind = {"centre": centre, "arm": arm, "bridge": "bridge"}[part]
                joints = {"centre": _joints_text(pattern), "arm": "one '*'", "bridge": "two '*'"}
                raise CampaignError(
                    f"{SOURCE}.patterns[{index}]: {pattern!r} needs a {kind} with {joints[part]}, "
                    "and there is none among those chosen; allowed: patterns that the lists have "
                    "fragments for"
                )


def _ends(bridge: ScaffoldTemplate) -> int:
    """Ways round of a bridge: one where its ends are the same."""
    return 1 if len(bridge.symmetries) > 1 else 2


def _count(pattern: config.Pattern, core: ScaffoldTemplate, arms: int) -> int:
    """Products of one core with so many arms to choose from."""
    return assembly.count_different_arms(core, arms) if "'" in pattern else arms


def _centre_and_arm(pattern: config.Pattern) -> tuple[str, str]:
    return ("donor", "acceptor") if pattern.startswith("A") else ("acceptor", "donor")


def _fits(pattern: config.Pattern, joints: int) -> bool:
    """Whether a centre with so many joints can take the pattern."""
    if "n" in pattern:
        return joints >= 3
    return joints == (1 if pattern in ("D-A", "D-B-A") else 2)


def _joints_text(pattern: config.Pattern) -> str:
    if "n" in pattern:
        return "three '*' or more"
    return "one '*'" if pattern in ("D-A", "D-B-A") else "two '*'"


def _substituents(source: config.Fragments) -> list[str]:
    texts = []
    for index, smiles in enumerate(source.substituents):
        try:
            texts.append(enumeration.substituent_text(smiles))
        except ValueError as error:
            raise CampaignError(
                f"{SOURCE}.substituents[{index}]: {smiles!r}: {error}. "
                "Allowed: SMILES with one '*', e.g. '*OC'"
            ) from error
    return texts


def _chosen(source: config.Fragments) -> list[fragments.Fragment]:
    """Fragments of all lists, those that the source names."""
    found: list[fragments.Fragment] = []
    for index, entry in enumerate(source.lists):
        try:
            found += fragments.read_fragments(config.list_path(entry))
        except fragments.FragmentError as error:
            shipped = ", ".join(config.shipped_lists())
            raise CampaignError(
                f"{SOURCE}.lists[{index}]: {error}. Allowed: {shipped}, or a CSV file of yours "
                "with columns kind, name, smiles"
            ) from error
    chosen = []
    for kind in fragments.KINDS:
        of_kind = [fragment for fragment in found if fragment.kind == kind]
        names = getattr(source, f"{kind}s")
        known = {fragment.name for fragment in of_kind}
        for index, name in enumerate(names or []):
            if name not in known:
                raise CampaignError(
                    f"{SOURCE}.{kind}s[{index}]: {wrong_choice(name, sorted(known))}"
                )
        chosen += [f for f in of_kind if names is None or f.name in names]
    return chosen
