"""Deep checks of a campaign, run once in the controller before anything is queued.

What needs chemistry, files or the engines' own lists; what pydantic alone can see is refused in
:mod:`molsieve.loading`. Heavy packages are imported when a check needs them.

A domain takes part by these functions: ``config.elements(candidates)``,
``candidates.check_candidates(candidates)``, ``candidates.first_accepted(candidates, tries)``,
``candidates.iterate_candidates(candidates)`` and ``structures.measured_elements(objective)``.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from molsieve import loading
from molsieve.campaign import Campaign
from molsieve.levels import ONLY_WHERE_GIVEN
from molsieve.property_settings import check_descriptors, check_fidelity
from molsieve.section import CampaignError

TRIES = (2_000, 50_000)
"""Raw candidates looked at before a candidate set is taken to hold one that passes: few first."""

RECORD = "campaign.json"
"""In a results folder: the campaign whose results these are."""

IDENTITY = (
    ("domain",),
    ("seed",),
    ("candidates",),
    ("structures",),
    ("objective",),
)
"""What makes a campaign another one: its question. The label level counts too, by its settings;
of the candidates all but ``shards``, into how many tables they are cut; of the objective all but
``goals``, how much is wanted of which quantity.

Everything else may change in place: limits and thresholds only add rounds; shards, workers and
stores only say how; other goals, another acquisition or potential redo the rounds of the same
question.
"""
IN_PLACE = ("candidates.shards.", "objective.goals.")


def check_campaign(campaign: Campaign, folder: Path) -> None:
    """Refuse what would fail later: files, chemistry, levels of theory, measured systems, columns.

    Args:
        folder: where the campaign is started; paths in it are relative to this folder.

    Raises:
        CampaignError: every mistake in one screen.
    """
    with contextlib.chdir(folder):
        mistakes = list(_mistakes(campaign))
    if mistakes:
        raise CampaignError(loading.screen(mistakes, f"campaign {campaign.campaign}"))


def _mistakes(campaign: Campaign) -> Iterator[str]:
    candidates = campaign.candidates  # type: ignore[attr-defined]
    elements = {"H", *_room(campaign, "config").elements(candidates)}
    chemistry = [
        *_said(_check_candidates, campaign),
        *_said(_check_references, campaign, elements),
    ]
    # An element that does not exist is one mistake: not again one of the references and levels.
    wrong_elements = [said for said in chemistry if "filters.elements" in said]
    yield from (said for said in chemistry if said not in wrong_elements[1:])
    if not wrong_elements:
        for name in campaign.levels:
            yield from _said(_check_level, campaign, name, elements)
        yield from _said(_check_descriptors, campaign, elements)
    yield from _said(_check_pareto, campaign)
    yield from _said(check_fidelity, campaign)
    yield from _said(_check_label_store, campaign)


def _said(check: Callable[..., None], *arguments: Any) -> Iterator[str]:
    """The words of the mistake that ``check`` raises, if it does."""
    try:
        check(*arguments)
    except CampaignError as error:
        yield str(error)


def _room(campaign: Campaign, name: str) -> ModuleType:
    return importlib.import_module(f"molsieve.domains.{campaign.domain}.{name}")


def _check_candidates(campaign: Campaign) -> None:
    room = _room(campaign, "candidates")
    candidates = campaign.candidates  # type: ignore[attr-defined]
    room.check_candidates(candidates)
    for tries in TRIES:
        accepted = room.first_accepted(candidates, tries)
        if accepted:
            return
        if accepted is False:
            reasons = Counter(row["reject_reason"] for row in room.iterate_candidates(candidates))
            raise CampaignError(_none_accepted(reasons))
    # The whole set is larger: the enumeration's own job counts it and refuses an empty one.


def _none_accepted(reasons: Counter[str]) -> str:
    if not reasons:
        return "candidates.source: holds no candidate at all"
    counted = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common(5))
    return (
        f"candidates: none of {reasons.total()} candidates passes candidates.filters "
        f"(refused for: {counted}); loosen the filters or widen candidates.source"
    )


def _check_references(campaign: Campaign, elements: set[str]) -> None:
    """Measured systems are known; their elements join ``elements``, which every level must have."""
    from molsieve.chem.free_atoms import GROUND_STATE_MULTIPLICITY

    objective = campaign.objective  # type: ignore[attr-defined]
    elements |= _room(campaign, "structures").measured_elements(objective)
    if unknown := sorted(elements - GROUND_STATE_MULTIPLICITY.keys()):
        raise CampaignError(
            f"candidates.filters.elements: {', '.join(unknown)} given; allowed: hydrogen to xenon "
            "(the committee starts from free atoms, and no ground state is known of these)"
        )


def _check_level(campaign: Campaign, name: str, elements: set[str]) -> None:
    from molsieve.engines import check_level

    level = campaign.level(name)
    try:
        check_level(level, elements)
    except CampaignError as error:
        key = str(error).partition(":")[0]
        joint = "." if key in type(level).model_fields else ": "
        raise CampaignError(f"levels.{name}{joint}{error}") from None


def _check_descriptors(campaign: Campaign, elements: set[str]) -> None:
    from ase.data import atomic_numbers

    numbers = {symbol: atomic_numbers[symbol] for symbol in elements}
    check_descriptors(campaign, dict(sorted(numbers.items(), key=lambda entry: entry[1])))


def _check_pareto(campaign: Campaign) -> None:
    """Columns to rank by are numbers of the candidates and are there once."""
    import pyarrow as pa

    from molsieve.tables import SCHEMAS

    numeric = [
        field.name
        for field in SCHEMAS["candidates"]
        if pa.types.is_floating(field.type) or pa.types.is_integer(field.type)
    ]
    named = campaign.ranking.pareto
    for index, column in enumerate(named):
        if column not in numeric:
            said = loading.wrong_choice(column, numeric)
            raise CampaignError(f"ranking.pareto[{index}]: {said}")
        if column in named[:index]:
            raise CampaignError(f"ranking.pareto[{index}]: {column} is there twice; keep one")


def _check_label_store(campaign: Campaign) -> None:
    """The label store can be made and written; it is not made here: this may be a dry run."""
    store = Path(campaign.run.label_store)
    existing = next(path for path in (store, *store.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise CampaignError(
            f"run.label_store: {str(store)!r} given, but {existing} is a file; allowed: a folder"
        )
    if not os.access(existing, os.W_OK | os.X_OK):
        raise CampaignError(
            f"run.label_store: {str(store)!r} given, but nothing can be written to {existing}; "
            "allowed: a folder that all jobs can write to"
        )


# ---------------------------------------------------------------- whose results these are


def check_results_folder(campaign: Campaign, results: Path) -> None:
    """Refuse to go on in a results folder that answers another question.

    Raises:
        CampaignError: naming what differs (see ``IDENTITY``), and what to do.
    """
    record = results / RECORD
    if not record.exists():
        return
    try:
        before = json.loads(record.read_text())
        old, new = _identity(before), _identity(loading.resolved(campaign))
    except (ValueError, KeyError, TypeError):
        raise CampaignError(
            f"{record} is damaged, so it cannot say whose results {results} holds; move the folder "
            "away (the label store keeps every label)"
        ) from None
    changed = [key for key in old | new if old.get(key) != new.get(key)]
    if changed:
        raise CampaignError(_another_campaign(results, changed, old, new))


def _another_campaign(
    results: Path, changed: list[str], old: dict[str, Any], new: dict[str, Any]
) -> str:
    shown = [
        f"{key}: {loading.shown(old.get(key))} there, {loading.shown(new.get(key))} now"
        for key in changed[:8]  # with the rest of the message, one screen
    ]
    if len(changed) > len(shown):
        shown.append(f"and {len(changed) - len(shown)} more")
    return "\n  ".join(
        [
            f"{results} holds the results of another campaign; nothing was started",
            *shown,
            f"Give this one a name of its own (campaign:), or move {results} away; "
            "labels are kept in the label store, so nothing that stays the same is paid for again.",
        ]
    )


def record_campaign(campaign: Campaign, results: Path) -> None:
    """Write down whose results ``results`` holds; for real runs, once the lease is held."""
    from molsieve.tables import write_json

    write_json(loading.resolved(campaign), results / RECORD)


def _identity(resolved: dict[str, Any]) -> dict[str, Any]:
    """Leaves that make the campaign what it is, by path."""
    leaves: dict[str, Any] = {}
    for path in IDENTITY:
        value: Any = resolved
        for key in path:
            value = value[key]
        leaves |= _leaves(value, ".".join(path))
    leaves = {key: leaves[key] for key in leaves if not f"{key}.".startswith(IN_PLACE)}
    level = resolved["levels"][resolved["labels"]["level"]]
    # A record from before these settings does not have them.
    level = {key: level[key] for key in level if key not in ONLY_WHERE_GIVEN or level[key]}
    return leaves | _leaves(level, "the level that labels")


def _leaves(value: Any, path: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return {k: v for key in value for k, v in _leaves(value[key], f"{path}.{key}").items()}
    return {path: value}
