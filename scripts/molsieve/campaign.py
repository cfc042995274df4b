"""The campaign file: pydantic models of every section.

Floor 0: imports pydantic and the standard library only, because every job of a campaign pays for
parsing this file (a test reads ``sys.modules``). What is particular to a domain (its candidates,
structures and objective) lives in ``molsieve/domains/<name>/config.py``, loaded by name; levels of
theory in ``levels.py``, sources of distorted geometries in ``geometry_settings.py``.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, TypeAdapter, field_validator, model_validator

from molsieve.geometry_settings import Attack as Attack
from molsieve.geometry_settings import Geometries
from molsieve.levels import Level
from molsieve.section import (
    NAME,
    Fraction,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Section,
)


class Labels(Section):
    """What the committee learns from."""

    level: str = Field(description="name of the level (a key of levels:) that labels the rounds")
    shards: PositiveInt = Field(2, description="label jobs a round; each packs many calculations")
    quorum: Annotated[float, Field(gt=0, le=1)] = Field(
        0.9, description="share of a round's structures that must have a label for it to go on"
    )


class Potential(Section):
    """The committee: SchNetPack PaiNN members and their training."""

    members: Annotated[int, Field(ge=2, le=64)] = Field(
        4, description="networks trained on different data; their spread is the uncertainty"
    )
    features: PositiveInt = Field(64, description="atom feature width")
    interactions: PositiveInt = Field(3, description="message-passing steps")
    radial_functions: PositiveInt = Field(20, description="radial basis functions of a distance")
    cutoff_angstrom: PositiveFloat = Field(5.0, description="atoms further apart do not interact")
    electronic_embedding: bool = Field(
        False, description="charge and spin as inputs; without it mixed charges are refused"
    )
    batch_size: PositiveInt = Field(16, description="structures a gradient step")
    max_epochs: PositiveInt = Field(300, description="passes over the training set, at most")
    optimiser: Literal["muon", "adam"] = Field(
        "muon",
        description="muon: orthogonalised steps of the weight matrices; takes fewer epochs to the "
        "same error than adam",
    )
    learning_rate: PositiveFloat = Field(
        5e-3, description="of the optimiser at its peak; falls with a cosine over max_epochs"
    )
    patience_epochs: PositiveInt = Field(
        40, description="epochs without improvement before a stop, counted once energies rise"
    )
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.99, description="exponential moving average of the weights; 0: none"
    )
    energy_weight: Annotated[float, Field(ge=0)] = Field(
        1.0, description="weight of the loss on energies"
    )
    force_weight: Annotated[float, Field(ge=0)] = Field(
        1.0, description="weight of the loss on forces"
    )
    difference_weight: Annotated[float, Field(ge=0)] = Field(
        1.0,
        description="weight of the loss on energy differences inside a group (a couple, or the "
        "minima of one complex)",
    )
    stress_weight: Annotated[float, Field(ge=0)] = Field(
        1.0, description="weight of the loss on stresses; acts only where labels have one"
    )
    early_energies: Annotated[float, Field(gt=0, le=1)] = Field(
        0.1,
        description="share of energy_weight and difference_weight while forces come first; "
        "1: constant weights; 0.01 for dynamics of one species",
    )
    forces_first: Fraction = Field(
        0.5,
        description="share of max_epochs in which forces come first; energies then rise to their "
        "full weight",
    )
    validation_share: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        0.1, description="share of the training groups that decides early stopping"
    )
    bootstrap: bool = Field(
        True,
        description="each member sees groups drawn with replacement, and all that candidates share",
    )
    warm_start: bool = Field(True, description="start a round from the last round's members")
    warm_epochs: Annotated[float, Field(gt=0, le=1)] = Field(
        0.25, description="share of max_epochs that a member trains which starts warm"
    )
    device: Literal["cpu", "gpu", "auto"] = Field(
        "cpu",
        description="where members train and predict; gpu: fail without one; auto: a GPU where the "
        "node has one, else the CPU",
    )

    @model_validator(mode="after")
    def _something_is_learned(self) -> Potential:
        if not self.energy_weight and not self.force_weight and not self.difference_weight:
            raise ValueError(
                "energy_weight: 0, as are force_weight and difference_weight: nothing would be "
                "learned; raise one of them"
            )
        return self


class Prediction(Section):
    """Relaxation of every candidate's species with the committee."""

    shards: PositiveInt = Field(2, description="prediction jobs a round")
    fmax_ev_per_angstrom: PositiveFloat = Field(
        0.05, description="convergence of a relaxation, largest force component"
    )
    max_steps: NonNegativeInt = Field(60, description="0: energies at the built geometry")
    batch_size: PositiveInt = Field(128, description="structures relaxed together")


ONE_GOAL = ("epsilon_greedy", "thompson", "upper_confidence_bound",
            "expected_improvement", "probability_of_improvement")  # fmt: skip
OF_NORMALS = ONE_GOAL[2:]
"""Take a normal utility, which nothing is that a window cuts off at 1."""
SEVERAL_GOALS = ("expected_hypervolume_improvement", "scalarised_thompson")
"""Acquisition functions that only one goal, only several, can have; the others have either."""


