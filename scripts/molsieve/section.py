"""What every section of a campaign file is made of. Floor 0: pydantic and the standard library."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
PositiveInt = Annotated[int, Field(ge=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
NAME = "[A-Za-z0-9][A-Za-z0-9_.-]*"
"""What a campaign and a level may be called: both become names of folders."""


class CampaignError(ValueError):
    """A mistake in a campaign file, worded for its author: what, where, what is allowed."""


class Section(BaseModel):
    """A part of the campaign file; an unknown key is an error, values are frozen and finite."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True
    )


def digest(value: Any) -> str:
    """The first 16 hex digits of the SHA-256 of ``value`` as canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
