"""A member on disk: ``model.pt`` (a state dict) and ``model.json``; and its training checkpoint.

Nothing here needs pickle: every ``torch.load`` is ``weights_only=True``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from molsieve import __version__, campaign, tables
from molsieve.potential import schnetpack_import
from molsieve.potential.graphs import GraphSet
from molsieve.potential.model import Architecture, EnergyModel
from molsieve.section import CampaignError, digest

CHECKPOINT = "checkpoint.pt"
FORMAT = 1


def describe(
    architecture: Architecture,
    elements: list[int],
    states: list[list[int]],
    level_id: str,
    seed: int,
    member: int,
    model: EnergyModel,
) -> dict[str, Any]:
    """What ``model.json`` says of a member, but its training."""
    return {
        "format": FORMAT,
        "architecture": architecture.as_dict(),
        "elements": elements,
        "charges_and_multiplicities": states,
        "level_id": level_id,
        "seed": seed,
        "member": member,
        "baseline_ev": {str(z): float(model.baseline_ev[z]) for z in elements},
        "scale_ev": float(model.scale_ev),
        "versions": {
            "molsieve": __version__,
            "torch": str(torch.__version__),
            "schnetpack": schnetpack_import.version(),
        },
    }


def save_member(model: nn.Module, description: dict[str, Any], folder: Path) -> None:
    """Write ``model.pt`` and then ``model.json``, each by temporary name and rename."""
    state = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
    with tables.atomic_path(folder / "model.pt") as temporary:
        torch.save(state, temporary)
    tables.write_json(description, folder / "model.json")


def load_member(folder: Path, device: str = "cpu") -> tuple[EnergyModel, dict[str, Any]]:
    """The model, in evaluation mode and without gradients of its parameters, and ``model.json``.

    Raises:
        ValueError: a file of another format, or broken.
    """
    description = json.loads((Path(folder) / "model.json").read_text())
    if description.get("format") != FORMAT:
        raise ValueError(f"{folder}/model.json is not a member of format {FORMAT}")
    model = EnergyModel(Architecture(**description["architecture"]))
    weights = Path(folder) / "model.pt"
    try:
        model.load_state_dict(torch.load(weights, weights_only=True, map_location=device))
    except FileNotFoundError:
        raise
    except (UnpicklingError, EOFError, OSError) as error:  # torch's advice would run its code
        raise ValueError(f"{weights} is broken: no state dict in it") from error
    except RuntimeError as error:
        raise ValueError(f"{weights}: {str(error).splitlines()[0]}") from error
    return model.to(device).eval().requires_grad_(False), description


def warm_start(model: EnergyModel, architecture: Architecture, previous: Path) -> None:
    """Copy a finished member's weights; baseline and scale stay the caller's to set.

    Raises:
        CampaignError: a member of another architecture.
    """
    old, description = load_member(previous)
    if description["architecture"] != architecture.as_dict():
        raise CampaignError(
            f"potential.warm_start: the member in {previous} has architecture "
            f"{description['architecture']}, the campaign says {architecture.as_dict()}"
        )
    model.load_state_dict(old.state_dict())


def run_identity(
    settings: campaign.Potential,
    seed: int,
    member: int,
    graph_sets: Sequence[GraphSet],
    start: Sequence[Tensor],
) -> str:
    """Hash of what a run's result depends on: a checkpoint is resumed by its own run only.

    Args:
        graph_sets: those trained on and those that decide early stopping.
        start: initial weights and the composition baseline.
    """
    tensors = list(start)
    for graphs in graph_sets:
        data = graphs.data
        assert data.energy_ev is not None and data.forces_ev_per_angstrom is not None
        tensors += [data.numbers, data.energy_ev, data.forces_ev_per_angstrom, data.vectors]
        if data.stress_ev_per_angstrom3 is not None:
            tensors.append(data.stress_ev_per_angstrom3)
    # Of every byte: sums of forces and of bond vectors vanish, whatever the molecules are.
    contents = [sha256(t.detach().cpu().numpy().tobytes()).hexdigest() for t in tensors]
    return digest([settings.model_dump(mode="json"), seed, member, contents])


def write_checkpoint(folder: Path, identity: str, state: dict[str, Any]) -> None:
    """Write the state of a run beside its outputs."""
    with tables.atomic_path(Path(folder) / CHECKPOINT) as temporary:
        torch.save({"identity": identity, **state}, temporary)


def read_checkpoint(folder: Path, identity: str) -> dict[str, Any] | None:
    """The state of this very run, or None: there is none, or it is another run's."""
    path = Path(folder) / CHECKPOINT
    if not path.exists():
        return None
    state = torch.load(path, weights_only=True, map_location="cpu")
    return state if state.get("identity") == identity else None


def remove_checkpoint(folder: Path) -> None:
    """Take the checkpoint of a finished run away."""
    (Path(folder) / CHECKPOINT).unlink(missing_ok=True)
