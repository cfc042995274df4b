"""The zeolite part of a campaign file. Imports pydantic and the standard library only."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

from pydantic import Field, model_validator

from molsieve import campaign
from molsieve.domains.label_budget import check_labels_buy_candidates
from molsieve.domains.zeolite.folders import cif_names, folder_state
from molsieve.prices import PERIODIC_XTB
from molsieve.section import NonNegativeInt, PositiveFloat, PositiveInt, Section

SPECIES, PERIODIC = 3, True
"""Of a candidate: the complex, the empty framework, the guest."""
TYPICAL_ATOMS, TYPICAL_ELECTRONS = 60, 300
"""ASSUME: of a species, where none has been looked at; the electrons are valence electrons."""
MEASURED_SPECIES = 30
"""ASSUME: quartz, a few measured frameworks, free atoms."""
LABELS_MINIMA = True
"""Docked poses are far from minima, so rounds after the first label the committee's minima."""
DOCKING_S = 5.0
"""Of a guest in a framework, 4000 trials: measured 4 to 9 core-seconds (SOD to CHA, guests of 4 to
17 atoms)."""
BUILDING = f"{DOCKING_S:g} s of docking a candidate, GFN1-xTB steps of each empty framework"
"""What a species costs, for a person."""
CANDIDATES_A_FRAMEWORK = 30
"""ASSUME: that share the relaxation of an empty framework."""
FRAMEWORK_ALUMINIUM = "framework_aluminium"
KNOWN = ("SOD", "ABW", "ACO", "CHA", "RHO", "LTA")
"""Typed-in frameworks (:mod:`molsieve.crystals.known`, where a test compares the two lists)."""


class Heteroatoms(Section):
    """Atoms in place of silicon: all symmetry-distinct arrangements, or a sample of them."""

    counts: dict[str, NonNegativeInt] = Field(
        {},
        description="atoms a cell of each element, e.g. {Al: 1, B: 1}; {}: by ratios, or none",
    )
    si_ratios: dict[str, PositiveFloat] = Field(
        {}, description="Si/element of each element in place of counts, e.g. {Al: 11}"
    )
    ion: str = Field("H", description="what compensates their charge: H, Li, Na, K, Ca …")
    loewenstein: bool = Field(
        True, description="no two aluminium atoms share an oxygen (Ge may); false: all arrangements"
    )
    most: PositiveInt = Field(
        20,
        description="forms a framework, at most: of more arrangements some are drawn at random, "
        "and each has one form of its ions before any has a second",
    )

    @model_validator(mode="after")
    def _one_way(self) -> Heteroatoms:
        if self.counts and self.si_ratios:
            raise ValueError("counts: given together with si_ratios; allowed: one of them")
        return self


