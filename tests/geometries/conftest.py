"""Molecules of the Morse committee at its minima, and a campaign's tables of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from molsieve.chem.identities import structure_row
from tests.morse_committee import FORMULAS, cluster, relaxed_clusters


@pytest.fixture(scope="session")
def minima():
    return relaxed_clusters()


@pytest.fixture(scope="session")
def campaign_tables(minima):
    _, batch, _ = minima
    structures, dataset = [], []
    for s, formula in enumerate(FORMULAS):
        atoms = cluster(formula, s)
        atoms.positions = batch.positions[batch.structure == s].numpy()
        for copy, origin in enumerate(["displaced", "relaxed"]):
            placed = atoms.copy()
            placed.positions += 0.03 * (1 - copy) * np.sin(np.arange(3 * len(atoms))).reshape(-1, 3)
            row = structure_row(
                placed,
                species_id=f"s{s}",
                origin=origin,
                geometry_protocol_id="g",
                candidate_id=f"c{s}",
                role="oxidised",
            )
            structures.append(row)
            split = ["train", "train", "train", "calibration", "test"][s]
            dataset.append(
                {"structure_id": row["structure_id"], "candidate_id": f"c{s}", "split": split}
            )
    return pd.DataFrame(dataset), pd.DataFrame(structures)
