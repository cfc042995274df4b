"""What is read of labelled candidates tells the same as the whole space does."""

import numpy as np
import pandas as pd
import pytest
from ase import Atoms

from molsieve.chem.identities import structure_row
from molsieve.labelled_structures import read_labelled_structures
from molsieve.objective import labelled_values
from molsieve.tables import SCHEMAS, read_table, write_table


@pytest.fixture
def files(tmp_path):
    """Candidates c0 … c5 of two species in two files; c4 shares its oxidised form with c1."""
    paths = []
    for shard in range(2):
        rows = []
        for n in range(shard, 6, 2):
            for role, own in (("oxidised", 1 if n == 4 else n), ("reduced", n)):
                atoms = Atoms("H2", [[0, 0, 0], [0, 0, 1 + own / 10 + (role == "reduced")]])
                atoms.info = {"charge_e": 0, "multiplicity": 1}
                whose = {"candidate_id": f"c{n}", "role": role, "species_id": f"{own}{role}"}
                made = {"origin": "relaxed", "geometry_protocol_id": "p"}
                rows.append(structure_row(atoms, **whose, **made))
        paths.append(tmp_path / f"{shard}.parquet")
        write_table(rows, "structures", paths[-1])
    return paths


def labels_of(structures, candidates):
    rows = structures[structures["candidate_id"].isin(candidates)].drop_duplicates("structure_id")
    return pd.DataFrame(
        {
            "structure_id": rows["structure_id"],
            "status": "ok",
            "energy_ev": -1.0 - np.arange(len(rows)),
        }
    ).reindex(columns=SCHEMAS["labels"].names)


def test_values_are_those_of_the_whole_space(files):
    whole = read_table(files, "structures")
    labels = labels_of(whole, {"c1", "c2", "c4"})
    found = read_labelled_structures("flow_battery", files, labels["structure_id"])
    assert set(found["candidate_id"]) == {"c1", "c2", "c4"} and len(found) == 6
    calibration = {"slope": 1.0, "intercept_v": 0.0, "h2_energy_ev": 0.0}
    values = [labelled_values("flow_battery", rows, labels, calibration) for rows in (whole, found)]
    pd.testing.assert_frame_equal(*values)
    assert len(values[0]) == 3


def test_who_shares_a_labelled_structure_is_there_with_all_of_its_own(files):
    labels = labels_of(read_table(files, "structures"), {"c1"})
    found = read_labelled_structures("flow_battery", files, labels["structure_id"])
    assert sorted(zip(found["candidate_id"], found["role"], strict=True)) == [
        (candidate, role) for candidate in ("c1", "c4") for role in ("oxidised", "reduced")
    ]


def test_minima_that_are_labelled_need_every_row(files):
    assert len(read_labelled_structures("zeolite", files, [])) == 12