class Source(Section):
    """Frameworks x heteroatom arrangements x guests x loadings."""

    frameworks: list[str] | None = Field(
        None,
        description="codes: of files in folder (their names without .cif) or, without one, of the "
        "typed-in frameworks SOD, ABW, ACO, CHA, RHO, LTA; null: all",
    )
    folder: str | None = Field(
        None, description="folder of CIF files (IZA, hypothetical databases); null: typed-in ones"
    )
    heteroatoms: list[Heteroatoms] = Field(
        [], description="compositions; one without counts, and no entry at all, is pure silica"
    )
    guests: list[str] = Field([], description="guests as SMILES")
    guest_file: str | None = Field(
        None, description="file of guests: .smi, .csv or .parquet; beside the list"
    )
    smiles_column: str = Field("smiles", description="of a guest file in CSV or Parquet")
    charged_guests: Literal["neutral_analogue", "framework_aluminium", "refuse"] = Field(
        "neutral_analogue",
        description="neutral_analogue: a cation gives up its proton or, without one, its N+ "
        "becomes C (shape and dispersion decide in silica); framework_aluminium: it stays, with an "
        "aluminium atom for each charge (added where heteroatoms bring none), against a framework "
        "with protons and its neutral amine (quaternary: an isomer), in neutral cells: energies of "
        "one guest compare across frameworks, those of two guests do not",
    )
    loadings: list[PositiveInt] = Field(
        [1],
        min_length=1,
        description="guests in a candidate's cell; where docking has to repeat the cell for a "
        "large guest, in the repeated one (the ranking tells t_sites_per_guest)",
    )
    min_cell_angstrom: PositiveFloat = Field(
        7.5,
        description="a framework's cell is the smallest of its primitive and conventional cells "
        "repeated that is this wide; heteroatoms and loadings count in it",
    )

    @model_validator(mode="after")
    def _guests_and_codes(self) -> Source:
        if not self.guests and self.guest_file is None:
            raise ValueError("guests: none given, nor a guest_file; allowed: one SMILES or more")
        for key, values in (("guests", self.guests), ("frameworks", self.frameworks or [])):
            if repeated := sorted({value for value in values if values.count(value) > 1}):
                raise ValueError(f"{key}: {', '.join(repeated)} twice; keep one")
        unknown = [code for code in self.frameworks or [] if code not in KNOWN]
        if self.folder is None and unknown:
            raise ValueError(
                f"frameworks: {', '.join(unknown)} not typed in; allowed: {', '.join(KNOWN)}, or "
                "any code that folder has a CIF file of"
            )
        return self


class Filters(Section):
    """What is refused, each refusal counted by its reason."""

    elements: list[str] = Field(
        ["H", "C", "N", "O", "Si"],
        min_length=1,
        description="a candidate with any other element, in framework or guest, is refused",
    )
    min_heavy_atoms: NonNegativeInt = Field(0, description="of a guest, at least")
    max_heavy_atoms: PositiveInt = Field(30, description="of a guest, at most")
    max_sa_score: Annotated[float, Field(ge=1, le=10)] = Field(
        10.0,
        description="synthetic accessibility of a guest, 1 easy to 10 hard (Ertl, Schuffenhauer "
        "2009)",
    )
    max_t_sites: PositiveInt = Field(200, description="of a framework's cell, at most")


class Candidates(Section):
    """The space that is searched."""

    source: Source = Field(description="where candidates come from")
    filters: Filters = Field(Filters(), description="what is refused")
    shards: PositiveInt = Field(
        2,
        description="tables (and structure jobs) the space is cut into, frameworks whole; a "
        "multiple of prediction.shards",
    )


class Structures(Section):
    """Frameworks and guests relaxed with GFN1-xTB in their cells, guests docked in frameworks."""

    conformers: PositiveInt = Field(4, description="of a guest, MMFF94 minima that are docked")
    poses: PositiveInt = Field(
        4, description="docked poses a candidate; the committee relaxes all, the lowest counts"
    )
    docking_trials: PositiveInt = Field(4000, description="placements tried a candidate")
    min_image_distance_angstrom: PositiveFloat = Field(
        3.0, description="of a guest's atoms from its own images; cells are repeated if need be"
    )
    max_atoms: PositiveInt = Field(300, description="of a complex; a larger one is not built")
    framework_steps: NonNegativeInt = Field(
        20,
        description="GFN1-xTB steps of an empty framework in its fixed cell before docking; 0: as "
        "it is (a structure that was relaxed already)",
    )
    fmax_ev_per_angstrom: PositiveFloat = Field(
        0.05, description="of these relaxations, largest force component"
    )


class Objective(Section):
    """The binding energy a guest; the lower the better."""

    reference_frameworks: list[str] = Field(
        ["CHA"],
        description="frameworks of known enthalpy against quartz that every level labels as a "
        "check, of those in the folder or typed in; see frameworks.csv",
    )
    reference_folder: str | None = Field(
        None, description="folder of their CIF files; null: typed-in ones"
    )


