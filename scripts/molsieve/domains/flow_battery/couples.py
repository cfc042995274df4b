"""The measured couples that a level is calibrated on, shipped in ``couples.csv``."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from importlib import resources

import pandas as pd

from molsieve.section import CampaignError


def reference_couples() -> pd.DataFrame:
    """The measured couples: name, smiles, potential_v, medium, status, grade, source.

    ``potential_v`` is against SHE at pH 0.
    ``status`` read: seen in the source named; recalled: from memory. ``grade`` A about 10 mV,
    B about 20 mV. Acids are written neutral, as they are at pH 0 in a level without solvent.
    """
    with resources.files(__package__).joinpath("couples.csv").open() as lines:
        return pd.read_csv(lines)


def select_couples(names: Sequence[str] | None) -> pd.DataFrame:
    """The shipped couples of these names, in shipped order; None: all.

    Raises:
        CampaignError: a name that is not shipped, with the nearest that are.
    """
    couples = reference_couples()
    if names is None:
        return couples
    known = couples["name"].tolist()
    for index, name in enumerate(names):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.3)
            raise CampaignError(
                f"objective.reference_couples[{index}]: no couple named {name!r}; "
                + (f"nearest: {', '.join(map(repr, near))}; " if near else "")
                + f"shipped: {', '.join(map(repr, known))}"
            )
    return couples[couples["name"].isin(list(names))].reset_index(drop=True)
