"""Structures that tell labelled candidates' values, read without all the others.

A space of millions of molecules has thousands of labels. Whoever asks for observed values, or
judges a committee by them, needs the geometries of those candidates only.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd

from molsieve.objective import labels_minima
from molsieve.table_streams import read_rows
from molsieve.tables import read_table


def read_labelled_structures(
    domain: str, files: Sequence[str | Path], structure_ids: Collection[str]
) -> pd.DataFrame:
    """``structures`` rows, in their order, of every candidate that has one of these structures.

    Two candidates may share a structure: both are there. All rows of a domain that labels the
    committee's minima, where a candidate's rows also tell which bonds another one's should have.

    Args:
        structure_ids: that are labelled.

    Raises:
        TableError: as :func:`molsieve.tables.read_table`.
    """
    if labels_minima(domain):
        return read_table(files, "structures")
    owners = read_table(files, "structures", ["structure_id", "candidate_id"])
    known = owners["structure_id"].isin(list(structure_ids))
    labelled = owners.loc[known, "candidate_id"].dropna()
    return read_rows(files, "structures", "candidate_id", set(labelled))
