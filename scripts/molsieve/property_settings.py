"""The campaign file's ``properties``: heads of the committee for excited-state properties.

Floor 0, as :mod:`molsieve.campaign`; a domain whose ``objective.PROPERTIES`` names properties has
this section in its ``Campaign``. Width, depth, cutoff, members, device and warm start are those of
``potential:``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from molsieve.section import (
    CampaignError,
    Fraction,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Section,
)

if TYPE_CHECKING:
    from molsieve.campaign import Campaign


class Fidelity(Section):
    """A better level of theory that corrects ``labels.level``, which teaches."""

    level: str = Field(description="name of the better level (a key of levels:)")
    share: Fraction = Field(
        0.25,
        description="of the training groups labelled at both levels, at identical geometries; "
        "calibration and test groups always are",
    )
    difference_weight: Annotated[float, Field(ge=0)] = Field(
        1.0, description="weight of the loss on the difference between the two levels' labels"
    )


class Properties(Section):
    """Heads for excited-state properties, intensive, with a channel over the whole molecule."""

    representation: Literal["own", "finetuned", "frozen"] = Field(
        "finetuned",
        description="atom features: finetuned: they start from the energy member's, which has "
        "learned from forces; own: learned from the properties alone; frozen: the energy member's "
        "as they are",
    )
    descriptors: Literal["orbitals", "none"] = Field(
        "orbitals",
        description="of the whole molecule: orbitals: frontier orbitals and lowest excitation of "
        "GFN2-xTB (milliseconds a molecule; elements up to Cl), from which heads start by a linear "
        "fit; none: heads learn all by themselves",
    )
    pooling: Literal["attention", "exciton", "mean"] = Field(
        "attention",
        description="from atoms to the molecule: weighted mean with learned weights; lowest "
        "eigenvalue of a learned matrix of local excitations and couplings; plain mean",
    )
    global_layers: NonNegativeInt = Field(
        1, description="layers of attention over all atoms, whatever their distance; 0: none"
    )
    attention_heads: PositiveInt = Field(4, description="of each of these layers")
    batch_size: PositiveInt = Field(16, description="structures a gradient step")
    max_epochs: PositiveInt = Field(150, description="passes over the training set, at most")
    optimiser: Literal["muon", "adam"] = Field("muon", description="as of potential")
    learning_rate: PositiveFloat = Field(
        3e-3, description="of the optimiser at its peak; falls with a cosine over max_epochs"
    )
    patience_epochs: PositiveInt = Field(40, description="epochs without improvement before a stop")
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.99, description="exponential moving average of the weights; 0: none"
    )
    gap_weight: Annotated[float, Field(ge=0)] = Field(
        1.0, description="weight of the loss on differences of energies of one structure (S1 - T1)"
    )
    fidelity: Fidelity | None = Field(
        None, description="a second, better level of theory; null: labels.level only"
    )


def fidelity_of(campaign: Mapping[str, Any]) -> dict[str, Any] | None:
    """The section ``properties.fidelity`` of a campaign as plain values, None without one."""
    section: dict[str, Any] | None = (campaign.get("properties") or {}).get("fidelity")
    return section


def objective_level(campaign: Mapping[str, Any]) -> str:
    """Name of the level at which objectives are predicted, judged and ranked.

    ``labels.level``, or the better level where that only teaches.

    Args:
        campaign: as plain values.
    """
    fidelity = fidelity_of(campaign)
    return str(campaign["labels"]["level"] if fidelity is None else fidelity["level"])


def check_fidelity(campaign: Campaign) -> None:
    """Whether the better level is one of the campaign's, and has excited states.

    Raises:
        CampaignError: it is not.
    """
    settings = getattr(campaign, "properties", None)
    if settings is None or settings.fidelity is None:
        return
    name = settings.fidelity.level
    others = sorted(set(campaign.levels) - {campaign.labels.level})
    if name not in others:
        raise CampaignError(
            f"properties.fidelity.level: {name!r} is no better level than labels.level "
            f"({campaign.labels.level}); allowed: {', '.join(others) or 'none: add one to levels'}"
        )
    if getattr(campaign.level(name), "excitations", None) is None:
        raise CampaignError(
            f"properties.fidelity.level: {name} computes no excited states; "
            f"add excitations: to levels.{name}"
        )
