"""Orders to repeat failed calculations, as every job of the workflow reads them.

Floor 0: standard library and the campaign's models only, because each job parses the workflow.
``molsieve retry`` (``choice.py``) writes an order as ``<results>/retries/<number>/order.json``
beside its ``structures.parquet``; rule ``retry_labels`` works it off, a receipt a shard.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from molsieve.campaign import Campaign, Run
from molsieve.levels import Level, level_id, parse_level
from molsieve.section import CampaignError

FOLDER = "retries"
KNOWN = "MOLSIEVE_RETRY_ORDERS"
"""Environment of a controller's jobs: the numbers of the orders that it knows of."""
RECORD = "retries.json"
"""Beside a round's dataset: the orders that it waited for."""


@dataclass(frozen=True)
class Order:
    """Failed calculations of one level to be repeated, with what is changed for them."""

    number: int
    campaign: str
    level: str
    level_id: str
    settings: dict[str, Any]
    """Of the level, in place of the campaign file's."""
    time_limit_s: float
    """Of one calculation."""
    newer_than: str
    """The last failure at order time (an ``attempt_id``): up to it a failed row does not count."""
    ordered_at: str
    shards: int
    calculations: int
    rounds: list[int]
    """Rounds that selected one of the structures."""
    hits: list[int]
    """Rounds among whose hits one of the structures is."""
    references: bool
    """Whether one of the structures is a measured system: the level's calibration rests on it."""

    def to_json(self) -> dict[str, Any]:
        """As ``order.json`` holds it; the number is the folder's name."""
        return {key: value for key, value in asdict(self).items() if key != "number"}

    def receipts(self, results: Path) -> list[Path]:
        """The receipt of each shard."""
        folder = results / FOLDER / str(self.number) / "receipts"
        return [folder / f"{shard}.parquet" for shard in range(self.shards)]

    def is_open(self, results: Path) -> bool:
        """True until every shard has handed in."""
        return not all(path.exists() for path in self.receipts(results))

    def run_settings(self, run: Run) -> Run:
        """The campaign's run section with the order's time limit."""
        return run.model_copy(update={"calculation_time_limit_s": self.time_limit_s})

    def level_settings(self, levels: dict[str, Any]) -> Level:
        """The level to compute at, from the campaign file's ``levels``.

        Raises:
            CampaignError: the file's level is not the one that was ordered (any more).
        """
        if self.level in levels:
            level = parse_level({**levels[self.level], **self.settings})
            if level_id(level) == self.level_id:
                return level
        raise CampaignError(
            f"order {self.number} is of another level {self.level!r} than the campaign's file "
            f"has now; delete its folder {FOLDER}/{self.number} and order again"
        )


def read_order(folder: Path) -> Order:
    """The order in a folder.

    Raises:
        CampaignError: it is damaged.
    """
    try:
        return Order(number=int(folder.name), **json.loads((folder / "order.json").read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise CampaignError(
            f"{folder}/order.json is damaged ({error}); delete {folder} and order again"
        ) from error


def read_orders(results: Path, known: Collection[str] | None = None) -> list[Order]:
    """Every order of a campaign, by number.

    Args:
        known: None, or the only numbers to be read.
    """
    folder = results / FOLDER
    found = [p for p in folder.iterdir() if p.name.isdecimal()] if folder.is_dir() else []
    found = [path for path in found if known is None or path.name in known]
    return [read_order(path) for path in sorted(found, key=lambda path: int(path.name))]


def orders_in_force(campaign: Campaign, results: Path, controller: bool) -> list[Order]:
    """The orders of this run that are of levels as the campaign has them now.

    A job sees what its controller saw when it started: an order written meanwhile would be an input
    that nobody makes. It waits for the next controller.

    Args:
        controller: False in a job.

    Raises:
        CampaignError: an order is damaged, or (for the controller) one that a dataset rests on is
            gone.
    """
    if controller:
        _refuse_lost_orders(results)
        known = None
    else:
        told = os.environ.get(KNOWN)
        known = None if told is None else told.split(",")
    orders = [o for o in read_orders(results, known) if _is_in_force(o, campaign)]
    if controller:
        os.environ[KNOWN] = ",".join(str(order.number) for order in orders)
    return orders


def _refuse_lost_orders(results: Path) -> None:
    """Its receipts were inputs of a dataset: without them Snakemake would plan the round again."""
    for record in sorted(results.glob(f"rounds/*/dataset/{RECORD}")):
        for number in _recorded(record):
            folder = results / FOLDER / str(number)
            if not (folder / "order.json").exists():
                raise CampaignError(
                    f"{folder} is gone, and {record.parent} was made with the labels of that order."
                    "\nPut the folder back as it was, with its times (from a backup: cp -a).\n"
                    "Without one: delete "
                    f"{record}; then that dataset and all that was computed from it (committee, "
                    "predictions, later rounds) are computed again."
                )


def _recorded(record: Path) -> list[int]:
    try:
        return [int(number) for number in json.loads(record.read_text())]
    except (ValueError, TypeError) as error:
        raise CampaignError(
            f"{record} is damaged ({error}): a list of numbers of the orders in {FOLDER}/ that "
            "this dataset waited for; without the file its round is computed again"
        ) from error


def _is_in_force(order: Order, campaign: Campaign) -> bool:
    level = campaign.levels.get(order.level)
    return level is not None and level_id(level) == order.level_id


def orders_before_dataset(orders: Iterable[Order], results: Path, round: int) -> list[Order]:
    """The orders whose labels a round's dataset waits for: of its structures and earlier rounds'.

    A dataset that is frozen has waited for those of its record and for no others, so that an order
    never plans a finished round again.
    """
    touching = [order for order in orders if any(r <= round for r in order.rounds)]
    dataset = results / "rounds" / str(round) / "dataset"
    if (dataset / RECORD).exists():
        waited_for = _recorded(dataset / RECORD)
        return [order for order in touching if order.number in waited_for]
    return [] if (dataset / "dataset.parquet").exists() else touching
