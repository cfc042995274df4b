"""A committee that knows what its spread is worth, for use outside the workflow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ase
import torch
from torch import Tensor

from molsieve.potential.committee import Committee
from molsieve.potential.committee_prediction import (
    CommitteePrediction,
    SpreadCalibration,
    predict_batch,
)
from molsieve.potential.folders import CommitteeFiles, find_committee, read_json
from molsieve.potential.graphs import AtomsBatch
from molsieve.potential.model import Architecture, EnergyModel
from molsieve.section import CampaignError

if TYPE_CHECKING:
    from molsieve.potential.calculator import CommitteeCalculator
    from molsieve.potential.torch_sim_model import CommitteeModel


class CalibratedCommittee(Committee):
    """A committee and the calibration of the round that it comes from.

    Called with a batch it gives the members' raw values, as every committee does;
    :meth:`predict` gives means with calibrated standard deviations. Copies share the weights, which
    never change; a pickle carries them.

    Attributes:
        calibration: of its spread. files: where it was loaded from, None after unpickling.
    """

    calibration: SpreadCalibration = SpreadCalibration()
    files: CommitteeFiles | None = None

    def predict(
        self, structures: AtomsBatch | ase.Atoms | Sequence[ase.Atoms]
    ) -> CommitteePrediction:
        """Energies, forces, stresses, their spreads, and whether the structures are in the domain.

        Args:
            structures: charge and multiplicity of each in ``info["charge_e"]`` and
                ``info["multiplicity"]`` (0 and 1 where unsaid).

        Raises:
            CampaignError: a charge state that the members cannot tell from their own.
        """
        if isinstance(structures, ase.Atoms):
            structures = [structures]
        batch = (
            structures
            if isinstance(structures, AtomsBatch)
            else AtomsBatch.from_atoms(list(structures))
        )
        return predict_batch(self, batch, self.calibration)

    def calculator(self, **settings: Any) -> CommitteeCalculator:
        """An ASE calculator of it; ``settings`` go to ASE's ``Calculator``."""
        from molsieve.potential.calculator import CommitteeCalculator

        return CommitteeCalculator(self, **settings)

    def torch_sim_model(self, **settings: Any) -> CommitteeModel:
        """A torch-sim model of it; ``settings`` as of :class:`CommitteeModel`.

        Raises:
            ImportError: torch-sim is not installed.
        """
        from molsieve.potential.torch_sim_model import CommitteeModel

        return CommitteeModel(self, **settings)

    def __repr__(self) -> str:
        scales = ", ".join(self.calibration.names) or "nothing"
        where = f" from {self.files}" if self.files else ""
        return f"<committee of {len(self)}{where}, calibrated: {scales}>"

    def __copy__(self) -> CalibratedCommittee:
        return self

    def __deepcopy__(self, memo: dict) -> CalibratedCommittee:
        return self

    def __reduce__(self) -> tuple:
        states = [
            {name: value.detach().cpu() for name, value in model.state_dict().items()}
            for model in self.models
        ]
        return _rebuilt, (states, self.descriptions, self.device, self.calibration)


def _rebuilt(
    states: list[dict[str, Tensor]],
    descriptions: list[dict[str, Any]],
    device: str,
    calibration: SpreadCalibration,
) -> CalibratedCommittee:
    """Out of a pickle; on the CPU where the machine has no such device."""
    device = device if device == "cpu" or torch.cuda.is_available() else "cpu"
    models = []
    for state, description in zip(states, descriptions, strict=True):
        model = EnergyModel(Architecture(**description["architecture"]))
        model.load_state_dict(state)
        models.append(model.to(device).eval().requires_grad_(False))
    committee = CalibratedCommittee(models, descriptions, device)
    committee.calibration = calibration
    return committee


def open_committee(
    folder: Path, round: int | None = None, device: str = "auto"
) -> CalibratedCommittee:
    """See :func:`molsieve.potential.load_committee`."""
    files = find_committee(folder, round)
    content = read_json(files.calibration)
    try:
        committee = CalibratedCommittee.load(files.members, device_name(device))
    except CampaignError:
        raise
    except (ValueError, KeyError, TypeError, RuntimeError, OSError) as error:
        raise CampaignError(f"{files}: a member cannot be loaded: {error}") from error
    assert isinstance(committee, CalibratedCommittee)
    # Objectives are at a better level where property heads have one.
    heads = [read_json(folder / "model.json")["level_ids"][-1] for folder in files.properties[:1]]
    if content.get("level_id", committee.level_id) not in (committee.level_id, *heads):
        raise CampaignError(
            f"{files.calibration} belongs to level {content['level_id']}, "
            f"the members to {committee.level_id}"
        )
    committee.calibration, committee.files = SpreadCalibration.of(content), files
    return committee


def device_name(name: str) -> str:
    """torch's name of a device.

    Raises:
        CampaignError: a device that this machine has not.
    """
    seen = torch.cuda.is_available()
    if name == "auto":
        return "cuda" if seen else "cpu"
    if name.startswith(("gpu", "cuda")) and not seen:
        raise CampaignError(f"device {name}: torch sees no GPU here; allowed: cpu, auto")
    return "cuda" if name == "gpu" else name
