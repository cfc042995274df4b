"""A campaign with real failures in its label store: xTB that was given one SCF iteration."""

from __future__ import annotations

from pathlib import Path

import ase
import numpy as np
import pandas as pd
from ase.build import molecule

from molsieve.campaign import Campaign, Run
from molsieve.chem.identities import structure_row
from molsieve.labelling import label_structures
from molsieve.loading import load_mapping
from molsieve.tables import SCHEMAS, write_json, write_table
from tests.campaigns import edited

LEVELS = {
    "gfn2": {"engine": "tblite"},
    "gfn1": {"engine": "tblite", "method": "GFN1-xTB"},
}


def failed_campaign(folder: Path) -> Campaign:
    """A campaign whose label store is below ``folder``."""
    return load_mapping(
        edited(
            ("levels", LEVELS),
            ("ranking.confirm.level", "gfn1"),
            ("run.label_store", str(folder / "store")),
            ("stop.max_rounds", 2),
        )
    )


def structures(count: int, name: str = "H2O") -> pd.DataFrame:
    """Geometries of a molecule, all different; the same for the same name."""
    random = np.random.default_rng(4)
    rows = []
    for _ in range(count):
        atoms: ase.Atoms = molecule(name)
        atoms.positions += random.normal(scale=0.02, size=atoms.positions.shape)
        atoms.info = {"charge_e": 0, "multiplicity": 1}
        rows.append(
            structure_row(atoms, species_id=name, origin="built", geometry_protocol_id="test")
        )
    return pd.DataFrame(rows)


def put(results: Path, place: str, rows: pd.DataFrame) -> None:
    """Write the structures of a stage."""
    write_table(rows, "structures", results / place / "structures.parquet", "small")


def put_hits(results: Path, round: int, rows: pd.DataFrame) -> None:
    """Write the structures of a round's hits, all of them committee minima."""
    put(results, f"rounds/{round}/hits", rows)
    hits = rows.assign(round=round, reason="top", group="g", geometry="committee_minimum")
    table = hits.reindex(columns=SCHEMAS["selection"].names)
    write_table(table, "selection", results / f"rounds/{round}/hits/selection.parquet", "small")


def freeze(results: Path, round: int) -> None:
    """Make a round look finished: a dataset and figures."""
    write_table([], "dataset", results / f"rounds/{round}/dataset/dataset.parquet", "small")
    write_json({"round": round}, results / f"rounds/{round}/figures.json")


def label(
    campaign: Campaign, rows: pd.DataFrame, level: str, iterations: int = 1, newer_than: str = ""
) -> pd.DataFrame:
    """Compute the structures, by default in vain; returns the receipt."""
    settings = campaign.level(level).model_copy(update={"max_iterations": iterations})
    return label_structures(
        rows,
        settings,
        campaign.run.label_store,
        None,
        workers=1,
        run=Run(),
        job="small-0-0",
        newer_than=newer_than,
    )
