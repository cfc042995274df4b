"""Neutral molecules that balance a cation's atoms, by hand and over the guests that are shipped."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
from rdkit import Chem

from molsieve.docking.guests import GuestError
from molsieve.docking.proton_exchange import atom_counts, exchange_base

OSDAS = Path(__file__).resolve().parents[2] / "config" / "osdas.csv"


@pytest.mark.parametrize(
    ("cation", "base"),
    [
        ("CN", "CN"),
        ("[NH4+]", "N"),
        ("C[NH3+]", "CN"),
        ("C[NH+]1CC[NH+](C)CC1", "CN1CCN(C)CC1"),
        ("c1cc[nH+]cc1", "c1ccncc1"),
        ("C[N+](C)(C)C", "CCN(C)C"),  # Stevens
        ("C[n+]1ccccc1", "Cc1ccccn1"),  # Ladenburg
        ("C[N+](C)(C)C12CC3CC(CC(C3)C1)C2", "CCN(C)C12CC3CC(CC(C3)C1)C2"),
        ("C1CC[N+]2(C1)CCCC2", "C1CCN2CCCC2C1"),  # one ring grows by the other's carbon
        ("C[P+](C)(C)C", "CCP(C)C"),
        ("O=[N+]([O-])c1cc[nH+]cc1", "O=[N+]([O-])c1ccncc1"),  # the nitro group is left alone
    ],
)
def test_bases_by_hand(cation: str, base: str) -> None:
    assert exchange_base(cation) == base


@pytest.mark.parametrize("guest", ["CC(=O)[O-]", "[NH3+]CC(=O)[O-]", "C(", "[CH3]"])
def test_what_no_aluminium_balances_is_refused(guest: str) -> None:
    with pytest.raises(GuestError, match="guest"):
        exchange_base(guest)


def test_an_onium_without_hydrogen_beside_it_is_refused() -> None:
    phenyl = "c1ccccc1"
    with pytest.raises(GuestError, match="no neutral molecule"):
        exchange_base(f"{phenyl}[P+]({phenyl})({phenyl}){phenyl}")


def test_every_shipped_cation_is_balanced_by_atoms_and_neutral() -> None:
    with OSDAS.open() as lines:
        cations = [row["smiles"] for row in csv.DictReader(lines) if "+" in row["smiles"]]
    assert len(cations) > 300
    for cation in cations[::7]:
        base = exchange_base(cation)
        charge = Chem.GetFormalCharge(Chem.MolFromSmiles(cation))
        assert atom_counts(base) + Counter({1: charge}) == atom_counts(cation)
        assert Chem.GetFormalCharge(Chem.MolFromSmiles(base)) == 0
