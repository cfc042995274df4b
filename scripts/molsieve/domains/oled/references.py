"""Molecules of known S1 and T1, shipped in ``references.csv``: every level labels some of them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

import pandas as pd

from molsieve.loading import wrong_choice
from molsieve.section import CampaignError


def reference_molecules() -> pd.DataFrame:
    """Vertical excitations: name, smiles, singlet_ev, singlet_state, triplet_ev, triplet_state …

    Theoretical best estimates of QUEST (Loos and co-workers) at CC3-quality geometries, of those
    molecules whose lowest singlet is a valence state: of a Rydberg state a basis without diffuse
    functions says nothing. ``note`` tells where S1 lies below T1, which TDA cannot give.
    """
    with resources.files(__package__).joinpath("references.csv").open() as lines:
        return pd.read_csv(lines, keep_default_na=False)


def select_references(names: Sequence[str]) -> pd.DataFrame:
    """The shipped molecules of these names, in shipped order.

    Raises:
        CampaignError: a name that is not shipped, with the nearest.
    """
    molecules = reference_molecules()
    known = molecules["name"].tolist()
    for index, name in enumerate(names):
        if name not in known:
            raise CampaignError(
                f"objective.reference_molecules[{index}]: {wrong_choice(name, known)}"
            )
    return molecules[molecules["name"].isin(list(names))].reset_index(drop=True)
