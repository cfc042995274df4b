"""What the work of a campaign costs: core-hours, GPU-hours and bytes, and what that rests on.

Label times come from the cost model (fitted to the label store's timings where there are any), all
others from the constants of ``prices.py``.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pandas as pd

from molsieve.campaign import Campaign
from molsieve.labelling.cost import CostModel, Level
from molsieve.levels import TbliteLevel
from molsieve.prices import (
    ATOM_POSITION_BYTES,
    CANDIDATE_BYTES,
    DFT_GPU_SPEEDUP,
    GPU_SPEEDUP,
    PROPERTY_TRAINING_S_PER_ATOM,
    RECOVERY_SHARE,
    ROW_BYTES,
    SCREEN_S,
    TRAINING_S_PER_ATOM,
    description_s,
    evaluation_s_per_atom,
    search_evaluations,
    searches,
    width,
)
from molsieve.property_settings import fidelity_of, objective_level
from molsieve.section import CampaignError

GFN2 = TbliteLevel.model_validate({"engine": "tblite"})
"""What structures are relaxed with."""

SAMPLE = 300
"""Candidates drawn to see how large the molecules are."""


@dataclass(frozen=True)
class Stage:
    """A stage's work in words, core-hours and GPU-hours."""

    name: str
    work: str
    core_hours: float
    gpu_hours: float = 0.0


@dataclass(frozen=True)
class Space:
    """How large a campaign's space is: counts, and the composition of drawn species."""

    raw_candidates: int
    exact: bool
    candidates: int
    """Raw candidates less those that composition alone refuses, by the sample's share."""
    species_per_candidate: int
    numbers: list[list[int]]
    """Atomic numbers of drawn species."""
    periodic: list[bool]
    """Which of them are cells."""
    measured: list[list[int]]
    """Atomic numbers of the measured systems' species."""
    elements: int
    building: str
    """What building a species costs, for a person."""

    @property
    def species(self) -> int:
        """Species of all candidates."""
        return self.candidates * self.species_per_candidate

    @property
    def atoms(self) -> float:
        """Atoms a species, on average."""
        return sum(map(len, self.numbers)) / len(self.numbers)


def look_at_space(campaign: Campaign) -> Space:
    """Count and sample the candidates of a campaign.

    Raises:
        CampaignError: they cannot be read, or no candidate of the sample can pass the filters.
    """
    domain = f"molsieve.domains.{campaign.domain}"
    counting = importlib.import_module(f"{domain}.candidates")
    sampling = importlib.import_module(f"{domain}.sample")
    config = importlib.import_module(f"{domain}.config")
    section = campaign.candidates  # type: ignore[attr-defined]
    raw, exact = counting.count_candidates(section)
    sample = sampling.sample_species(section, SAMPLE, campaign.seed)
    if not sample.numbers:
        raise CampaignError("candidates: none of the first records passes the filters")
    share = 1.0 if sample.kept_share is None else sample.kept_share
    return Space(
        raw_candidates=raw,
        exact=exact,
        candidates=math.ceil(share * raw),
        species_per_candidate=sampling.SPECIES_PER_CANDIDATE,
        numbers=sample.numbers,
        periodic=getattr(sample, "periodic", [False] * len(sample.numbers)),
        measured=sampling.measured_species(campaign.objective),  # type: ignore[attr-defined]
        elements=len({"H", *config.elements(section)}),
        building=config.BUILDING,
    )


@dataclass(frozen=True)
class LabelWork:
    """All labels of one level of theory."""

    level: str
    count: int
    core_s: float
    each_core_s: float
    """One label of a candidate's species, on average."""
    on_gpu: bool


def label_work(campaign: Campaign, space: Space, round_labels: int) -> list[LabelWork]:
    """Labels by level: of the rounds, of the measured systems, of the hits.

    The label level also has the free atoms (the prior of the committee's baseline), that of the
    objective the hits' built minima (they tell the geometry's error from the model's).
    """
    confirm, label_level = campaign.ranking.confirm, campaign.labels.level
    hits = (confirm.top + confirm.controls) * space.species_per_candidate
    plain = campaign.model_dump(mode="json")
    drawn = {label_level: round_labels}
    if (fidelity := fidelity_of(plain)) is not None:
        # Of the seed all that judges and the share of what trains; of later rounds at most all.
        acquisition = campaign.acquisition
        cheap_alone = (1 - acquisition.seed_random_share) * (1 - fidelity["share"])
        spared = math.floor(cheap_alone * min(acquisition.seed_labels, round_labels))
        drawn[fidelity["level"]] = round_labels - spared
    drawn[objective_level(plain)] += 2 * hits
    drawn.setdefault(confirm.level, hits)
    levels = {name: campaign.level(name) for name in drawn}
    model = cost_model(campaign)
    work = []
    for name, level in levels.items():
        typical = mean_cost_s(model, space.numbers, level, space.periodic)
        cells = [any(space.periodic)] * len(space.measured)
        measured = mean_cost_s(model, space.measured, level, cells) * len(space.measured)
        atoms = space.elements if name == label_level else 0
        count = drawn[name] + len(space.measured) + atoms
        seconds = (drawn[name] * typical + measured) * (1 + RECOVERY_SHARE)
        each = typical * (1 + RECOVERY_SHARE)
        on_gpu = getattr(level, "device", "cpu") == "gpu"
        work.append(LabelWork(name, count, seconds, each, on_gpu))
    return work


