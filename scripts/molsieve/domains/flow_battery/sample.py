"""Typical species of a candidate space, drawn without enumerating it: what a plan is priced on."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass

from rdkit import Chem

from molsieve.chem import enumeration
from molsieve.domains.flow_battery import config
from molsieve.domains.flow_battery.candidates import check_candidates, iterate_candidates
from molsieve.domains.flow_battery.structures import select_couples

SPECIES_PER_CANDIDATE = 2
"""Oxidised and reduced."""

FILE_RECORDS = 300
"""Of a file only the first records are looked at."""


@dataclass(frozen=True)
class SpeciesSample:
    """Atomic numbers (hydrogens included) of drawn species, and the share that the filters keep.

    ``kept_share`` counts the filters that composition alone decides (heavy atoms, elements); it is
    None where the sample cannot tell (a file).
    """

    numbers: list[list[int]]
    kept_share: float | None


def sample_species(candidates: config.Candidates, n: int, seed: int) -> SpeciesSample:
    """Oxidised and reduced species of about ``n`` candidates drawn from the space, evenly.

    Raises:
        CampaignError: the source cannot be read.
    """
    if isinstance(candidates.source, config.FromFile):
        rows = itertools.islice(iterate_candidates(candidates), min(n, FILE_RECORDS))
        drawn = [_numbers(r["identifier"]) for r in rows if r["status"] == "accepted"]
        return SpeciesSample(_both_states(drawn), None)
    check_candidates(candidates)
    drawn = _draw(candidates.source, n, random.Random(seed))
    kept = [numbers for numbers in drawn if _fits(numbers, candidates.filters)]
    return SpeciesSample(_both_states(kept or drawn), len(kept) / len(drawn))


def measured_species(objective: config.Objective) -> list[list[int]]:
    """Atomic numbers of the measured couples' species, H2 included, free atoms not.

    Raises:
        CampaignError: a couple that is not shipped.
    """
    couples = select_couples(objective.reference_couples)
    return [*_both_states([_numbers(smiles) for smiles in couples["smiles"]]), [1, 1]]


def _both_states(oxidised: list[list[int]]) -> list[list[int]]:
    """Each oxidised species and its reduced form, two hydrogens richer."""
    return [species for numbers in oxidised for species in (numbers, [*numbers, 1, 1])]


def _draw(source: config.Enumerated, n: int, rng: random.Random) -> list[list[int]]:
    """Atomic numbers of ``n`` products, scaffolds and numbers of substituents by their counts."""
    substituents = [_numbers(smiles) for smiles in source.substituents]
    kinds: list[tuple[list[int], int]] = []
    weights: list[int] = []
    for scaffold in source.scaffolds:
        template = enumeration.scaffold_template(scaffold.smiles)
        bare = _numbers(next(enumeration.products(template, [], 0)))
        before = 0
        for k in range(min(source.max_substitutions, template.sites) + 1):
            count = enumeration.count_products(template, len(substituents), k)
            kinds.append((bare, k))
            weights.append(count - before)
            before = count
    drawn = []
    for bare, k in rng.choices(kinds, weights, k=n):
        numbers = list(bare)
        for substituent in rng.choices(substituents, k=k):
            numbers.remove(1)
            numbers += substituent
        drawn.append(numbers)
    return drawn


def _numbers(smiles: str) -> list[int]:
    """Atomic numbers with all hydrogens, attachment points left out."""
    atoms = Chem.AddHs(Chem.MolFromSmiles(smiles)).GetAtoms()
    return [atom.GetAtomicNum() for atom in atoms if atom.GetAtomicNum()]


def _fits(numbers: list[int], filters: config.Filters) -> bool:
    heavy = sum(z > 1 for z in numbers)
    symbols = {Chem.GetPeriodicTable().GetElementSymbol(z) for z in numbers}
    return filters.min_heavy_atoms <= heavy <= filters.max_heavy_atoms and symbols <= set(
        filters.elements
    )
