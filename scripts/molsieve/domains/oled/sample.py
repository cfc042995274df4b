"""Typical molecules of a space, drawn without enumerating it: what a plan is priced on."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass

from rdkit import Chem

from molsieve.chem.molecules import parse_molecule
from molsieve.domains.oled import config
from molsieve.domains.oled.candidates import iterate_candidates
from molsieve.domains.oled.filters import Screen
from molsieve.domains.oled.patterns import Parts
from molsieve.domains.oled.references import select_references

SPECIES_PER_CANDIDATE = config.SPECIES

FILE_RECORDS = 300
"""Of a file only the first records are looked at."""


@dataclass(frozen=True)
class SpeciesSample:
    """Atomic numbers (hydrogens included) of drawn species, and the share that the filters keep;
    None where the sample cannot tell (a file)."""

    numbers: list[list[int]]
    kept_share: float | None


def sample_species(candidates: config.Candidates, n: int, seed: int) -> SpeciesSample:
    """Molecules of about ``n`` candidates drawn from the space, evenly, that pass its filters.

    Raises:
        CampaignError: the source cannot be read.
    """
    if isinstance(candidates.source, config.FromFile):
        records = itertools.islice(iterate_candidates(candidates), min(n, FILE_RECORDS))
        accepted = [r["identifier"] for r in records if r["status"] == "accepted"]
        return SpeciesSample([numbers_of(text) for text in accepted], None)
    screen = Screen(candidates.filters)
    draw, rng = drawer(candidates.source), random.Random(seed)
    drawn = [draw(rng) for _ in range(n)]
    rows = [screen.row(text, "") for text in drawn]
    read = [row["identifier"] for row in rows if "heavy_atoms" in row]
    kept = [row["identifier"] for row in rows if row["status"] == "accepted"]
    return SpeciesSample([numbers_of(text) for text in kept or read], len(kept) / len(drawn))


def measured_species(objective: config.Objective) -> list[list[int]]:
    """Atomic numbers of the reference molecules.

    Raises:
        CampaignError: a molecule that is not shipped.
    """
    chosen = select_references(objective.reference_molecules)
    return [numbers_of(smiles) for smiles in chosen["smiles"]]


def numbers_of(smiles: str) -> list[int]:
    """Atomic numbers of a molecule, hydrogens included."""
    atoms = Chem.AddHs(parse_molecule(smiles)).GetAtoms()
    return [atom.GetAtomicNum() for atom in atoms]


def drawer(source: config.Fragments) -> Callable[[random.Random], str]:
    """A function that draws a product of the source's patterns, each as likely as any other."""
    parts = Parts(source)
    patterns = [(parts.drawer(pattern), parts.count_of(pattern)) for pattern in source.patterns]
    draws, weights = zip(*patterns, strict=True)

    def draw(rng: random.Random) -> str:
        return str(rng.choices(draws, weights)[0](rng))

    return draw
