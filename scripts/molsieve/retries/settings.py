"""What a retry may change: the time limit, and how long a level looks for its number."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from molsieve.campaign import Run
from molsieve.jobs.resources import START_UP_S
from molsieve.levels import SEARCH_SETTINGS, Level, parse_level
from molsieve.section import CampaignError

UNITS_S = {"": 1, "s": 1, "min": 60, "h": 3600, "d": 86_400}


def seconds(text: str) -> float:
    """A time limit in s: ``3600``, ``90min``, ``4h``, ``1.5d``.

    Raises:
        CampaignError: it is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d*)?)\s*([a-z]*)", text.strip())
    if not match or match[2] not in UNITS_S or not float(match[1]):
        raise CampaignError(
            f"--time-limit {text}: allowed: seconds, or a number with s, min, h or d (90min, 4h)"
        )
    return float(match[1]) * UNITS_S[match[2]]


def checked_time_limit(limit_s: float | None, run: Run) -> float:
    """The time limit (s) of a calculation; None: the campaign's, which its jobs grant anyway.

    Raises:
        CampaignError: no job may be long enough for it.
    """
    if limit_s is None:
        return run.calculation_time_limit_s
    if limit_s + run.wall_margin_s + START_UP_S > run.longest_job_h * 3600:
        raise CampaignError(
            f"--time-limit: {limit_s:g} s do not fit into the longest job of the campaign file, "
            f"run.longest_job_h: {run.longest_job_h:g}; raise that, if your cluster grants it"
        )
    return limit_s


def checked_settings(name: str, level: Level, changes: Sequence[str]) -> dict[str, Any]:
    """Changes ``key=value`` to a level's settings that leave it the same level of theory.

    Raises:
        CampaignError: a key or value that is none, or that would change the numbers.
    """
    allowed = [key for key in SEARCH_SETTINGS if key in type(level).model_fields]
    if level.geometry == "single_point":
        allowed.remove("max_optimiser_steps")
    settings: dict[str, Any] = {}
    for change in changes:
        key, _, value = (word.strip() for word in change.partition("="))
        if key not in allowed:
            raise CampaignError(_not_allowed(key, name, level, allowed))
        try:
            changed = parse_level({**level.model_dump(mode="json"), key: value})
        except ValidationError as error:
            raise CampaignError(f"--set {change}: {error.errors()[0]['msg']}") from error
        settings[key] = getattr(changed, key)
    return settings


def _not_allowed(key: str, name: str, level: Level, allowed: Sequence[str]) -> str:
    said = f"--set {key}: of level {name!r} ({level.engine}, {level.geometry}) a retry may change "
    said += ", ".join(allowed) or "nothing"
    if key in SEARCH_SETTINGS:
        return f"{said}; {key} does not act there. Choose another level's failures with --level"
    if key in type(level).model_fields:
        return (
            f"{said} only. {key} changes the numbers, so labels with it would be of another level "
            "of theory and could not stand beside the others; put such a level into the file's "
            "levels: under a name of its own"
        )
    near = difflib.get_close_matches(key, type(level).model_fields, n=1)
    return f"{said}; it has no {key}" + (f" (did you mean {near[0]}?)" if near else "")
