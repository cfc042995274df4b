"""``molsieve retry``: choose failed calculations and order that they be repeated.

Reads results and label store; writes nothing but the order, see :mod:`molsieve.retries.orders`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from molsieve.campaign import Campaign
from molsieve.jobs.forecasts import write_forecast
from molsieve.jobs.resources import on_gpu
from molsieve.levels import level_id
from molsieve.plan.shard_advice import CALCULATIONS_A_WORKER
from molsieve.prices import JOB_CORES
from molsieve.retries.orders import FOLDER, Order, read_orders
from molsieve.retries.settings import checked_settings, checked_time_limit
from molsieve.section import CampaignError
from molsieve.status.calculations import level_states, parts, used_levels
from molsieve.status.failures import Failure, failures
from molsieve.tables import read_table, write_json, write_table


@dataclass(frozen=True)
class Choice:
    """Which failures are to be repeated; an empty field chooses by nothing."""

    kinds: Sequence[str] = ()
    structures: Sequence[str] = ()
    """Ids, or beginnings that only one failed structure has."""
    round: int | None = None
    """Its labels and its hits."""
    level: str | None = None
    references: bool = False
    """Measured systems, which the level's calibration rests on: alone only these, else too."""
    everything: bool = False

    def __bool__(self) -> bool:
        return self.references or self._is_of_more

    @property
    def only_references(self) -> bool:
        """Measured systems and nothing else."""
        return self.references and not self._is_of_more

    @property
    def _is_of_more(self) -> bool:
        by_what = (self.kinds, self.structures, self.level, self.everything)
        return any(by_what) or self.round is not None


@dataclass(frozen=True)
class Failed:
    """A failure, its last attempt, and the open order that is to repeat it, if any."""

    failure: Failure
    attempt_id: str
    order: int | None

    @property
    def is_reference(self) -> bool:
        """Whether the calibration of a level rests on it."""
        return "references" in self.failure.stages

    @property
    def rounds(self) -> list[int]:
        """Rounds that selected it."""
        return _numbered(self.failure.stages, "round")

    @property
    def hits(self) -> list[int]:
        """Rounds among whose hits it is."""
        return _numbered(self.failure.stages, "hits")


@dataclass(frozen=True)
class Chosen:
    """What is repeated, and what was asked for but is left out."""

    repeated: list[Failed]
    references: list[Failed] = field(default_factory=list)
    """Left out, as ``--references`` was not given."""
    ordered: list[Failed] = field(default_factory=list)
    """Left out, as an open order has them."""


def _numbered(stages: Iterable[str], what: str) -> list[int]:
    words = [stage.split() for stage in stages]
    return sorted(int(word[1]) for word in words if word[0] == what)


def all_failures(campaign: Campaign, results: Path) -> list[Failed]:
    """Every structure of the campaign that has a failed row, no label, and is not at work now."""
    states = level_states(campaign)
    last = {
        (name, str(row.structure_id)): str(row.attempt_id)
        for name, state in states.items()
        for row in state.labels.itertuples()
    }
    ordered = _open_orders(results)
    found = []
    for failure in failures(parts(campaign, results), states):
        attempt_id = last[failure.level, failure.structure_id]
        level = level_id(campaign.level(failure.level))
        # Once it has failed again, an order that others of its structures keep open is done with.
        order = next(
            (o.number for o, ids in ordered
             if o.level_id == level and failure.structure_id in ids and attempt_id <= o.newer_than),
            None,
        )  # fmt: skip
        found.append(Failed(failure, attempt_id, order))
    return found


def _open_orders(results: Path) -> list[tuple[Order, set[str]]]:
    found = []
    for order in read_orders(results):
        if order.is_open(results):
            path = results / FOLDER / str(order.number) / "structures.parquet"
            found.append((order, set(read_table(path, "structures")["structure_id"])))
    return found


def choose(found: Sequence[Failed], choice: Choice, campaign: Campaign) -> Chosen:
    """The failures that meet every condition of the choice.

    Raises:
        CampaignError: none does, with what there is.
    """
    _check_level(choice, campaign)
    ids = {_the_one(found, beginning) for beginning in choice.structures}
    kinds = sorted({f.failure.kind for f in found})
    for kind in choice.kinds:
        if kind not in kinds:
            said = f"no failure is of that kind; there are: {', '.join(kinds)}"
            raise CampaignError(f"--kind {kind}: {said}")
    wanted = [
        f
        for f in found
        if (not ids or f.failure.structure_id in ids)
        and (not choice.kinds or f.failure.kind in choice.kinds)
        and (choice.level is None or f.failure.level == choice.level)
        and (choice.round is None or choice.round in f.rounds + f.hits)
        and (f.is_reference or not choice.only_references)
    ]
    if not wanted:
        raise CampaignError("no failed calculation meets all of these conditions")
    references = [f for f in wanted if f.is_reference and not choice.references]
    ordered = [f for f in wanted if f.order is not None]
    left_out = {id(f) for f in [*references, *ordered]}
    return Chosen([f for f in wanted if id(f) not in left_out], references, ordered)


