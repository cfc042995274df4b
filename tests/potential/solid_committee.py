"""A committee trained on periodic solids: alloys labelled by effective medium theory."""

from __future__ import annotations

from pathlib import Path

import ase.build
import numpy as np
import pandas as pd
from ase.calculators.emt import EMT

from molsieve.campaign import Potential
from molsieve.chem.identities import structure_row
from molsieve.potential.committee import Committee
from molsieve.potential.training import train_member

SETTINGS = Potential(
    members=2,
    features=16,
    interactions=2,
    radial_functions=12,
    cutoff_angstrom=4.5,
    batch_size=4,
    max_epochs=30,
    patience_epochs=30,
    bootstrap=False,
)


def alloy(repeats: tuple[int, int, int] = (1, 1, 1), lattice: float = 3.75) -> ase.Atoms:
    """Cu3Pd, four atoms a cubic cell."""
    atoms = ase.build.bulk("Cu", cubic=True, a=lattice)
    atoms.symbols[0] = "Pd"
    return atoms.repeat(repeats)


def with_guest() -> ase.Atoms:
    """Eight sites, one of them empty, an aluminium atom beside it."""
    host = alloy((2, 1, 1))
    place = host.positions[5].copy()
    del host[5]
    return host + ase.Atoms("Al", [place + np.array([0.4, 0.1, -0.2])])


def trained_on_solids(folder: Path) -> Committee:
    """Two members, trained on energies, forces and stresses of distorted alloys."""
    rng = np.random.default_rng(0)
    structures, labels = [], []
    for number in range(32):
        atoms = (alloy(), with_guest())[number % 2]
        deformation = rng.uniform(0.97, 1.03) * np.eye(3) + rng.normal(0, 0.01, (3, 3))
        atoms.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
        atoms.positions += rng.normal(0, 0.08, atoms.positions.shape)
        atoms.calc = EMT()
        row = structure_row(
            atoms, species_id=f"{number}", origin="displaced", geometry_protocol_id="test"
        )
        structures.append(row)
        labels.append(
            {
                "structure_id": row["structure_id"],
                "level_id": "emt",
                "status": "ok",
                "energy_ev": atoms.get_potential_energy(),
                "forces_ev_per_angstrom": atoms.get_forces().ravel(),
                "stress_ev_per_angstrom3": atoms.get_stress(voigt=False).ravel(),
            }
        )
    tables = pd.DataFrame(structures), pd.DataFrame(labels)
    dataset = tables[1][["structure_id", "level_id"]].assign(group=tables[0]["species_id"])
    dataset["split"] = np.where(np.arange(len(dataset)) < 28, "train", "validation")
    members = [folder / f"member_{m}" for m in range(SETTINGS.members)]
    for number, member in enumerate(members):
        train_member(dataset, *tables, {}, SETTINGS, "emt", 0, number, member)
    return Committee.load(members)
