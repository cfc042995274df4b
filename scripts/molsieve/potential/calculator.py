"""The committee as an ASE calculator: its mean, and its spread as results of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ase
from ase.calculators.calculator import Calculator, all_changes

from molsieve.potential.committee import Committee
from molsieve.potential.graphs import AtomsBatch


class CommitteeCalculator(Calculator):
    """Energy (eV) and forces (eV/Å): mean over the members.

    ``results`` also has ``energy_std`` (eV), ``forces_std`` (n, 3; eV/Å), sample standard
    deviations over the members, uncalibrated, ``energies`` (M,) and ``in_domain`` (bool: every
    element was trained on). Charge and multiplicity are read from ``atoms.info``.
    """

    implemented_properties = ["energy", "free_energy", "forces"]  # noqa: RUF012

    def __init__(self, committee: Committee | Sequence[Path | str], **kwargs: Any):
        super().__init__(**kwargs)
        self.committee = (
            committee if isinstance(committee, Committee) else Committee.load(committee)
        )

    def calculate(
        self,
        atoms: ase.Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Fill ``results``; energy and forces are always computed together."""
        super().calculate(atoms, properties or ["energy"], system_changes)
        assert self.atoms is not None
        batch = AtomsBatch.from_atoms([self.atoms])
        output = self.committee(batch)
        energy = float(output.energy_mean[0])
        self.results = {
            "energy": energy,
            "free_energy": energy,
            "forces": output.forces_mean.cpu().numpy(),
            "energy_std": float(output.energy_std[0]),
            "forces_std": output.forces_std.cpu().numpy(),
            "energies": output.energies[:, 0].cpu().numpy(),
            "in_domain": bool(self.committee.knows(batch)[0]),
        }
