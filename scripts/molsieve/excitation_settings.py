"""Which excited states a level of theory computes, and how. Floor 0: pydantic only."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from molsieve.section import NonNegativeInt, PositiveFloat, Section


class Excitations(Section):
    """Vertical excited states by linear response to a restricted closed-shell ground state."""

    method: Literal["tda", "tddft"] = Field(
        "tda",
        description="tda: Tamm-Dancoff approximation, robust where the ground state is nearly "
        "unstable to triplets; tddft: full linear response",
    )
    singlets: NonNegativeInt = Field(3, description="lowest singlet roots, 0: none")
    triplets: NonNegativeInt = Field(3, description="lowest triplet roots, 0: none")
    kernel_grid_level: Annotated[int, Field(ge=0, le=9)] | None = Field(
        0,
        description="(cpu, density fitting) grid of the exchange-correlation kernel, 0 coarse to "
        "9 fine; 0 moves roots by some meV, those of the wB97 family by up to 40 meV: 1 with them "
        "(1 meV); null: that of the ground state",
    )
    frozen_core: bool = Field(
        True, description="(cpu, density fitting) no excitations out of the atoms' inner shells"
    )
    highest_virtual_ev: PositiveFloat | None = Field(
        None,
        description="(cpu, density fitting) no excitations into orbitals above this energy; null: "
        "into all",
    )
    solvent_response: bool = Field(
        True,
        description="with a solvent: its electrons follow the transition (linear response out of "
        "equilibrium, PySCF's optical dielectric constant 1.78); false: they stay as they are",
    )
    residual_tolerance: PositiveFloat = Field(
        1e-4, description="norm of a root's residual (hartree) at convergence"
    )

    @model_validator(mode="after")
    def _some_root(self) -> Self:
        if not self.singlets and not self.triplets:
            raise ValueError(
                "singlets: 0 given with triplets 0; allowed: at least one root of either kind "
                "(no excitations: leave the section out)"
            )
        return self


def leave_out_what_cannot_act(excitations: dict[str, Any], settings: dict[str, Any]) -> None:
    """Drop from a level's resolved ``excitations`` what changes no number, given the level's other
    ``settings``: so that writing it down does not buy the same label twice."""
    if settings["solvent"] == "none":
        del excitations["solvent_response"]
    if settings["device"] == "gpu" or not settings["density_fitting"]:
        for key in ("kernel_grid_level", "frozen_core", "highest_virtual_ev"):
            del excitations[key]
    elif excitations["kernel_grid_level"] is None:
        excitations["kernel_grid_level"] = settings["grid_level"]
