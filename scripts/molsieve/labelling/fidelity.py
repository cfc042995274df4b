"""A second, better level of theory for a share of a round's structures, at identical geometries."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from molsieve import tables
from molsieve.campaign import Campaign
from molsieve.labelling.collect import SHARED, hash_fraction
from molsieve.labelling.store import read_labels
from molsieve.property_settings import Fidelity, fidelity_of


def structures_at_both_levels(
    structures: pd.DataFrame, selection: pd.DataFrame, share: float, seed: int
) -> pd.DataFrame:
    """The rows of ``structures`` that the better level labels as well.

    Of the groups that train, those whose hash with ``seed`` falls below ``share``, so that one
    stays as more rounds come; of calibration and test all, as predictions are at the better level
    and are judged there; of the acquired candidates all, as the answer is at the better level and
    what is known of it decides what is chosen next.

    Args:
        structures, selection: of one round.
    """
    groups = selection["group"].tolist()
    judged = ~(selection["split"].isna() | selection["split"].isin(["train", SHARED]))
    judged |= selection["reason"] == "acquired"
    # Another text than that of the validation split, which would draw the same groups.
    drawn = [hash_fraction(seed, f"better level: {group}") < share for group in groups]
    chosen = selection.loc[judged | pd.Series(drawn, selection.index), "structure_id"]
    return structures[structures["structure_id"].isin(chosen)].reset_index(drop=True)


def asked_for(selection: pd.DataFrame, campaign: Mapping[str, Any]) -> pd.DataFrame:
    """The rows of ``selection`` of which a label at the objective's level was asked for.

    Args:
        campaign: as plain values; those it does not say are the defaults.
    """
    fidelity = fidelity_of(campaign)
    if fidelity is None:
        return selection
    seed = campaign.get("seed", Campaign.model_fields["seed"].default)
    return structures_at_both_levels(selection, selection, Fidelity(**fidelity).share, seed)


def collect_fidelity(
    dataset: pd.DataFrame, store: str | Path, level_id: str, out: Path, campaign: str = ""
) -> int:
    """Write the ok labels of a dataset's structures at the level as table ``labels``; how many.

    A structure that failed at the better level trains by its other label alone.
    """
    labels = read_labels(store, level_id, dataset["structure_id"])
    ok = labels[labels["status"] == "ok"].sort_values("structure_id")
    tables.write_table(ok, "labels", out, campaign)
    return len(ok)