class Diversity(Section):
    """Spread of a batch over chemical space."""

    method: Literal["none", "maxmin"] = Field(
        "maxmin",
        description="maxmin: half by score, half far from all that is chosen; none: by score",
    )
    pool_factor: Annotated[float, Field(ge=1)] = Field(
        2.0,
        description="the batch is picked from this many times its size of top-scored candidates",
    )


class Acquisition(Section):
    """Which structures are labelled next."""

    function: Literal[
        "random",
        "greedy",
        "epsilon_greedy",
        "thompson",
        "upper_confidence_bound",
        "expected_improvement",
        "probability_of_improvement",
        "uncertainty",
        "diverse",
        "expected_hypervolume_improvement",
        "scalarised_thompson",
    ] = Field(
        "upper_confidence_bound",
        description="how candidates are scored for labelling; with several goals: "
        "expected_hypervolume_improvement, scalarised_thompson, greedy (by their balance), "
        "uncertainty, diverse or random",
    )
    beta: Annotated[float, Field(ge=0)] = Field(1.0, description="of the upper confidence bound")
    epsilon: Fraction = Field(0.1, description="of epsilon_greedy")
    improvement_margin: Annotated[float, Field(ge=0)] = Field(
        0.0, description="of expected and probability of improvement, in the objective's unit"
    )
    seed_labels: PositiveInt = Field(200, description="labels of round 0, a diverse seed")
    batch_labels: PositiveInt = Field(100, description="labels of each later round")
    seed_random_share: Fraction = Field(
        0.3, description="share of round 0 drawn at random, for calibration and test"
    )
    random_share: Annotated[float, Field(gt=0, le=1)] = Field(
        0.1, description="share of every later round drawn at random, for calibration and test"
    )
    displaced_per_species: NonNegativeInt = Field(
        2, description="displaced copies labelled beside each species' relaxed structure"
    )
    displacement_angstrom: PositiveFloat = Field(
        0.06, description="standard deviation of the displaced copies' atoms"
    )
    diversity: Diversity = Field(Diversity(), description="spread of a batch over chemical space")
    geometries: Geometries = Field(
        Geometries(), description="distorted geometries labelled each later round"
    )

    @model_validator(mode="after")
    def _shares_leave_room(self) -> Acquisition:
        if self.random_share + self.geometries.share > 1:
            raise ValueError(
                f"random_share: {self.random_share} and geometries.share {self.geometries.share} "
                "exceed 1: nothing is left for acquired candidates; lower one of them"
            )
        return self


class Stop(Section):
    """When the loop ends. Neither limits nor thresholds ever change a finished round."""

    max_rounds: PositiveInt = Field(
        3, description="rounds, the seed round counted; raise it later to go on"
    )
    max_labels: PositiveInt = Field(1000, description="budget of labels over all rounds")
    top_k: Annotated[int, Field(ge=1, le=100)] = Field(
        10, description="size of the answer that the stop rule guards"
    )
    expected_missed: Annotated[float, Field(ge=0)] = Field(
        0.5, description="bound on the expected number of unlabelled candidates in the top k"
    )
    consecutive_rounds: PositiveInt = Field(2, description="rounds that must stay below the bound")
    missed_hypervolume: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.02,
        description="with several goals: bound on the share of the front's hypervolume that is "
        "expected to be still unlabelled; either bound is enough",
    )
    levelled_change: Fraction = Field(
        0.1, description="the random-test error has levelled when it changes less than this share"
    )

    @model_validator(mode="after")
    def _bound_can_bind(self) -> Stop:
        if self.expected_missed >= self.top_k:
            raise ValueError(
                f"expected_missed: {self.expected_missed:g} is no bound: of top_k ({self.top_k}) "
                "no more than that can be missed; allowed: a number below top_k"
            )
        return self


class Confirm(Section):
    """Re-labelling of the answer at the high level."""

    level: str = Field(description="name of the level (a key of levels:) that confirms")
    top: PositiveInt = Field(5, description="candidates from the head of the ranking")
    controls: NonNegativeInt = Field(
        2, description="random candidates beside the top ones, against winner's curse"
    )
    shards: PositiveInt = Field(2, description="confirmation jobs")


class Ranking(Section):
    """The answer."""

    confirm: Confirm = Field(description="re-labelling of the answer at the high level")
    pareto: list[str] = Field(
        [], description="columns of the candidates ranked beside the objective, all maximised"
    )


