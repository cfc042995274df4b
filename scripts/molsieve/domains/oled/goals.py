"""What a campaign wants of an emitter. Imports pydantic and the standard library only."""

from __future__ import annotations

import difflib
from typing import Any, Literal, get_args

from pydantic import Field, field_validator, model_validator

from molsieve import campaign
from molsieve.objective_settings import Goal, Photophysics
from molsieve.section import Section

GoalName = Literal["singlet_triplet_gap", "oscillator_strength", "singlet_energy", "sa_score"]


class Objective(Section):
    """The goals; a candidate is good by all of them or is on the front of those that conflict."""

    goals: dict[GoalName, Goal] = Field(
        min_length=1,
        description="singlet_triplet_gap: S1 − T1, eV; oscillator_strength: of S1; "
        "singlet_energy: vertical S1, eV; sa_score: synthetic accessibility, 1 easy to 10 hard",
    )
    reference_molecules: list[str] = Field(
        ["formaldehyde", "glyoxal", "pyrazine", "benzene"],
        description="molecules of known S1 and T1 that every level labels as a check; []: none",
    )

    @field_validator("goals", mode="before")
    @classmethod
    def _names_are_known(cls, value: Any) -> Any:
        known = get_args(GoalName)
        for name in value if isinstance(value, dict) else ():
            if name not in known:
                near = difflib.get_close_matches(str(name), known, 1)
                meant = f"; did you mean {near[0]}?" if near else ""
                raise ValueError(
                    f"goals: unknown goal {name!r}; allowed: {', '.join(known)}{meant}"
                )
        return value

    @model_validator(mode="after")
    def _something_is_predicted(self) -> Objective:
        if set(self.goals) == {"sa_score"}:
            raise ValueError(
                "goals: only sa_score, which is known without any label; allowed: at least one of "
                "singlet_triplet_gap, oscillator_strength, singlet_energy"
            )
        if len(set(self.reference_molecules)) < len(self.reference_molecules):
            raise ValueError("reference_molecules: one is named twice; keep one")
        return self


class Ranking(campaign.Ranking):
    """The answer, and the constants of its photophysics."""

    photophysics: Photophysics = Field(
        Photophysics(),
        description="colour and rates of the ranked candidates, for comparisons within a family: "
        "k_r = f ν̄² / 1.4992 cm² s⁻¹ (Einstein's coefficient in vacuum: Hilborn, Am. J. Phys. 50, "
        "982 (1982)); k_RISC = 2π/ħ V² (4πλkT)^-1/2 exp(−(ΔE_ST + λ)² / 4λkT) (Marcus; Samanta et "
        "al., J. Am. Chem. Soc. 139, 4042 (2017)) with the V, λ and T given here",
    )

    @model_validator(mode="after")
    def _goals_make_the_front(self) -> Ranking:
        if self.pareto:
            raise ValueError(
                f"pareto: {self.pareto}, but the front is that of objective.goals; leave it out"
            )
        return self
