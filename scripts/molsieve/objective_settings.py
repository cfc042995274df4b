"""A goal of a campaign that has several. Imports pydantic and the standard library only."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from molsieve.section import PositiveFloat, Section


class Goal(Section):
    """Which way of a quantity is better, from what is worth nothing to what is worth one."""

    direction: Literal["minimise", "maximise", "window"] = Field(
        description="minimise, maximise: less, more is better; window: inside window is best"
    )
    worst: float = Field(
        description="worth nothing: nobody would take this value, however good the others are; "
        "with a window: the distance from it"
    )
    ideal: float | None = Field(
        None, description="worth 1; better values are worth more; none with a window"
    )
    window: tuple[float, float] | None = Field(
        None, description="[low, high], all inside worth 1; only with direction: window"
    )

    @model_validator(mode="after")
    def _says_what_is_good(self) -> Goal:
        if (self.direction == "window") != (self.window is not None):
            given = "nothing" if self.window is None else list(self.window)
            raise ValueError(
                f"window: {given} given with direction: {self.direction}; allowed: [low, high] "
                "with direction: window, and only with it"
            )
        if (self.direction == "window") != (self.ideal is None):
            raise ValueError(
                f"ideal: {self.ideal} given with direction: {self.direction}; allowed: a number "
                "with minimise and maximise, none with window (all inside of it is ideal)"
            )
        return self

    @model_validator(mode="after")
    def _worst_is_worse(self) -> Goal:
        if self.window is not None:
            if not self.window[0] < self.window[1]:
                raise ValueError(f"window: {list(self.window)} is empty; allowed: [low, high]")
            if self.worst <= 0:
                raise ValueError(
                    f"worst: {self.worst:g} is no distance from a window; allowed: above 0"
                )
            return self
        assert self.ideal is not None
        if self.worst == self.ideal or (self.direction == "minimise") != (self.worst > self.ideal):
            side = "above" if self.direction == "minimise" else "below"
            raise ValueError(
                f"worst: {self.worst:g} with ideal: {self.ideal:g} and direction: "
                f"{self.direction}; allowed: a worst value {side} the ideal one"
            )
        return self


class Emission(Section):
    """How emitted light is guessed from a vertical excitation; without it there is no colour."""

    stokes_shift_ev: float = Field(
        ge=0, le=3, description="vertical absorption at the ground state's geometry − emission, eV"
    )
    linewidth_ev: PositiveFloat = Field(
        description="full width of the emission band at half its height, a Gaussian in energy, eV"
    )
    calibrated_on: str = Field(
        min_length=1, description="what both were fitted to, for the reader of the page"
    )


class Photophysics(Section):
    """Constants of the rate estimates; none changes what is labelled."""

    emission: Emission | None = Field(
        None, description="null: the page speaks of absorption and shows no colour"
    )
    spin_orbit_coupling_per_cm: PositiveFloat = Field(
        1.0, description="between S1 and T1, the same for all candidates, cm⁻¹ (an assumption)"
    )
    reorganisation_energy_ev: PositiveFloat = Field(
        0.2, description="of the spin flip between S1 and T1, the same for all, eV (an assumption)"
    )
    temperature_k: PositiveFloat = Field(298.15, description="of the rates, K")
