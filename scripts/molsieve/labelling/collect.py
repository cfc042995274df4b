"""The frozen dataset of a round: every label selected so far, split by group."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from molsieve import tables
from molsieve.labelling.store import read_labels
from molsieve.levels import Level, level_id
from molsieve.retries.orders import RECORD
from molsieve.section import CampaignError

SPLIT_PRECEDENCE = ["calibration", "test", "validation", "train"]
"""If one round puts a group into two splits, the one that training must not see wins."""
SHARED = "shared"
"""``selection.split`` of a species that many candidates share: it is never set apart."""
NO_RECEIPT = "no_receipt"


def collect_labels(
    selections: Sequence[str | Path],
    structures: Sequence[str | Path],
    receipts: Sequence[str | Path],
    level: Level,
    store: str | Path,
    round: int,
    validation_share: float,
    seed: int,
    quorum: float,
    *,
    dataset_path: str | Path,
    structures_path: str | Path,
    labels_path: str | Path,
    campaign: str = "",
    retries: Sequence[int] = (),
) -> dict[str, Any]:
    """Write ``dataset``, ``structures`` and ``labels`` of all rounds so far, by ``structure_id``.

    A structure is in the dataset if its winning label is ok; one that failed is counted. A group's
    split is the one of the first round that selected it and never changes, except that a share
    of the training groups is set apart for validation (see :func:`split_groups`).

    Args:
        selections, structures: one file a round, this round's included.
        receipts: of this round's label jobs (those of earlier rounds do no harm).
        round: this round; written into each dataset row.
        quorum: share of this round's structures that must have an ok label.
        retries: numbers of the retry orders that it waited for, written beside the dataset so that
            later ones leave it as it is.

    Returns:
        ``round``, ``selected``, ``labelled``, ``failed`` (by kind) of this round; ``dataset`` rows
        by split over all rounds.

    Raises:
        CampaignError: the quorum is missed, with the failures by kind.
    """
    selected = tables.read_table(selections, "selection")
    chosen = selected.sort_values("round", kind="stable").drop_duplicates("structure_id")
    labels = read_labels(store, level_id(level), chosen["structure_id"])
    ok_labels = labels[labels["status"] == "ok"]
    this_round = set(selected.loc[selected["round"] == round, "structure_id"])
    failed = failures(this_round, labels, tables.read_table(receipts, "receipt"))
    check_quorum(len(this_round), failed, quorum, round)

    rows = chosen[chosen["structure_id"].isin(ok_labels["structure_id"])]
    splits = split_groups(selected, rows["group"], validation_share, seed)
    dataset = _dataset(rows, round, level_id(level), splits)
    geometries = tables.read_table(structures, "structures").drop_duplicates("structure_id")
    tables.write_json(sorted(retries), Path(dataset_path).with_name(RECORD))
    _write(dataset, geometries, ok_labels, (dataset_path, structures_path, labels_path), campaign)
    return {
        "round": round,
        "selected": len(this_round),
        "labelled": len(this_round) - sum(failed.values()),
        "failed": failed,
        "dataset": {str(k): int(n) for k, n in dataset["split"].value_counts().items()},
    }


def failures(wanted: set[str], labels: pd.DataFrame, receipts: pd.DataFrame) -> dict[str, int]:
    """How many of the ``wanted`` structures have no ok label, by kind of error.

    One without a label row counts as ``no_receipt``, unless a receipt knows its error.
    """
    told = pd.concat([f for f in (receipts, labels) if len(f)] or [labels])
    kinds = {
        row.structure_id: row.error_kind if row.status == "failed" else NO_RECEIPT
        for row in told.itertuples()
    }
    ok = set(labels.loc[labels["status"] == "ok", "structure_id"])
    missing = pd.Series([kinds.get(i, NO_RECEIPT) for i in sorted(wanted - ok)], dtype=object)
    return {str(kind): int(n) for kind, n in missing.value_counts().sort_index().items()}


def check_quorum(wanted: int, failed: dict[str, int], quorum: float, round: int) -> None:
    """Raise a message for the campaign's author if too few structures have a label."""
    labelled = wanted - sum(failed.values())
    needed = math.ceil(quorum * wanted - 1e-9)
    if labelled >= needed:
        return
    kinds = ", ".join(f"{n} {kind}" for kind, n in failed.items())
    raise CampaignError(
        f"round {round}: {labelled} of {wanted} structures have a label, labels.quorum = "
        f"{quorum:g} wants {needed}. Without a label: {kinds}. The label store keeps each error's "
        "message: repeat some with molsieve retry, mend the level of theory or lower labels.quorum"
    )


def split_groups(
    selected: pd.DataFrame, groups: pd.Series, validation_share: float, seed: int
) -> dict[str, str]:
    """The split of each of ``groups``, the same whatever the order of rows.

    The first round that selected a group decides; a null split means train. Of the training groups
    those whose hash with ``seed`` falls below ``validation_share`` validate, so that a group stays
    where it is as the dataset grows; of two groups or more at least one validates and one trains.
    A "shared" one always trains.
    """
    shared = set(selected.loc[selected["split"] == SHARED, "group"])
    named = selected["split"].replace(SHARED, "train").fillna("train")
    ranked = selected.assign(
        split=named,
        rank=named.map(SPLIT_PRECEDENCE.index),
    )
    first = ranked.sort_values(["round", "rank"], kind="stable").drop_duplicates("group")
    splits = dict(zip(first["group"], first["split"], strict=True))
    splits = {group: splits[group] for group in sorted(set(groups))}
    training = sorted(
        (group for group, split in splits.items() if split == "train" and group not in shared),
        key=lambda group: (hash_fraction(seed, group), group),
    )
    if len(training) >= 2:
        below = sum(hash_fraction(seed, group) < validation_share for group in training)
        for group in training[: min(max(below, 1), len(training) - 1)]:
            splits[group] = "validation"
    return splits


def hash_fraction(seed: int, group: str) -> float:
    """A number in [0, 1) that depends on ``seed`` and ``group`` only, evenly spread."""
    text = json.dumps([seed, group]).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") / 2**64


def _dataset(rows: pd.DataFrame, round: int, level_id: str, splits: dict[str, str]) -> pd.DataFrame:
    columns = ["structure_id", "species_id", "group", "candidate_id"]
    return (
        rows[columns]
        .assign(round=round, level_id=level_id, split=rows["group"].map(splits), why=rows["reason"])
        .sort_values("structure_id", ignore_index=True)
    )


def _write(
    dataset: pd.DataFrame,
    geometries: pd.DataFrame,
    labels: pd.DataFrame,
    paths: tuple[str | Path, str | Path, str | Path],
    campaign: str,
) -> None:
    """The three tables, of the same structures; the dataset, which names the others, last."""
    ids = set(dataset["structure_id"])
    lost = ids - set(geometries["structure_id"])
    if lost:
        raise ValueError(f"{len(lost)} selected structures are in no structures table: {min(lost)}")
    for table, name, path in (
        (geometries, "structures", paths[1]),
        (labels, "labels", paths[2]),
        (dataset, "dataset", paths[0]),
    ):
        mine = table[table["structure_id"].isin(ids)].sort_values("structure_id")
        tables.write_table(mine, name, path, campaign)
