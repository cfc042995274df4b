"""The flow-battery part of a campaign file. Imports pydantic and the standard library only."""

from __future__ import annotations

import math
import os
from typing import Annotated, Literal

from pydantic import Field, model_validator

from molsieve import campaign
from molsieve.domains.label_budget import check_labels_buy_candidates
from molsieve.prices import CONFORMER_S, RELAXATION_STEPS, building_s
from molsieve.section import NonNegativeInt, PositiveFloat, PositiveInt, Section

__all__ = ["building_s"]

SPECIES, PERIODIC = 2, False
"""Of a candidate: the quinone and its hydroquinone."""
TYPICAL_ATOMS, TYPICAL_ELECTRONS = 30, 90
"""ASSUME: of a species, where none has been looked at; the electrons are valence electrons."""
BUILDING = f"{CONFORMER_S:g} s a conformer, {RELAXATION_STEPS} xTB steps a relaxation"
"""What a species costs, for a person."""
MEASURED_SPECIES = 60
"""ASSUME: of all couples that are shipped, free atoms and H2."""


class Scaffold(Section):
    """A quinone core with attachment points ``[*:1]``, ``[*:2]`` …"""

    name: str = Field(description="as it appears in tables and figures")
    smiles: str = Field(description="SMILES with attachment points; unused ones become hydrogen")


class Enumerated(Section):
    """Scaffolds x substituents x up to ``max_substitutions`` of them."""

    kind: Literal["enumerate"] = Field(description="enumerate: built from parts; file: read")
    scaffolds: list[Scaffold] = Field(min_length=1, description="quinone cores")
    substituents: list[str] = Field(min_length=1, description="SMILES with one '*', e.g. '*OC'")
    max_substitutions: NonNegativeInt = Field(
        2, description="substituents on one candidate, at most"
    )

    @model_validator(mode="after")
    def _said_once(self) -> Enumerated:
        names = [scaffold.name for scaffold in self.scaffolds]
        for key, values in (("scaffolds", names), ("substituents", self.substituents)):
            if repeated := sorted({value for value in values if values.count(value) > 1}):
                raise ValueError(f"{key}: {', '.join(repeated)} twice; keep one")
        return self


class FromFile(Section):
    """Candidates read from a file."""

    kind: Literal["file"] = Field(description="enumerate: built from parts; file: read")
    path: str = Field(description="relative to the folder the campaign is started in")
    format: Literal["smiles", "csv", "sdf", "parquet"] | None = Field(
        None, description="null: from the file's ending"
    )
    smiles_column: str = Field("smiles", description="of CSV and Parquet")


def raw_candidates(source: Enumerated | FromFile) -> float:
    """How many candidates a source has before filters, at most: what reading them will take.

    ASSUME: 30 bytes a record of a file. Nothing is opened; a file that is not there counts 0.
    """
    if isinstance(source, FromFile):
        return os.path.getsize(source.path) / 30 if os.path.exists(source.path) else 0.0
    return float(
        sum(
            math.comb(scaffold.smiles.count("[*:"), k) * len(source.substituents) ** k
            for scaffold in source.scaffolds
            for k in range(source.max_substitutions + 1)
        )
    )


def built_a_candidate(structures: Structures) -> int:
    """Rows of ``structures`` that a candidate has."""
    return SPECIES


relaxed_a_candidate = built_a_candidate
"""Structures that the committee relaxes of each candidate."""


def candidate_files(candidates: Candidates) -> list[str]:
    """The files that candidates are read from."""
    source = candidates.source
    return [source.path] if isinstance(source, FromFile) else []


def elements(candidates: Candidates) -> list[str]:
    """Elements that candidates may hold."""
    return candidates.filters.elements


class Alert(Section):
    """A group no candidate may contain."""

    name: str = Field(description="the reason given for a refusal")
    smarts: str = Field(description="a candidate with a match is refused")


class Filters(Section):
    """What is refused, each refusal counted by its reason."""

    min_heavy_atoms: NonNegativeInt = Field(0, description="atoms other than hydrogen, at least")
    max_heavy_atoms: PositiveInt = Field(60, description="atoms other than hydrogen, at most")
    elements: list[str] = Field(
        ["H", "C", "N", "O", "F", "S", "Cl", "Br"],
        min_length=1,
        description="a candidate with any other element is refused",
    )
    charges_e: list[int] = Field(
        [0],
        min_length=1,
        description="total charges let through; anions only where the levels have a solvent",
    )
    alerts: list[Alert] = Field([], description="groups no candidate may contain")
    max_sa_score: Annotated[float, Field(ge=1, le=10)] = Field(
        10.0, description="synthetic accessibility, 1 easy to 10 hard (Ertl, Schuffenhauer 2009)"
    )
    min_log_solubility: float = Field(
        -20.0, description="log10 of mol/L in water by ESOL (Delaney 2004)"
    )

    @model_validator(mode="after")
    def _range(self) -> Filters:
        if self.min_heavy_atoms > self.max_heavy_atoms:
            raise ValueError(
                f"min_heavy_atoms: {self.min_heavy_atoms} exceeds max_heavy_atoms "
                f"({self.max_heavy_atoms}): no molecule can pass; lower it"
            )
        return self


