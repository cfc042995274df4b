"""Which structures a label job computes: a deterministic, balanced cut."""

from __future__ import annotations

import numpy as np
import pandas as pd

from molsieve.labelling.cost import CostModel
from molsieve.levels import Level, TbliteLevel

_ANY_LEVEL = TbliteLevel.model_validate({"engine": "tblite"})


def shard_of(
    structures: pd.DataFrame,
    shard: int,
    shards: int,
    cost: CostModel,
    level: Level | None = None,
) -> pd.DataFrame:
    """Part ``shard`` (0-based) of ``shards``, longest first; the parts are disjoint and complete.

    The longest structure goes to the shard that has least so far (Graham's LPT rule). It depends
    on the set of structures and on ``cost`` only, never on the order of rows: every shard's job
    must pass the same cost model, so not one fitted to a store that grows meanwhile.

    Args:
        structures: rows of the ``structures`` contract; a ``structure_id`` twice counts once.
        level: whose costs count; None: those of a tight-binding level.
    """
    if not 0 <= shard < shards:
        raise ValueError(f"shard {shard} of {shards} does not exist")
    unique = structures.drop_duplicates("structure_id").sort_values(
        "structure_id", ignore_index=True
    )
    costs = cost.predicted_costs_s(unique, level or _ANY_LEVEL)
    order = np.argsort(-costs, kind="stable")
    load = np.zeros(shards)
    mine = []
    for row in order:
        lightest = int(np.argmin(load))
        load[lightest] += costs[row]
        if lightest == shard:
            mine.append(row)
    return unique.iloc[mine].reset_index(drop=True)