class Campaign(campaign.Campaign):
    """A zeolite campaign."""

    whole_candidate_shards = True
    domain: Literal["zeolite"] = Field(description=campaign.DOMAIN)
    candidates: Candidates = Field(description="the space that is searched")
    structures: Structures = Field(Structures(), description="how structures are built")
    objective: Objective = Field(Objective(), description="the binding energy")

    @model_validator(mode="after")
    def _levels_know_cells(self) -> Campaign:
        for key, name in (
            ("labels.level", self.labels.level),
            ("ranking.confirm.level", self.ranking.confirm.level),
        ):
            level = self.levels[name]
            if level.engine == "pyscf":
                raise ValueError(
                    f"{key}: {name!r} is for molecules only; allowed: a level that knows periodic "
                    "cells (engine: tblite, cp2k or ase)"
                )
        return self

    @model_validator(mode="after")
    def _frameworks_stay_whole(self) -> Campaign:
        # A candidate shard has all candidates of its frameworks. A prediction job that took a part
        # of one would relax the empty framework from some of its complexes only.
        whole, jobs = self.candidates.shards, self.prediction.shards
        if whole % jobs:
            sound = next(n for n in range(min(whole, jobs), 0, -1) if whole % n == 0)
            raise ValueError(
                f"prediction.shards: {jobs} would cut frameworks, and each job might find another "
                "energy of the same empty one; allowed: a count that divides candidates.shards "
                f"({whole}) without a rest; set {sound}"
            )
        return self

    @model_validator(mode="after")
    def _labels_buy_candidates(self) -> Campaign:
        check_labels_buy_candidates(self.acquisition, SPECIES, "costs up to")
        return self


def built_a_candidate(structures: Structures) -> int:
    """Rows of ``structures`` that a candidate has: framework, conformers of the guest, poses."""
    return 1 + structures.conformers + structures.poses


def relaxed_a_candidate(structures: Structures) -> int:
    """Structures that the committee relaxes of each candidate; the shared ones are relaxed once."""
    return structures.poses


def building_s(structures: Structures, gradient_s: float) -> float:
    """Core-seconds to build one species: its share of docking and of the framework's relaxation.

    Args:
        gradient_s: core-seconds of one GFN2-xTB gradient of a molecule of as many electrons.
    """
    docking = DOCKING_S * structures.docking_trials / 4000
    relaxation = structures.framework_steps * gradient_s * PERIODIC_XTB / CANDIDATES_A_FRAMEWORK
    return float((docking + relaxation) / SPECIES)


def candidate_files(candidates: Candidates) -> list[str]:
    """Files that candidates are read from: that of guests. CIF files are `candidate_state`."""
    return [candidates.source.guest_file] if candidates.source.guest_file else []


def candidate_state(candidates: Candidates) -> Callable[[], str] | None:
    """What tells the state of the CIF files, None without a folder: asked only where it matters."""
    source = candidates.source
    if source.folder is None:
        return None
    return partial(folder_state, source.folder, source.frameworks)


def elements(candidates: Candidates) -> list[str]:
    """Elements that candidates may hold."""
    return candidates.filters.elements


def raw_candidates(source: Source) -> float:
    """How many candidates a source has before filters, at most: what reading them will take.

    ASSUME: 30 bytes a guest of a file. A file that is not there counts 0.
    """
    frameworks = len(source.frameworks or KNOWN)
    if source.folder is not None:
        frameworks = len(cif_names(source.folder, source.frameworks))
    guests = float(len(source.guests))
    if source.guest_file and os.path.exists(source.guest_file):
        guests += os.path.getsize(source.guest_file) / 30
    balanced = source.charged_guests == FRAMEWORK_ALUMINIUM
    arrangements = sum(
        entry.most if entry.counts or entry.si_ratios or balanced else 1
        for entry in source.heteroatoms or [Heteroatoms()]
    )
    return frameworks * guests * arrangements * len(source.loadings)
