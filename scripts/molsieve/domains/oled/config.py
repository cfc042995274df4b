"""The OLED part of a campaign file. Imports pydantic and the standard library only."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from molsieve import campaign
from molsieve.domains.label_budget import check_labels_buy_candidates
from molsieve.domains.oled.goals import Objective, Ranking
from molsieve.domains.oled.sources import (
    Fragments,
    FromFile,
    Pattern,
    list_path,
    raw_candidates,
    shipped_lists,
)
from molsieve.prices import CONFORMER_S, RELAXATION_STEPS
from molsieve.property_settings import Properties
from molsieve.section import NonNegativeInt, PositiveFloat, PositiveInt, Section

__all__ = ["Fragments", "FromFile", "Pattern", "list_path", "raw_candidates", "shipped_lists"]

SPECIES, PERIODIC = 1, False
"""Of a candidate: the molecule in its ground state's geometry."""
TYPICAL_ATOMS, TYPICAL_ELECTRONS = 60, 180
"""ASSUME: of a species, where none has been looked at; the electrons are valence electrons."""
BUILDING = f"{CONFORMER_S:g} s a conformer or twist, {RELAXATION_STEPS} xTB steps a relaxation"
"""What a species costs, for a person."""
HELD_CANDIDATES = 200_000
"""ASSUME: rows that the enumeration holds at once, at most: it spools them to disk."""
MEASURED_SPECIES = 10
"""ASSUME: reference molecules and free atoms."""


class Alert(Section):
    """A group no candidate may contain."""

    name: str = Field(description="the reason given for a refusal")
    smarts: str = Field(description="a candidate with a match is refused")


class Filters(Section):
    """What is refused, each refusal counted by its reason."""

    min_heavy_atoms: NonNegativeInt = Field(0, description="atoms other than hydrogen, at least")
    max_heavy_atoms: PositiveInt = Field(70, description="atoms other than hydrogen, at most")
    min_atoms: NonNegativeInt = Field(0, description="atoms, hydrogens counted, at least")
    max_atoms: PositiveInt = Field(150, description="atoms, hydrogens counted, at most")
    max_mass_dalton: PositiveFloat = Field(
        1100.0, description="a heavier molecule does not sublime without harm"
    )
    elements: list[str] = Field(
        ["H", "B", "C", "N", "O", "F", "S"],
        min_length=1,
        description="a candidate with any other element is refused",
    )
    alerts: list[Alert] | None = Field(
        None,
        description="groups no candidate may contain; null: the shipped list (alerts.csv: weak "
        "bonds, groups that quench or react); []: none",
    )
    max_sa_score: Annotated[float, Field(ge=1, le=10)] = Field(
        10.0, description="synthetic accessibility, 1 easy to 10 hard (Ertl, Schuffenhauer 2009)"
    )

    @model_validator(mode="after")
    def _ranges(self) -> Filters:
        for low, high in (("min_heavy_atoms", "max_heavy_atoms"), ("min_atoms", "max_atoms")):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(
                    f"{low}: {getattr(self, low)} exceeds {high} ({getattr(self, high)}): no "
                    "molecule can pass; lower it"
                )
        return self


class Candidates(Section):
    """The space that is searched."""

    source: Annotated[Fragments | FromFile, Field(discriminator="kind")] = Field(
        description="where candidates come from"
    )
    filters: Filters = Field(Filters(), description="what is refused")
    shards: PositiveInt = Field(2, description="tables (and structure jobs) the space is cut into")


class Structures(Section):
    """ETKDG conformers and twists about bonds between fragments, MMFF94, then GFN2-xTB."""

    conformers: PositiveInt = Field(4, description="ETKDG conformers a molecule, MMFF94-optimised")
    twists: NonNegativeInt = Field(
        8,
        description="twisted copies of the lowest conformer, at most: the wells (±45°, and ±135° "
        "where half a turn is no symmetry) of every single bond between conjugated parts, all "
        "combined; of more combinations some are drawn; 0: none",
    )
    relaxed_conformers: PositiveInt = Field(
        2, description="lowest distinct minima relaxed with GFN2-xTB; the lowest is kept"
    )
    fmax_ev_per_angstrom: PositiveFloat = Field(
        0.02, description="convergence of the GFN2-xTB relaxation, largest force component"
    )
    max_steps: PositiveInt = Field(300, description="of a GFN2-xTB relaxation")

    @model_validator(mode="after")
    def _relaxed_are_conformers(self) -> Structures:
        made = self.conformers + self.twists
        if self.relaxed_conformers > made:
            raise ValueError(
                f"relaxed_conformers: {self.relaxed_conformers} exceeds conformers and twists "
                f"together ({made}); lower it"
            )
        return self


def built_a_candidate(structures: Structures) -> int:
    """Rows of ``structures`` that a candidate has."""
    return SPECIES


relaxed_a_candidate = built_a_candidate
"""Structures that the committee relaxes of each candidate."""


def building_s(structures: Structures, gradient_s: float) -> float:
    """Core-seconds to build one species: conformers and twists, GFN2-xTB on the lowest minima.

    Args:
        gradient_s: core-seconds of one GFN2-xTB gradient.
    """
    steps = min(RELAXATION_STEPS, structures.max_steps)
    made = structures.conformers + structures.twists
    return float(made * CONFORMER_S + structures.relaxed_conformers * steps * gradient_s)


def candidate_files(candidates: Candidates) -> list[str]:
    """The user's files that candidates are read from."""
    source = candidates.source
    if isinstance(source, FromFile):
        return [source.path]
    return [entry for entry in source.lists if entry not in shipped_lists()]


def elements(candidates: Candidates) -> list[str]:
    """Elements that candidates may hold."""
    return candidates.filters.elements


class Campaign(campaign.Campaign):
    """An OLED campaign."""

    domain: Literal["oled"] = Field(description=campaign.DOMAIN)
    candidates: Candidates = Field(description="the space that is searched")
    structures: Structures = Field(Structures(), description="conformers of every molecule")
    properties: Properties = Field(
        Properties(), description="the property heads of the committee and their training"
    )
    objective: Objective = Field(description="what is wanted of an emitter, goal by goal")
    ranking: Ranking = Field(description="the answer, its confirmation and its photophysics")

    @model_validator(mode="after")
    def _levels_have_excited_states(self) -> Campaign:
        for key, name in (
            ("labels.level", self.labels.level),
            ("ranking.confirm.level", self.ranking.confirm.level),
        ):
            excitations = getattr(self.levels[name], "excitations", None)
            if excitations is None or not excitations.singlets or not excitations.triplets:
                raise ValueError(
                    f"{key}: {name!r} has no excited states of both spins; allowed: a level with "
                    "engine: pyscf and excitations: {singlets: 1 or more, triplets: 1 or more}"
                )
        return self

    @model_validator(mode="after")
    def _labels_buy_candidates(self) -> Campaign:
        check_labels_buy_candidates(self.acquisition, SPECIES)
        return self
