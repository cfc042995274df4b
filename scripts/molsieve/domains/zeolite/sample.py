"""Typical species of a candidate space, drawn without enumerating it: what a plan is priced on."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from ase.data import atomic_numbers
from rdkit import Chem

from molsieve.crystals.framework import FrameworkError
from molsieve.domains.zeolite import config
from molsieve.domains.zeolite.candidates import check_candidates
from molsieve.domains.zeolite.frameworks import framework_sources, load_framework
from molsieve.domains.zeolite.guests import screened_guests
from molsieve.domains.zeolite.references import reference_tasks

SPECIES_PER_CANDIDATE = config.SPECIES
FRAMEWORKS, GUESTS = 40, 400
"""At most so many are read."""


@dataclass(frozen=True)
class SpeciesSample:
    """Atomic numbers of drawn species, which are periodic, and the share that the filters keep."""

    numbers: list[list[int]]
    kept_share: float | None
    periodic: list[bool]


def sample_species(candidates: config.Candidates, n: int, seed: int) -> SpeciesSample:
    """Complex, framework and guest of about ``n`` candidates drawn evenly.

    In the framework's own cell: docking may repeat it.

    Raises:
        CampaignError: the source cannot be read.
    """
    check_candidates(candidates)
    rng = random.Random(seed)
    frameworks = list(_frameworks(candidates, rng))
    guests = list(_guests(candidates, rng))
    kept_frameworks = [numbers for numbers in frameworks if numbers]
    kept_guests = [numbers for numbers in guests if numbers]
    share = len(kept_frameworks) * len(kept_guests) / max(1, len(frameworks) * len(guests))
    numbers, periodic = [], []
    if share:
        for _ in range(n):
            framework, guest = rng.choice(kept_frameworks), rng.choice(kept_guests)
            loading = rng.choice(candidates.source.loadings)
            numbers += [framework + loading * guest, framework, guest]
            periodic += [True, True, False]
    return SpeciesSample(numbers, share, periodic)


def measured_species(objective: config.Objective) -> list[list[int]]:
    """Atomic numbers of the measured frameworks and quartz, free atoms not.

    Raises:
        CampaignError: a framework without a measured enthalpy, or without a file.
    """
    tasks = reference_tasks(objective, 0.05, 0).values()
    return [
        load_framework(t.code, t.path, t.min_cell_angstrom).atoms.numbers.tolist() for t in tasks
    ]


def _frameworks(candidates: config.Candidates, rng: random.Random) -> Iterator[list[int]]:
    """Atomic numbers of drawn frameworks' cells with their heteroatoms; empty where refused."""
    source, filters = candidates.source, candidates.filters
    origins = framework_sources(source.folder, source.frameworks)
    for code, path in rng.sample(origins, min(FRAMEWORKS, len(origins))):
        try:
            found = load_framework(code, path, source.min_cell_angstrom)
        except (FrameworkError, ValueError):
            yield []
            continue
        symbols = found.atoms.get_chemical_symbols()
        sound = set(symbols) <= set(filters.elements)
        fits = sound and len(found.t_index) <= filters.max_t_sites
        yield [atomic_numbers[s] for s in symbols] if fits else []


def _guests(candidates: config.Candidates, rng: random.Random) -> Iterator[list[int]]:
    """Atomic numbers of drawn guests, hydrogens included; empty where refused."""
    guests = list(screened_guests(candidates.source, candidates.filters))
    for guest in rng.sample(guests, min(GUESTS, len(guests))):
        if guest.reason is not None:
            yield []
            continue
        atoms = Chem.AddHs(guest.row["molecule"]).GetAtoms()
        yield [atom.GetAtomicNum() for atom in atoms]