class Candidates(Section):
    """The space that is searched."""

    source: Annotated[Enumerated | FromFile, Field(discriminator="kind")] = Field(
        description="where candidates come from"
    )
    filters: Filters = Field(Filters(), description="what is refused")
    shards: PositiveInt = Field(2, description="tables (and structure jobs) the space is cut into")


class Structures(Section):
    """Conformers: ETKDG, MMFF94, then GFN2-xTB on the lowest few."""

    conformers: PositiveInt = Field(5, description="ETKDG conformers a species, MMFF94-optimised")
    relaxed_conformers: PositiveInt = Field(
        1, description="lowest MMFF94 conformers relaxed with GFN2-xTB; the lowest is kept"
    )
    fmax_ev_per_angstrom: PositiveFloat = Field(
        0.02, description="convergence of the GFN2-xTB relaxation, largest force component"
    )
    max_steps: PositiveInt = Field(200, description="of a GFN2-xTB relaxation")

    @model_validator(mode="after")
    def _relaxed_are_conformers(self) -> Structures:
        if self.relaxed_conformers > self.conformers:
            raise ValueError(
                f"relaxed_conformers: {self.relaxed_conformers} exceeds conformers "
                f"({self.conformers}); lower it"
            )
        return self


class Objective(Section):
    """The two-electron, two-proton potential against SHE at pH 0, and which way is better."""

    direction: Literal["posolyte", "negolyte", "window"] = Field(
        description="posolyte: high is good; negolyte: low is good; window: inside window_v is best"
    )
    window_v: tuple[float, float] | None = Field(
        None, description="[low, high] in V, only with direction: window"
    )
    reference_couples: list[str] | None = Field(
        None,
        description="names of ten or more measured couples to fit levels to; null: all shipped",
    )

    @model_validator(mode="after")
    def _window(self) -> Objective:
        if (self.direction == "window") != (self.window_v is not None):
            given = "nothing" if self.window_v is None else list(self.window_v)
            raise ValueError(
                f"window_v: {given} given with direction: {self.direction}; "
                "allowed: [low, high] in V with direction: window, and only with it"
            )
        if self.window_v is not None and not self.window_v[0] < self.window_v[1]:
            raise ValueError(
                f"window_v: {list(self.window_v)} is empty; allowed: [low, high], V, low below high"
            )
        if self.reference_couples is not None and len(set(self.reference_couples)) < 10:
            raise ValueError(
                f"reference_couples: {len(set(self.reference_couples))} named, at least ten are "
                "needed to fit and judge the two parameters of a level"
            )
        return self


class Campaign(campaign.Campaign):
    """A flow-battery campaign."""

    domain: Literal["flow_battery"] = Field(description=campaign.DOMAIN)
    candidates: Candidates = Field(description="the space that is searched")
    structures: Structures = Field(Structures(), description="conformers of every species")
    objective: Objective = Field(description="the redox potential, and which way is better")

    @model_validator(mode="after")
    def _charges_can_be_learned(self) -> Campaign:
        charges = sorted(set(self.candidates.filters.charges_e))
        if len(charges) > 1 and not self.potential.electronic_embedding:
            raise ValueError(
                f"candidates.filters.charges_e: {charges} mixes charges that the committee cannot "
                "tell apart; allowed: one charge, or potential.electronic_embedding: true"
            )
        return self

    @model_validator(mode="after")
    def _anions_are_in_solution(self) -> Campaign:
        charges = sorted(set(self.candidates.filters.charges_e))
        for name in dict.fromkeys([self.labels.level, self.ranking.confirm.level]):
            if charges[0] < 0 and getattr(self.levels[name], "solvent", "none") == "none":
                raise ValueError(
                    f"candidates.filters.charges_e: {charges} lets anions through, but the level "
                    f"{name!r} has no solvent to hold them; allowed: acids written neutral, or "
                    "levels with a solvent"
                )
        return self

    @model_validator(mode="after")
    def _molecules_have_no_stress(self) -> Campaign:
        geometries = self.acquisition.geometries
        if geometries.attack.spread_of == "stress" and geometries.share * geometries.mix.attack:
            raise ValueError(
                "acquisition.geometries.attack.spread_of: stress, but molecules have none; "
                "allowed: forces"
            )
        return self

    @model_validator(mode="after")
    def _labels_buy_candidates(self) -> Campaign:
        check_labels_buy_candidates(self.acquisition, SPECIES)
        return self
