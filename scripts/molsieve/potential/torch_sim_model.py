"""The committee behind torch-sim's ``ModelInterface``: batched relaxation and dynamics.

torch-sim: Cohen et al., AI Sci. 1, 025003 (2025), arXiv:2508.06628. It is not needed for anything
else in Molsieve. Units are torch-sim's own metal units, which are ours: eV, Å, eV/Å, eV/Å³.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from molsieve.potential.committee import Committee
from molsieve.potential.committee_prediction import SpreadCalibration, predict_batch
from molsieve.potential.graphs import AtomsBatch

try:
    from torch_sim.models.interface import ModelInterface
    from torch_sim.state import SimState
except ImportError as missing:
    raise ImportError(
        "a torch-sim model needs torch-sim, which is not installed here: "
        "pip install torch-sim-atomistic==0.3.0"
    ) from missing


class CommitteeModel(ModelInterface):
    """Mean and spread of a committee for torch-sim's integrators, optimisers and runners.

    ``forward`` returns for S systems of N atoms ``energy`` (S,) eV, ``forces`` (N, 3) eV/Å,
    ``stress`` (S, 3, 3) eV/Å³ (with ``compute_stress``; NaN where not periodic); of each also
    ``…_std``, calibrated where the committee's calibration is known, and ``…_std_raw``, the sample
    standard deviation over the members.
    """

    def __init__(
        self,
        committee: Committee,
        compute_stress: bool = False,
        charge_e: int | Sequence[int] = 0,
        multiplicity: int | Sequence[int] = 1,
        dtype: torch.dtype = torch.float64,
    ):
        """Wrap a committee; it computes where the committee lies.

        Args:
            compute_stress: as torch-sim's optimisers of cells need it.
            charge_e, multiplicity: of every system, or one for each: torch-sim's states have none.
            dtype: of the states and results; the network itself is float32.
        """
        super().__init__()
        self.committee = committee
        self.calibration: SpreadCalibration = getattr(committee, "calibration", SpreadCalibration())
        self.charge_e, self.multiplicity = charge_e, multiplicity
        self._device, self._dtype = torch.device(committee.device), dtype
        self._compute_forces, self._compute_stress = True, compute_stress

    def forward(self, state: SimState | dict[str, Any], **_: Any) -> dict[str, Tensor]:
        """Energies, forces, stresses and their spreads of every system of ``state``.

        Raises:
            ValueError: charges or multiplicities given for another number of systems.
            CampaignError: a charge state that the committee cannot tell from its own.
        """
        if not isinstance(state, SimState):
            state = SimState(**{"masses": torch.ones_like(state["atomic_numbers"]), **state})
        found = predict_batch(self.committee, self._batch(state), self.calibration)
        names = ["energy", "forces"]
        if self.compute_stress:
            names.append("stress")
        results = {}
        for name in names:
            for key in (name, f"{name}_std", f"{name}_std_raw"):
                value = getattr(found, key)
                if value is None:  # a stress where no system is periodic
                    value = np.full((state.n_systems, 3, 3), np.nan)
                results[key] = torch.as_tensor(value, dtype=self.dtype, device=self.device)
        return results

    def _batch(self, state: SimState) -> AtomsBatch:
        """torch-sim's state as a batch of ours; its cells are columns, ours rows."""
        systems = state.n_systems
        periodic = torch.full((systems, 3), bool(state.pbc), device=state.device)
        cell = state.row_vector_cell.detach().double()
        return AtomsBatch(
            numbers=state.atomic_numbers.to(torch.int64),
            positions=state.positions.detach().double(),
            structure=state.system_idx.to(torch.int64),
            cell=torch.where(periodic[:, :, None], cell, 0.0),
            pbc=periodic,
            charge=_for_each(self.charge_e, systems, "charge_e", state.device),
            multiplicity=_for_each(self.multiplicity, systems, "multiplicity", state.device),
        )


def _for_each(
    value: int | Sequence[int], systems: int, name: str, device: torch.device | str
) -> Tensor:
    if isinstance(value, int):
        return torch.full((systems,), value, dtype=torch.int64, device=device)
    if len(value) != systems:
        raise ValueError(f"{name} of {len(value)} systems was given, the state has {systems}")
    return torch.tensor(list(value), dtype=torch.int64, device=device)
