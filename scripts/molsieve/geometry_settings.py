"""The campaign file's ``acquisition.geometries``: distorted geometries that are labelled.

Floor 0, as :mod:`molsieve.campaign`, which it is a part of.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from molsieve.section import Fraction, PositiveFloat, PositiveInt, Section

Weight = Annotated[float, Field(ge=0)]
REASONS = {
    "attack": "attack",
    "dynamics": "dynamics",
    "normal_modes": "normal_modes",
    "random": "random_displacement",
}
"""Why a selected structure was chosen, by its source; a candidate drawn at random is "random"."""
REARRANGED = "rearranged in relaxation"
"""What a prediction's reason says of a minimum with other bonds than its start."""
DISTORTED = tuple(REASONS.values())
"""Reasons of structures that train, though their candidate was not itself chosen."""


class Mix(Section):
    """How the share is divided among the sources."""

    attack: Weight = Field(1.0, description="where the members disagree most and yet it is likely")
    dynamics: Weight = Field(0.0, description="frames where trajectories get uncertain or astray")
    normal_modes: Weight = Field(0.0, description="thermal displacements along normal modes")
    random: Weight = Field(0.0, description="random displacements of every atom")

    @property
    def sources(self) -> list[str]:
        """Those with a weight, in the order of the file."""
        return [name for name, weight in self if weight > 0]


class Attack(Section):
    """Adversarial geometries: maximise log(force variance) - (E - E_min)/kT."""

    temperature_k: PositiveFloat = Field(
        10000.0, description="higher: more strained geometries count as plausible"
    )
    steps: PositiveInt = Field(30, description="gradient steps of an attack")
    step_size_angstrom: PositiveFloat = Field(0.02, description="of an atom in one step")
    max_displacement_angstrom: PositiveFloat = Field(
        0.5, description="of an atom from where it started"
    )
    spread_of: Literal["forces", "stress"] = Field(
        "forces", description="what the members disagree on; stress: of periodic cells"
    )
    spread_over: Literal["mean", "max"] = Field(
        "mean", description="the variance of the mean atom of a structure, or of the worst one"
    )
    energy_per: Literal["structure", "atom"] = Field(
        "structure", description="what kT bounds; atom: for cells of many atoms"
    )
    max_strain: Annotated[float, Field(ge=0, lt=0.5)] = Field(
        0.03, description="largest principal strain of a periodic cell; 0: the cell stays"
    )
    strain_step: PositiveFloat = Field(0.003, description="of a strain component in one step")
    changed_bonds: Literal["discard", "keep"] = Field(
        "discard", description="geometries whose connectivity changed"
    )

    @model_validator(mode="after")
    def _steps_fit(self) -> Attack:
        if self.step_size_angstrom > self.max_displacement_angstrom:
            raise ValueError(
                f"step_size_angstrom: {self.step_size_angstrom} exceeds max_displacement_angstrom "
                f"({self.max_displacement_angstrom}): the first step would be cut; lower it"
            )
        if 0 < self.max_strain < self.strain_step:
            raise ValueError(
                f"strain_step: {self.strain_step} exceeds max_strain ({self.max_strain}): the "
                "first step would be cut; lower it, or set max_strain: 0 to keep the cell"
            )
        if self.spread_of == "stress" and self.spread_over == "max":
            raise ValueError(
                "spread_over: max, but a cell has one stress and no worst atom; allowed with "
                "spread_of: stress: mean"
            )
        return self


class Dynamics(Section):
    """Langevin trajectories on the committee's mean; where they get uncertain or unphysical."""

    temperature_k: PositiveFloat = Field(600.0, description="of the thermostat")
    length_ps: PositiveFloat = Field(1.0, description="of a trajectory that ends sane")
    timestep_fs: PositiveFloat = Field(0.5, description="of the integrator")
    friction_per_ps: Annotated[float, Field(ge=0)] = Field(
        10.0, description="of the Langevin thermostat; 0: constant energy"
    )
    uncertain_spread_ev_per_angstrom: PositiveFloat = Field(
        0.3, description="a trajectory's first frame with an atom of more spread is a candidate"
    )

    @model_validator(mode="after")
    def _has_steps(self) -> Dynamics:
        if self.steps < 1:
            raise ValueError(
                f"timestep_fs: {self.timestep_fs} exceeds length_ps ({self.length_ps} ps): no step "
                "would be taken; lower it"
            )
        return self

    @property
    def steps(self) -> int:
        """Time steps of a whole trajectory."""
        return int(round(1000 * self.length_ps / self.timestep_fs, 6))


class NormalModes(Section):
    """Displacements along the normal modes of the committee's mean, as at a temperature."""

    temperature_k: PositiveFloat = Field(1000.0, description="of the modes' amplitudes")
    quantum: bool = Field(False, description="amplitudes with zero-point motion")
    copies: PositiveInt = Field(4, description="displacements a start")
    max_displacement_angstrom: PositiveFloat = Field(
        0.5, description="of an atom; a longer displacement is shortened as a whole"
    )


class RandomDisplacement(Section):
    """Every coordinate moved by a normal step."""

    displacement_angstrom: PositiveFloat = Field(0.1, description="standard deviation of a step")
    copies: PositiveInt = Field(4, description="displacements a start")
    max_displacement_angstrom: PositiveFloat = Field(
        0.5, description="of an atom; a longer displacement is shortened as a whole"
    )


class Geometries(Section):
    """Distorted geometries of training species that are labelled each later round."""

    share: Fraction = Field(0.1, description="share of a round's labels")
    starts: PositiveInt = Field(64, description="species that every source starts from a round")
    start_from: Literal["relaxed", "conformers", "data"] = Field(
        "relaxed",
        description="one relaxed geometry a species; each conformer; any labelled geometry",
    )
    mix: Mix = Field(Mix(), description="weights of the sources in the share; 0: not asked")
    attack: Attack = Field(Attack(), description="adversarial geometries")
    dynamics: Dynamics = Field(Dynamics(), description="frames of molecular dynamics")
    normal_modes: NormalModes = Field(
        NormalModes(), description="thermal displacements along normal modes"
    )
    random: RandomDisplacement = Field(
        RandomDisplacement(), description="random displacements of every atom"
    )

    @property
    def searched(self) -> list[str]:
        """Sources of the mix, none where the share asks for no geometry."""
        return self.mix.sources if self.share > 0 else []

    @model_validator(mode="after")
    def _somebody_is_asked(self) -> Geometries:
        if self.share > 0 and not self.mix.sources:
            raise ValueError(
                f"mix: every weight is 0, but the share is {self.share}; raise the weight of one "
                "source, or set share: 0"
            )
        return self
