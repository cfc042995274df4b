"""A property member on disk: ``model.pt`` (a state dict) and ``model.json``, as an energy member's.

No pickle: see :mod:`molsieve.potential.storage`, whose checkpoints serve here as well.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from molsieve import __version__, campaign
from molsieve.potential import schnetpack_import
from molsieve.potential.storage import load_member
from molsieve.properties.model import PropertyArchitecture, PropertyModel
from molsieve.properties.training_data import PropertySet
from molsieve.property_settings import Properties
from molsieve.section import CampaignError, digest

FORMAT = "properties 1"


def describe(
    model: PropertyModel,
    train: PropertySet,
    level_ids: Sequence[str],
    seed: int,
    member: int,
) -> dict[str, Any]:
    """What ``model.json`` says of a member, but its training."""
    data = train.graphs.data
    states = torch.stack([data.charge, data.multiplicity], 1).unique(dim=0).tolist()
    return {
        "format": FORMAT,
        "architecture": model.architecture.as_dict(),
        "elements": sorted(set(data.numbers.tolist())),
        "charges_and_multiplicities": states,
        "level_ids": list(level_ids),
        "seed": seed,
        "member": member,
        "versions": {
            "molsieve": __version__,
            "torch": str(torch.__version__),
            "schnetpack": schnetpack_import.version(),
        },
    }


def load_property_member(folder: Path, device: str = "cpu") -> tuple[PropertyModel, dict[str, Any]]:
    """The model, in evaluation mode and without gradients of its parameters, and ``model.json``.

    Raises:
        ValueError: a file of another format, or broken.
    """
    description = json.loads((Path(folder) / "model.json").read_text())
    if description.get("format") != FORMAT:
        raise ValueError(f"{folder}/model.json is not a member of format {FORMAT!r}")
    model = PropertyModel(PropertyArchitecture.from_dict(description["architecture"]))
    weights = Path(folder) / "model.pt"
    try:
        model.load_state_dict(torch.load(weights, weights_only=True, map_location=device))
    except FileNotFoundError:
        raise
    except (UnpicklingError, EOFError, OSError) as error:
        raise ValueError(f"{weights} is broken: no state dict in it") from error
    except RuntimeError as error:
        raise ValueError(f"{weights}: {str(error).splitlines()[0]}") from error
    return model.to(device).eval().requires_grad_(False), description


def start_from(model: PropertyModel, previous: Path) -> None:
    """Copy the weights of the last round's member; the linear start stays the caller's to set.

    Raises:
        CampaignError: a member of another architecture.
    """
    old, description = load_property_member(previous)
    if description["architecture"] != model.architecture.as_dict():
        raise CampaignError(
            f"potential.warm_start: the property member in {previous} has another architecture "
            "than the campaign says; set it to false, or keep potential and properties as they were"
        )
    model.load_state_dict(old.state_dict())


def take_representation(model: PropertyModel, energy_member: Path, freeze: bool) -> None:
    """Copy an energy member's atom features; ``freeze``: they stay as they are."""
    energy, description = load_member(energy_member)
    if description["architecture"] != model.architecture.as_dict()["representation"]:
        raise CampaignError(
            f"properties.representation: the energy member in {energy_member} has another "
            "architecture than potential: says"
        )
    model.representation.load_state_dict(energy.representation.state_dict())
    model.representation.requires_grad_(not freeze)


def run_identity(
    potential: campaign.Potential,
    settings: Properties,
    seed: int,
    member: int,
    sets: Sequence[PropertySet],
    start: Sequence[Tensor],
) -> str:
    """Hash of what a run's result depends on: a checkpoint is resumed by its own run only."""
    tensors = list(start)
    for part in sets:
        data = part.graphs.data
        tensors += [data.numbers, data.vectors, part.positions, part.descriptors, part.values]
    contents = [sha256(t.detach().cpu().numpy().tobytes()).hexdigest() for t in tensors]
    sections = [section.model_dump(mode="json") for section in (potential, settings)]
    return digest([sections, seed, member, contents])