class Run(Section):
    """How it runs. Nothing here changes a number or triggers a rerun."""

    label_store: str = Field(
        "results/label_store", description="folder shared by all campaigns that point at it"
    )
    workers: PositiveInt | None = Field(
        None, description="workers a label job; null: as many as the job's cores"
    )
    scratch: str | None = Field(None, description="node-local scratch of the engines; null: TMPDIR")
    calculation_time_limit_s: PositiveFloat = Field(
        7200.0, description="one calculation is stopped after this and becomes a failed row"
    )
    wall_margin_s: Annotated[float, Field(ge=0)] = Field(
        60.0, description="a label job stops taking work this long before its wall time"
    )
    longest_job_h: PositiveFloat = Field(
        24.0,
        description="no job asks for more wall time than this (your cluster's limit) unless one "
        "calculation may take longer; longer labelling or training goes on in the next attempt",
    )
    grace_s: Annotated[float, Field(ge=0)] = Field(
        20.0,
        description="after SIGTERM what runs in a label job may go on this long; keep it below the "
        "batch system's own patience (SLURM: KillWait, 30 s by default)",
    )


DOMAIN = "what is searched; decides what candidates, structures and objective may say"


class Campaign(Section):
    """One campaign file, fully resolved. Domains add candidates, structures, objective."""

    whole_candidate_shards: ClassVar[bool] = False
    """Whether prediction.shards has to divide candidates.shards."""

    campaign: Annotated[str, Field(pattern=f"^{NAME}$")] = Field(
        description="the campaign's name, of letters, digits, '.', '_' and '-', a letter or digit "
        "first; results go to results/<campaign>/"
    )
    domain: str = Field(description=DOMAIN)
    seed: NonNegativeInt = Field(1, description="of every random choice; same seed, same answer")
    levels: dict[str, Level] = Field(
        min_length=1, description="levels of theory under names of your own"
    )
    labels: Labels = Field(description="what the committee learns from")
    potential: Potential = Field(Potential(), description="the committee and its training")
    prediction: Prediction = Field(
        Prediction(), description="relaxation of every candidate with the committee"
    )
    acquisition: Acquisition = Field(
        Acquisition(), description="which structures are labelled next, and how many"
    )
    stop: Stop = Field(Stop(), description="when the loop ends")
    ranking: Ranking = Field(description="the answer and its confirmation")
    run: Run = Field(Run(), description="how it runs; nothing here changes a number")

    @model_validator(mode="after")
    def _names_exist(self) -> Campaign:
        for name in self.levels:
            if not re.fullmatch(NAME, name):
                raise ValueError(
                    f"levels: {name!r} given; allowed: names of letters, digits, '.', '_' and '-', "
                    "a letter or digit first (they are names of folders)"
                )
        for key, name in (
            ("labels.level", self.labels.level),
            ("ranking.confirm.level", self.ranking.confirm.level),
        ):
            if name not in self.levels:
                raise ValueError(f"{key}: {name!r} is not one of levels: {', '.join(self.levels)}")
        if self.levels[self.labels.level].geometry != "single_point":
            raise ValueError(
                f"labels.level: {self.labels.level!r} is optimised; allowed: a level with "
                "geometry: single_point (the committee learns the energy of what it sees)"
            )
        if self.acquisition.seed_labels > self.stop.max_labels:
            raise ValueError(
                f"acquisition.seed_labels: {self.acquisition.seed_labels} exceeds the whole budget "
                f"stop.max_labels ({self.stop.max_labels}); lower it or raise the budget"
            )
        return self

    @model_validator(mode="after")
    def _function_fits_the_goals(self) -> Campaign:
        goals = getattr(getattr(self, "objective", None), "goals", {})
        wrong, fits = (SEVERAL_GOALS, ONE_GOAL) if len(goals) < 2 else (ONE_GOAL, SEVERAL_GOALS)
        count = f"{len(goals)} goals" if len(goals) > 1 else "one goal"
        if len(goals) == 1 and next(iter(goals.values())).window is not None:
            wrong, fits = (*SEVERAL_GOALS, *OF_NORMALS), ONE_GOAL[:2]
            count = "one goal, a window"
        if self.acquisition.function in wrong:
            raise ValueError(
                f"acquisition.function: {self.acquisition.function} with {count}; "
                f"allowed: {', '.join(fits)}, greedy, uncertainty, diverse, random"
            )
        return self

    @field_validator("domain")
    @classmethod
    def _domain_known(cls, value: str) -> str:
        if value not in domain_names():
            raise ValueError(f"unknown domain {value!r}; known: {', '.join(domain_names())}")
        return value

    def level(self, name: str) -> Level:
        """The level of that name."""
        return self.levels[name]


def domain_names() -> list[str]:
    """Names of the domains that are installed: the folders of ``molsieve/domains``."""
    import molsieve.domains

    return sorted(m.name for m in pkgutil.iter_modules(molsieve.domains.__path__) if m.ispkg)


def campaign_model(domain: str) -> type[Campaign]:
    """The campaign model of a domain (``molsieve.domains.<domain>.config.Campaign``)."""
    module = importlib.import_module(f"molsieve.domains.{domain}.config")
    model: type[Campaign] = module.Campaign
    return model


def parse_section(domain: str, name: str, leaves: dict[str, Any]) -> Any:
    """A section that belongs to a domain, from its leaves as plain JSON (a rule's params)."""
    annotation: Any = campaign_model(domain).model_fields[name].annotation
    return TypeAdapter(annotation).validate_python(leaves)
