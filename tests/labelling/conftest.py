import itertools

import ase
import numpy as np
import pandas as pd
import pytest
from ase.build import molecule

from molsieve.campaign import Run
from molsieve.chem.identities import structure_row
from molsieve.labelling.store import LevelFolder, new_attempt_id
from molsieve.levels import TbliteLevel, level_id

SMALL = ["H2O", "NH3", "CH3OH", "CH3Cl", "CH3CN", "HF", "C2H4", "CO2"]


@pytest.fixture
def level():
    return TbliteLevel(engine="tblite")


@pytest.fixture
def level_name(level):
    return level_id(level)


@pytest.fixture
def folder(tmp_path, level):
    return LevelFolder.made(tmp_path / "store", level)


@pytest.fixture
def starts_file(tmp_path, monkeypatch):
    path = tmp_path / "starts.txt"
    monkeypatch.setenv("MOLSIEVE_TEST_STARTS", str(path))
    return path


@pytest.fixture
def run(tmp_path):
    return Run(scratch=str(tmp_path / "scratch"))


@pytest.fixture
def small_molecules():
    """(n, names) -> a ``structures`` frame of n different geometries of those molecules."""

    def frame(n, names=tuple(SMALL)):
        rng = np.random.default_rng(3)
        rows = []
        for name in itertools.islice(itertools.cycle(names), n):
            atoms: ase.Atoms = molecule(name)
            atoms.positions += rng.normal(scale=0.02, size=atoms.positions.shape)
            atoms.info = {"charge_e": 0, "multiplicity": 1}
            rows.append(
                structure_row(atoms, species_id=name, origin="built", geometry_protocol_id="test")
            )
        return pd.DataFrame(rows)

    return frame


@pytest.fixture
def label_row(level_name):
    """(structure_id, **columns) -> a ``labels`` record."""

    def row(structure_id, **columns):
        return {
            "structure_id": structure_id,
            "level_id": level_name,
            "attempt_id": new_attempt_id(),
            "status": "ok",
            "recovery_step": 0,
            "engine": "tblite",
            "engine_version": "0",
            "wall_s": 0.5,
            "cores": 1,
            "energy_ev": -1.5,
            "forces_ev_per_angstrom": [0.0, 0.1, 0.2],
            **columns,
        }

    return row
