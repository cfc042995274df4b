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
    from molsieve.levels import Level

LARGEST_DESCRIBED = 17
"""Atomic number of chlorine: beyond it ``descriptors: orbitals`` has no hardness."""


class Fidelity(Section):
    """A better level of theory that corrects ``labels.level``, which teaches."""

    level: str = Field(description="name of the better level (a key of levels:)")
    share: Fraction = Field(
        0.1,
        description="of the groups that train without having been acquired, labelled at both "
        "levels, at identical geometries; acquired, calibration and test groups always are. A "
        "dozen pairs tell the difference between two functionals to less than the heads' own error",
    )
    difference_weight: Annotated[float, Field(ge=0)] = Field(
        1.0,
        description="weight of the loss on the difference between the two levels' labels; 0: that "
        "difference is a linear fit to the descriptors and no more",
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
        CampaignError: it is not, or lacks one spin, or labels other geometries than it is given.
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
    said = _unlike_what_labels(campaign.level(name))
    if said:
        raise CampaignError(f"properties.fidelity.level: {name!r} {said}")


def _unlike_what_labels(level: Level) -> str | None:
    """Why a level cannot correct another one's S1 and T1 of the very same geometry, if so."""
    excitations = getattr(level, "excitations", None)
    if excitations is None:
        return (
            "computes no excited states; allowed: a level with engine: pyscf and "
            "excitations: {singlets: 1 or more, triplets: 1 or more}"
        )
    for key in ("singlets", "triplets"):
        if getattr(excitations, key) < 1:
            return f"has excitations.{key}: {getattr(excitations, key)}; allowed: 1 or more"
    if level.geometry != "single_point":
        return (
            f"has geometry: {level.geometry}; allowed: single_point (both levels label the same "
            "geometry, their difference is what is learned)"
        )
    return None


def check_descriptors(campaign: Campaign, numbers: Mapping[str, int]) -> None:
    """Whether the heads' descriptors know every element.

    Args:
        numbers: atomic number by symbol, of all elements that are predicted or labelled.

    Raises:
        CampaignError: one is beyond them.
    """
    settings = getattr(campaign, "properties", None)
    if settings is None or settings.descriptors == "none":
        return
    beyond = [symbol for symbol, number in numbers.items() if number > LARGEST_DESCRIBED]
    if beyond:
        raise CampaignError(
            f"properties.descriptors: {settings.descriptors} given, but candidates and reference "
            f"molecules may hold {', '.join(beyond)}; allowed: elements H to Cl, or descriptors: "
            "none"
        )
