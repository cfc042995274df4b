"""A job of cells and molecules at one periodic level: what stands in the store."""

import numpy as np
import pandas as pd
import pytest
from ase.build import molecule
from tests.engines.crystals import quartz

from molsieve.chem.identities import atoms_from_row, structure_row
from molsieve.engines import compute_label
from molsieve.labelling.job import label_structures
from molsieve.labelling.store import read_labels
from molsieve.levels import TbliteLevel, level_id

GFN1 = TbliteLevel(engine="tblite", method="GFN1-xTB", min_cell_angstrom=4.5)
"""Two by two by one of quartz."""


def test_cells_molecules_and_charged_cells_have_a_row_each(tmp_path, run):
    cell, water, charged = quartz(), molecule("H2O"), quartz(0.0)
    charged.info = {"charge_e": 1, "multiplicity": 2}
    structures = pd.DataFrame(
        structure_row(atoms, species_id="any", origin="built", geometry_protocol_id="test")
        for atoms in (cell, water, charged)
    )
    label_structures(structures, GFN1, tmp_path, None, workers=1, run=run, job="cells")
    columns = ["energy_ev", "forces_ev_per_angstrom", "stress_ev_per_angstrom3"]
    columns += ["valence_electrons", "error_kind", "error_message"]
    rows = read_labels(tmp_path, level_id(GFN1), columns=columns).set_index("structure_id")
    silica, molecular, refused = (rows.loc[i] for i in structures["structure_id"])

    label = compute_label(atoms_from_row(structures.iloc[0].to_dict()), GFN1)
    assert silica["energy_ev"] == pytest.approx(label.energy_ev, abs=1e-6)
    for name in columns[1:3]:
        np.testing.assert_allclose(silica[name], getattr(label, name).ravel(), atol=1e-6)
    assert silica["valence_electrons"] == 4 * 48
    assert molecular["stress_ev_per_angstrom3"] is None and molecular["valence_electrons"] == 8
    assert refused["error_kind"] == "bad_input"
    assert "charged_cells: true" in refused["error_message"]
