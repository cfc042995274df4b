"""A small real training set: hydrogenation couples of the G2 molecules at GFN2-xTB."""

import ase
import ase.build
import numpy as np
import pandas as pd
import pytest
from tblite.ase import TBLite

from molsieve import campaign, tables
from molsieve.chem.identities import structure_row
from molsieve.potential.training import train_member
from tests.finished_campaign import results  # noqa: F401 (a fixture)

LEVEL = "gfn2testlevel000"
COUPLES = {
    "methanol": ("H2CO", "CH3OH"),
    "ethanol": ("CH3CHO", "CH3CH2OH"),
    "ethane": ("C2H4", "C2H6"),
    "hydrogen_peroxide": ("O2", "H2O2"),
    "propanol": ("CH3COCH3", "C2H6CHOH"),
    "water": ("H2CO", "H2O"),
}
SPLITS = {"propanol": "validation", "ethane": "calibration", "water": "test"}


def gfn2(atoms: ase.Atoms) -> tuple[float, np.ndarray]:
    atoms = atoms.copy()
    atoms.calc = TBLite(method="GFN2-xTB", verbosity=0)
    return atoms.get_potential_energy(), atoms.get_forces()


@pytest.fixture(scope="session")
def tables_of_couples():
    """(dataset, structures, labels): 6 couples, each state relaxed-like and displaced twice."""
    structures, labels, dataset = [], [], []
    for number, (couple, names) in enumerate(COUPLES.items()):
        for role, name in zip(("oxidised", "reduced"), names, strict=True):
            for copy in range(3):
                atoms = ase.build.molecule(name)
                rng = np.random.default_rng([number, role == "reduced", copy])
                atoms.positions += rng.normal(0, 0.05 if copy else 1e-3, atoms.positions.shape)
                row = structure_row(
                    atoms,
                    species_id=f"{couple}-{role}",
                    origin="displaced" if copy else "relaxed",
                    geometry_protocol_id="test",
                    candidate_id=couple,
                    role=role,
                )
                atoms.positions = np.reshape(row["positions_angstrom"], (-1, 3))
                energy, forces = gfn2(atoms)
                structures.append(row)
                labels.append(label_row(row["structure_id"], energy, forces))
                dataset.append(
                    {
                        "round": 0,
                        "structure_id": row["structure_id"],
                        "level_id": LEVEL,
                        "species_id": row["species_id"],
                        "split": SPLITS.get(couple, "train"),
                        "group": couple,
                        "why": "seed",
                        "candidate_id": couple,
                    }
                )
    return pd.DataFrame(dataset), pd.DataFrame(structures), pd.DataFrame(labels)


def label_row(structure_id: str, energy: float, forces: np.ndarray) -> dict:
    row = {name: None for name in tables.SCHEMAS["labels"].names}
    return row | {
        "structure_id": structure_id,
        "level_id": LEVEL,
        "attempt_id": "0",
        "status": "ok",
        "recovery_step": 0,
        "engine": "tblite",
        "engine_version": "test",
        "wall_s": 0.0,
        "cores": 1,
        "energy_ev": float(energy),
        "forces_ev_per_angstrom": np.asarray(forces).ravel().tolist(),
    }


@pytest.fixture(scope="session")
def atom_energies():
    """Free atoms at GFN2-xTB, eV."""
    energies = {}
    for number, unpaired in ((1, 1), (6, 2), (7, 3), (8, 2)):
        atom = ase.Atoms([number], [[0, 0, 0]])
        atom.calc = TBLite(method="GFN2-xTB", verbosity=0, multiplicity=unpaired + 1)
        energies[number] = atom.get_potential_energy()
    return energies


@pytest.fixture(scope="session")
def settings():
    return campaign.Potential(
        members=2,
        features=16,
        interactions=2,
        radial_functions=8,
        cutoff_angstrom=3.5,
        batch_size=4,
        max_epochs=12,
        learning_rate=5e-3,
    )


@pytest.fixture(scope="session")
def member_folders(tables_of_couples, atom_energies, settings, tmp_path_factory):
    """Two trained members."""
    root = tmp_path_factory.mktemp("committee")
    folders = []
    for member in range(2):
        folder = root / str(member)
        train_member(*tables_of_couples, atom_energies, settings, LEVEL, 7, member, folder)
        folders.append(folder)
    return folders
