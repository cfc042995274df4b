"""Real excited states of small molecules: TDA-HF/STO-3G and, as the better level, TDA-HF/3-21G."""

from types import SimpleNamespace

import ase
import ase.build
import numpy as np
import pandas as pd
import pytest
from pyscf import gto, scf, tdscf

from molsieve import campaign, tables
from molsieve.chem.identities import structure_row
from molsieve.properties.definitions import PROPERTIES
from molsieve.properties.training import train_property_member
from molsieve.property_settings import Fidelity, Properties
from molsieve.units import EV_PER_HARTREE

NAMES = tuple(PROPERTIES)
CHEAP, BETTER = "cheaptestlevel00", "bettertestlevel0"
BASES = {CHEAP: "sto-3g", BETTER: "3-21g"}
MOLECULES = {
    "H2CO": "train", "C2H4": "train", "HCN": "train", "H2O": "train", "C2H2": "validation",
    "NH3": "calibration", "CH4": "test",
}  # fmt: skip
BETTER_MOLECULES = ("H2CO", "C2H4", "NH3", "CH4")


def excited(atoms: ase.Atoms, basis: str) -> dict:
    """Columns of a label: two singlets with their strengths, one triplet."""
    mean_field = scf.RHF(
        gto.M(atom=list(zip(atoms.numbers, atoms.positions, strict=True)), basis=basis)
    )
    mean_field.verbose = 0
    mean_field.kernel()
    singlets, triplets = tdscf.TDA(mean_field), tdscf.TDA(mean_field)
    singlets.nstates, triplets.nstates, triplets.singlet = 2, 1, False
    singlets.kernel()
    triplets.kernel()
    return {
        "energy_ev": float(mean_field.e_tot * EV_PER_HARTREE),
        "singlet_energies_ev": (np.asarray(singlets.e) * EV_PER_HARTREE).tolist(),
        "triplet_energies_ev": (np.asarray(triplets.e) * EV_PER_HARTREE).tolist(),
        "oscillator_strengths": np.asarray(singlets.oscillator_strength()).tolist(),
        "root_converged": [True, True, True],
    }


def label(structure_id: str, level_id: str, values: dict) -> dict:
    row = {name: None for name in tables.SCHEMAS["labels"].names}
    return row | {
        "structure_id": structure_id, "level_id": level_id, "attempt_id": "0", "status": "ok",
        "recovery_step": 0, "engine": "pyscf", "engine_version": "test", "wall_s": 0.0, "cores": 1,
    } | values  # fmt: skip


@pytest.fixture(scope="session")
def labelled():
    """dataset, structures, and labels of each level: 7 molecules, displaced twice each."""
    dataset, structures, labels = [], [], {CHEAP: [], BETTER: []}
    for number, (name, split) in enumerate(MOLECULES.items()):
        for copy in range(2):
            atoms = ase.build.molecule(name)
            rng = np.random.default_rng([number, copy])
            atoms.positions += rng.normal(0, 0.03, atoms.positions.shape)
            row = structure_row(
                atoms, species_id=name, origin="relaxed", geometry_protocol_id="test",
                candidate_id=name, role="ground", conformer=copy,
            )  # fmt: skip
            atoms.positions = np.reshape(row["positions_angstrom"], (-1, 3))
            structures.append(row)
            for level, basis in BASES.items():
                if level == CHEAP or (name in BETTER_MOLECULES and copy == 0):
                    found = label(row["structure_id"], level, excited(atoms, basis))
                    labels[level].append(found)
            dataset.append(
                {
                    "round": 0, "structure_id": row["structure_id"], "level_id": CHEAP,
                    "species_id": name, "split": split, "group": name, "why": "seed",
                    "candidate_id": name,
                }
            )  # fmt: skip
    return SimpleNamespace(
        dataset=pd.DataFrame(dataset),
        structures=pd.DataFrame(structures),
        cheap=pd.DataFrame(labels[CHEAP]),
        better=pd.DataFrame(labels[BETTER]),
    )


@pytest.fixture(scope="session")
def potential():
    return campaign.Potential(
        members=2, features=16, interactions=2, radial_functions=8, cutoff_angstrom=4.0
    )


@pytest.fixture(scope="session")
def settings():
    return Properties(max_epochs=12, batch_size=4, representation="own")


@pytest.fixture(scope="session")
def two_levels(settings):
    return settings.model_copy(update={"fidelity": Fidelity(level="better")})


def train(labelled, potential, settings, folder, seed=7, member=0, **more):
    """One level or, where the settings say so, both."""
    both = settings.fidelity is not None
    labels = [labelled.cheap, labelled.better] if both else [labelled.cheap]
    return train_property_member(
        labelled.dataset, labelled.structures, labels, [CHEAP, BETTER][: len(labels)], NAMES,
        potential, settings, seed, member, folder, **more,
    )  # fmt: skip


@pytest.fixture(scope="session")
def member_folders(labelled, potential, settings, tmp_path_factory):
    folders = [tmp_path_factory.mktemp("properties") / str(member) for member in range(2)]
    for member, folder in enumerate(folders):
        train(labelled, potential, settings, folder, member=member)
    return folders
