"""What the excited states behind a shown value are like, as flags of the ranking.

The words are those of :mod:`molsieve.engines.excited_flags`: of the label at the built minimum and
of the confirming one. Candidates that are only predicted have none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd


def excitation_flags(structures: pd.DataFrame, labels: pd.DataFrame) -> dict[str, list[str]]:
    """By candidate, the flags of the ok labels of its relaxed structures; none without excitations.

    Args:
        structures: ``structures`` rows. labels: winning ``labels`` rows of one level.
    """
    if "excitation_flags" not in labels:
        return {}
    told = labels.loc[(labels["status"] == "ok") & labels["excitation_flags"].notna()]
    relaxed = structures.loc[structures["origin"] == "relaxed", ["structure_id", "candidate_id"]]
    rows = told[["structure_id", "excitation_flags"]].merge(relaxed.dropna(), on="structure_id")
    rows = rows.drop_duplicates("candidate_id")
    return dict(zip(rows["candidate_id"], map(list, rows["excitation_flags"]), strict=True))


def with_excitation_flags(
    table: pd.DataFrame,
    labelled: Mapping[str, Sequence[str]],
    confirmed: Mapping[str, Sequence[str]],
) -> list[list[str]]:
    """The ``flags`` of ``table`` and those of the label and the confirmation that it shows.

    Args:
        table: candidate_id, flags, label_value, confirmed_value.
        labelled, confirmed: by candidate, of :func:`excitation_flags`.
    """
    flags = [list(own) for own in table["flags"]]
    for column, marks in (("label_value", labelled), ("confirmed_value", confirmed)):
        shown = table[column].notna()
        for own, candidate, has in zip(flags, table["candidate_id"], shown, strict=True):
            own += [flag for flag in marks.get(candidate, ()) if has and flag not in own]
    return flags
