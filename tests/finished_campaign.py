"""Results of a campaign on the water molecule at GFN2-xTB, as far as its committees need them."""

from __future__ import annotations

import shutil
from pathlib import Path

import ase.build
import numpy as np
import pandas as pd
import pytest

from molsieve.campaign import Potential
from molsieve.chem.identities import structure_row
from molsieve.potential.committee import Committee
from molsieve.potential.evaluation import evaluate_committee
from molsieve.potential.training import train_member
from molsieve.tables import write_json, write_table
from tests.report.campaign_tables import campaign

LEVEL = "gfn2testlevel000"

SPLITS = ["train"] * 20 + ["validation"] * 4 + ["calibration"] * 8 + ["test"] * 8
SETTINGS = Potential(
    members=2,
    features=16,
    interactions=1,
    radial_functions=10,
    cutoff_angstrom=3.0,
    batch_size=5,
    max_epochs=60,
    learning_rate=1e-2,
    bootstrap=False,
)


_built: list[Path] = []
"""Of this process, whichever conftest asked first."""


@pytest.fixture(scope="session")
def results(tmp_path_factory) -> Path:
    """``results/tiny``: rounds 0 and 1 are evaluated, round 2 lacks its second member.

    Read it; to change it, take a copy.
    """
    if not _built:
        _built.append(_campaign(tmp_path_factory.mktemp("finished") / "results" / "tiny"))
    return _built[0]


def _campaign(folder: Path) -> Path:
    record = campaign(potential={"members": 2}).model_dump(mode="json")
    write_json(record, folder / "campaign.json")
    _write_round(folder / "rounds/0")
    shutil.copytree(folder / "rounds/0", folder / "rounds/1")
    shutil.copytree(folder / "rounds/0/committee/0", folder / "rounds/2/committee/0")
    return folder


def _write_round(place: Path) -> None:
    """Dataset, members and evaluation, each by the library's own function."""
    tables = waters()
    dataset, structures, _ = tables
    members = [place / "committee" / str(number) for number in range(SETTINGS.members)]
    for number, member in enumerate(members):
        atoms = {1: -10.707, 8: -102.522}
        train_member(*tables, atoms, SETTINGS, LEVEL, 7, number, member)
    metrics, calibration = evaluate_committee(Committee.load(members), *tables, round=0, seed=1)
    write_table(dataset, "dataset", place / "dataset/dataset.parquet")
    write_table(structures, "structures", place / "dataset/structures.parquet")
    write_table(metrics, "metrics", place / "evaluation/metrics.parquet")
    write_json(calibration | {"level_id": LEVEL}, place / "evaluation/calibration.json")


def waters() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """(dataset, structures, labels) of forty distorted water molecules, each a group."""
    from tests.potential.conftest import gfn2, label_row  # which has the fixture from here

    structures, labels, dataset = [], [], []
    for number, split in enumerate(SPLITS):
        atoms = water(0.12 * (number % 4) / 3 + 0.02, number)
        row = structure_row(
            atoms, species_id="water", origin="displaced", geometry_protocol_id="test"
        )
        energy, forces = gfn2(atoms)
        structures.append(row)
        labels.append(label_row(row["structure_id"], energy, forces))
        dataset.append(
            {
                "round": 0,
                "structure_id": row["structure_id"],
                "level_id": LEVEL,
                "species_id": "water",
                "split": split,
                "group": str(number),
                "why": "random" if split in ("calibration", "test") else "seed",
            }
        )
    return pd.DataFrame(dataset), pd.DataFrame(structures), pd.DataFrame(labels)


def water(displacement: float = 0.0, seed: int = 0) -> ase.Atoms:
    """Water, every atom displaced at random, Å."""
    atoms = ase.build.molecule("H2O")
    noise = np.random.default_rng(seed).normal(0, 1, atoms.positions.shape)
    atoms.positions = np.round(atoms.positions + displacement * noise, 5)
    return atoms
