"""The committee as an ASE calculator: its mean, and its spread as results of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ase
import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.outputs import Properties, all_outputs
from ase.stress import full_3x3_to_voigt_6_stress
from torch import Tensor

from molsieve.chem.identities import charge_and_multiplicity
from molsieve.potential.committee import Committee
from molsieve.potential.committee_prediction import (
    CommitteePrediction,
    SpreadCalibration,
    predict_batch,
)
from molsieve.potential.graphs import AtomsBatch


class CommitteeCalculator(Calculator):
    """Energy (eV), forces (eV/Å) and, of periodic structures, stress: mean over the members.

    Charge and multiplicity are read from ``atoms.info["charge_e"]`` and ``["multiplicity"]`` (0 and
    1 where unsaid). What else is in ``results``:

    =========================================  ====================================================
    ``energy_std, forces_std, stress_std``     standard deviation, calibrated where it is known
    ``…_std_raw``                              sample standard deviation over the members
    ``energy_members``                         (M,) eV
    ``forces_members``                         (M, n, 3) eV/Å
    ``stress_members``                         (M, 6) eV/Å³
    ``energy_interval_68, …_95``               (low, high) eV
    ``calibrated``                             names of the quantities with a calibrated spread
    ``in_domain``, ``out_of_domain_reason``    whether such structures were trained on; why not
    =========================================  ====================================================

    Stresses are (1/V) dE/dstrain in eV/Å³ in ASE's order xx, yy, zz, yz, xz, xy, and only of
    structures that are periodic in all three directions.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, committee: Committee | Sequence[Path | str], **settings: Any):
        super().__init__(**settings)
        self.committee = (
            committee if isinstance(committee, Committee) else Committee.load(committee)
        )
        self.calibration: SpreadCalibration = getattr(
            self.committee, "calibration", SpreadCalibration()
        )

    def check_state(self, atoms: ase.Atoms, tol: float = 1e-15) -> list[str]:
        """What has changed since the last calculation, the charge state included."""
        changes: list[str] = super().check_state(atoms, tol)
        last: ase.Atoms | None = self.atoms
        if last is not None and charge_and_multiplicity(last) != charge_and_multiplicity(atoms):
            changes.append("charge_and_multiplicity")
        return changes

    def export_properties(self) -> Properties:
        """What ASE has a name for, of the last calculation."""
        return Properties({k: v for k, v in self.results.items() if k in all_outputs})

    def calculate(
        self,
        atoms: ase.Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Fill ``results``; energy, forces and stress are always computed together.

        Raises:
            CampaignError: a charge state that the committee cannot tell from its own.
        """
        super().calculate(atoms, properties or ["energy"], system_changes)
        assert self.atoms is not None
        batch = AtomsBatch.from_atoms([self.atoms])
        found = predict_batch(self.committee, batch, self.calibration)
        self.results = _energies(found) | _forces(found)
        if found.stress is not None and bool(self.atoms.pbc.all()):
            self.results |= _stresses(found)
        self.results["calibrated"] = found.calibrated
        self.results["in_domain"] = bool(found.in_domain[0])
        self.results["out_of_domain_reason"] = found.reasons[0]


def _energies(found: CommitteePrediction) -> dict[str, Any]:
    energy = float(found.energy[0])
    return {
        "energy": energy,
        "free_energy": energy,
        "energy_std": float(found.energy_std[0]),
        "energy_std_raw": float(found.energy_std_raw[0]),
        "energy_members": _array(found.members.energies[:, 0]),
        "energy_interval_68": tuple(found.energy_interval_68[0].tolist()),
        "energy_interval_95": tuple(found.energy_interval_95[0].tolist()),
    }


def _forces(found: CommitteePrediction) -> dict[str, Any]:
    assert found.members.forces is not None
    return {
        "forces": found.forces,
        "forces_std": found.forces_std,
        "forces_std_raw": found.forces_std_raw,
        "forces_members": _array(found.members.forces),
    }


def _stresses(found: CommitteePrediction) -> dict[str, Any]:
    assert found.stress is not None and found.members.stress is not None
    assert found.stress_std is not None and found.stress_std_raw is not None
    full = {
        "stress": found.stress[0],
        "stress_std": found.stress_std[0],
        "stress_std_raw": found.stress_std_raw[0],
        "stress_members": _array(found.members.stress[:, 0]),
    }
    return {name: full_3x3_to_voigt_6_stress(value) for name, value in full.items()}


def _array(value: Tensor) -> np.ndarray:
    return value.detach().cpu().numpy().astype(np.float64)