def _check_level(choice: Choice, campaign: Campaign) -> None:
    used = sorted(used_levels(campaign))
    if choice.level is not None and choice.level not in used:
        raise CampaignError(f"--level {choice.level}: allowed: {', '.join(used)}")


def _the_one(found: Iterable[Failed], beginning: str) -> str:
    """The failed structure whose id begins so."""
    ids = sorted({f.failure.structure_id for f in found})
    match = [i for i in ids if i.startswith(beginning)]
    if beginning in ids:
        return beginning
    if len(match) != 1:
        said = f"begins {len(match)} failed structures ({', '.join(match[:5])}, …); give more of it"
        raise CampaignError(
            f"--structure {beginning}: {said if match else 'no failed structure has this id'}"
        )
    return match[0]


def orders_for(
    chosen: Iterable[Failed],
    campaign: Campaign,
    changes: Sequence[str],
    time_limit_s: float | None,
    first_number: int,
) -> list[tuple[Order, list[Failed]]]:
    """One order a level; nothing is written.

    Raises:
        CampaignError: settings or a time limit that cannot be.
    """
    by_level: dict[str, list[Failed]] = {}
    for failed in chosen:
        by_level.setdefault(failed.failure.level, []).append(failed)
    orders = []
    for number, (name, mine) in enumerate(by_level.items(), first_number):
        level = campaign.level(name)
        rounds = sorted({r for f in mine for r in f.rounds})
        shards = campaign.labels.shards if rounds else campaign.ranking.confirm.shards
        order = Order(
            number=number,
            campaign=campaign.campaign,
            level=name,
            level_id=level_id(level),
            settings=checked_settings(name, level, changes),
            time_limit_s=checked_time_limit(time_limit_s, campaign.run),
            # Not the time of the order: a compute node's clock may lag behind this machine's.
            newer_than=max(f.attempt_id for f in mine),
            ordered_at=time.strftime("%Y-%m-%d %H:%M:%S"),
            shards=_shards(shards, len(mine), 1 if on_gpu(level) else JOB_CORES),
            calculations=len(mine),
            rounds=rounds,
            hits=sorted({r for f in mine for r in f.hits}),
            references=any(f.is_reference for f in mine),
        )
        orders.append((order, mine))
    return orders


def _shards(most: int, calculations: int, workers: int) -> int:
    """Jobs of an order: few failures are packed, as a round's many labels are."""
    return max(1, min(most, calculations // (CALCULATIONS_A_WORKER * workers)))


def next_number(results: Path) -> int:
    """The number of the next order."""
    return max((order.number for order in read_orders(results)), default=-1) + 1


def write_order(order: Order, chosen: Sequence[Failed], results: Path, campaign: Campaign) -> Path:
    """Write an order; it appears complete or not at all. Returns its folder.

    Raises:
        CampaignError: another order of that number was written meanwhile.
    """
    rows = _structures(chosen, results)
    temporary = results / FOLDER / f".{order.number}.{uuid.uuid4().hex}.part"
    folder = results / FOLDER / str(order.number)
    try:
        write_table(rows, "structures", temporary / "structures.parquet", order.campaign)
        forecast = {order.level: (campaign.level(order.level), rows)}
        write_forecast(temporary / "structures.parquet", forecast, campaign.run.label_store)
        write_json(order.to_json(), temporary / "order.json")
        os.rename(temporary, folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            shutil.rmtree(temporary)
        raise CampaignError(
            f"the order {folder} cannot be written: {error.strerror or error}"
        ) from error
    return folder


def _structures(chosen: Iterable[Failed], results: Path) -> pd.DataFrame:
    """Their geometries, sorted by id, from the stage that first wanted each."""
    places: dict[Path, set[str]] = {}
    for failed in chosen:
        stage = failed.failure.stages[0]
        places.setdefault(_table_of(stage, results), set()).add(failed.failure.structure_id)
    frames = [_rows(path, ids) for path, ids in places.items()]
    rows = pd.concat(frames).drop_duplicates("structure_id")
    return rows.sort_values("structure_id", ignore_index=True)


def _rows(path: Path, ids: set[str]) -> pd.DataFrame:
    table = read_table(path, "structures")
    return table[table["structure_id"].isin(ids)]


def _table_of(stage: str, results: Path) -> Path:
    what, _, number = stage.partition(" ")
    folders: Mapping[str, str] = {
        "references": "references",
        "round": f"rounds/{number}",
        "hits": f"rounds/{number}/hits",
    }
    return results / folders[what] / "structures.parquet"