def mean_cost_s(
    model: CostModel,
    species: Sequence[Sequence[int]],
    level: Level,
    periodic: Sequence[bool] | None = None,
) -> float:
    """Core-seconds of one calculation, averaged over ``species`` (atomic numbers).

    Args:
        periodic: which of them are cells; None: none is.
    """
    cells = [[p] * 3 for p in periodic or [False] * len(species)]
    rows = pd.DataFrame({"numbers": species, "pbc": cells})
    return float(model.predicted_costs_s(rows, level).mean())


def cost_model(campaign: Campaign) -> CostModel:
    """Fitted to the campaign's label store where there is one."""
    store = Path(campaign.run.label_store)
    if not store.exists():
        return CostModel()
    objective = objective_level(campaign.model_dump(mode="json"))
    names = dict.fromkeys([campaign.labels.level, objective, campaign.ranking.confirm.level])
    return CostModel.from_store(store, [campaign.level(name) for name in names])


def stages(
    campaign: Campaign, space: Space, by_round: Sequence[int], labels: Sequence[LabelWork]
) -> list[Stage]:
    """Every stage's price; each member is assumed to train to its last epoch."""
    potential = campaign.potential
    on_gpu = potential.device != "cpu"
    wide = width(potential)
    per_atom = {
        "training": TRAINING_S_PER_ATOM * wide * space.atoms,
        "prediction": evaluation_s_per_atom(on_gpu) * wide * space.atoms,
    }
    epochs = sum(cumulative(by_round)) * potential.members * potential.max_epochs
    steps = campaign.prediction.max_steps + 1
    config = _config(campaign)
    relaxed = space.candidates * config.relaxed_a_candidate(campaign.structures)  # type: ignore[attr-defined]
    evaluations = relaxed * len(by_round) * potential.members * steps
    geometries = campaign.acquisition.geometries
    a_search = sum(search_evaluations(geometries, space.atoms).values()) * potential.members
    searched = round(a_search * searches(geometries, len(by_round)))
    raw, species = space.raw_candidates, space.species
    gradient_s = mean_cost_s(CostModel(), space.numbers, GFN2)
    build_s = species * config.building_s(campaign.structures, gradient_s)  # type: ignore[attr-defined]
    return [
        _stage("candidates", f"{raw:,} raw candidates", raw * SCREEN_S),
        _stage("structures", f"{species:,} species", build_s),
        *(_label_stage(work) for work in labels),
        _stage(
            "training",
            f"{potential.members * len(by_round)} members",
            epochs * per_atom["training"],
            on_gpu,
        ),
        *_property_stages(campaign, space, by_round),
        _stage(
            "prediction",
            f"{evaluations:,} evaluations",
            evaluations * per_atom["prediction"],
            on_gpu,
        ),
        *_description_stages(campaign, space, relaxed * len(by_round)),
        _stage(
            "geometries",
            f"{searched:,} evaluations",
            searched * per_atom["prediction"],
            on_gpu,
        ),
    ]


def _property_stages(campaign: Campaign, space: Space, by_round: Sequence[int]) -> list[Stage]:
    """Training of property heads, of a domain that has them."""
    settings = getattr(campaign, "properties", None)
    if settings is None:
        return []
    members = campaign.potential.members
    each = PROPERTY_TRAINING_S_PER_ATOM * width(campaign.potential) * space.atoms
    seconds = sum(cumulative(by_round)) * members * settings.max_epochs * each
    work = f"{members * len(by_round)} members"
    return [_stage("property heads", work, seconds, campaign.potential.device != "cpu")]


def _description_stages(campaign: Campaign, space: Space, molecules: int) -> list[Stage]:
    """What property heads read of all that is predicted, of a domain that has them."""
    seconds = description_s(campaign, molecules, space.atoms)
    return [_stage("descriptors", f"{molecules:,} molecules", seconds)] if seconds else []


def _config(campaign: Campaign) -> ModuleType:
    return importlib.import_module(f"molsieve.domains.{campaign.domain}.config")


def cumulative(by_round: Sequence[int]) -> list[int]:
    """Labels known at the end of each round: what that round trains on."""
    return [sum(by_round[: r + 1]) for r in range(len(by_round))]


def _stage(name: str, work: str, seconds: float, on_gpu: bool = False) -> Stage:
    hours = seconds / 3600
    return Stage(name, work, 0.0, hours / GPU_SPEEDUP) if on_gpu else Stage(name, work, hours)


def _label_stage(work: LabelWork) -> Stage:
    mean = work.core_s / work.count / (DFT_GPU_SPEEDUP if work.on_gpu else 1)
    name, text = f"labels at {work.level}", f"{work.count:,} labels, {mean:,.3g} s on average"
    hours = work.core_s / 3600
    if work.on_gpu:
        return Stage(name, text, 0.0, hours / DFT_GPU_SPEEDUP)
    return Stage(name, text, hours)


def disk_bytes(campaign: Campaign, space: Space, by_round: Sequence[int]) -> int:
    """Everything that is ever written; nothing is deleted, so the end is the peak."""
    potential = campaign.potential
    structure = ROW_BYTES + space.atoms * ATOM_POSITION_BYTES
    label = 2 * structure  # positions once, forces once
    weights = 4 * 12 * potential.features**2 * (potential.interactions + 2)
    prediction = ROW_BYTES + 8 * potential.members + space.species_per_candidate * structure
    built = space.candidates * _config(campaign).built_a_candidate(campaign.structures)  # type: ignore[attr-defined]
    total = space.raw_candidates * CANDIDATE_BYTES + built * structure
    total += (sum(cumulative(by_round)) + 2 * sum(by_round)) * label
    total += len(by_round) * potential.members * 3 * weights  # kept, best so far, checkpoint
    total += len(by_round) * space.candidates * prediction
    return math.ceil(total)
