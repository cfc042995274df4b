"""Where OLED candidates come from. Imports pydantic and the standard library only."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from molsieve.section import NonNegativeInt, Section

SHIPPED = Path(__file__).parent / "fragments"
"""Lists of fragments by name: ``<name>.csv``."""

Pattern = Literal[
    "D-A",
    "D-B-A",
    "D-A-D",
    "D-A-D'",
    "D-B-A-B-D",
    "D-B-A-B'-D'",
    "A-D-A",
    "A-D-A'",
    "A-B-D-B-A",
    "(D)n-A",
    "(D-B)n-A",
]


class Fragments(Section):
    """Donors, bridges and acceptors joined in patterns, with substituents on their free sites."""

    kind: Literal["fragments"] = Field(description="fragments: joined from parts; file: read")
    lists: list[str] = Field(
        ["donor_acceptor"],
        min_length=1,
        description="lists of fragments: donor_acceptor and push_pull (small chromophores) are "
        "shipped; any other entry is a CSV file of yours with columns kind (donor, bridge, "
        "acceptor), name and smiles, where * joins a neighbour and [*:1] … take substituents",
    )
    donors: list[str] | None = Field(None, description="names of those used; null: all of lists")
    bridges: list[str] | None = Field(None, description="names of those used; null: all of lists")
    acceptors: list[str] | None = Field(None, description="names of those used; null: all of lists")
    patterns: list[Pattern] = Field(
        ["D-A", "D-B-A", "D-A-D", "D-B-A-B-D", "A-D-A", "(D)n-A"],
        min_length=1,
        description="a prime (') is a different fragment; n is three or more of the same, on all "
        "places that the acceptor has",
    )
    substituents: list[str] = Field(
        [], description="SMILES with one '*', e.g. '*OC', for the free sites of all fragments"
    )
    max_substitutions: NonNegativeInt = Field(
        1, description="substituents on one fragment, at most"
    )

    @model_validator(mode="after")
    def _said_once(self) -> Fragments:
        named: dict[str, Sequence[str]] = {
            "lists": self.lists,
            "patterns": self.patterns,
            "substituents": self.substituents,
            "donors": self.donors or [],
            "bridges": self.bridges or [],
            "acceptors": self.acceptors or [],
        }
        for key, values in named.items():
            if repeated := sorted({value for value in values if values.count(value) > 1}):
                raise ValueError(f"{key}: {', '.join(repeated)} twice; keep one")
        return self


class FromFile(Section):
    """Candidates read from a file."""

    kind: Literal["file"] = Field(description="fragments: joined from parts; file: read")
    path: str = Field(description="relative to the folder the campaign is started in")
    format: Literal["smiles", "csv", "sdf", "parquet"] | None = Field(
        None, description="null: from the file's ending"
    )
    smiles_column: str = Field("smiles", description="of CSV and Parquet")


def list_path(entry: str) -> Path:
    """The CSV file of an entry of ``lists``: a shipped list's name, or a path."""
    shipped = SHIPPED / f"{entry}.csv"
    return shipped if shipped.exists() else Path(entry)


def shipped_lists() -> list[str]:
    """Names of the lists that are shipped."""
    return sorted(path.stem for path in SHIPPED.glob("*.csv"))


def raw_candidates(source: Fragments | FromFile) -> float:
    """How many candidates a source has before filters, roughly: what reading them will take.

    ASSUME: 30 bytes a record of a file; half of the ways to fill two free sites or more are the
    same by symmetry. A file that is not there counts 0.
    """
    if isinstance(source, FromFile):
        return os.path.getsize(source.path) / 30 if os.path.exists(source.path) else 0.0
    forms: dict[tuple[str, int], float] = {}
    for kind, joints, sites in _sizes(source):
        made = sum(
            math.comb(sites, k) * len(source.substituents) ** k
            for k in range(min(source.max_substitutions, sites) + 1)
        )
        distinct = (1 + made) / 2 if sites > 1 else made
        forms[kind, joints] = forms.get((kind, joints), 0.0) + distinct
    return sum(_pattern_size(pattern, forms) for pattern in source.patterns)


def _sizes(source: Fragments) -> Iterator[tuple[str, int, int]]:
    """(kind, joints, free sites) of each fragment used; unreadable files are left to the checks."""
    used = {"donor": source.donors, "bridge": source.bridges, "acceptor": source.acceptors}
    for path in map(list_path, source.lists):
        if not path.is_file():
            continue
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as lines:
            for row in csv.DictReader(lines):
                kind, smiles = row.get("kind") or "", row.get("smiles") or ""
                names = used.get(kind, [])
                if names is None or row.get("name") in names:
                    sites = smiles.count("[*:")
                    yield kind, smiles.count("*") - sites, sites


def _pattern_size(pattern: Pattern, forms: dict[tuple[str, int], float]) -> float:
    """Members of a pattern, from the number of forms by kind and joints."""
    centre, arm = ("donor", "acceptor") if pattern.startswith("A") else ("acceptor", "donor")
    arms = forms.get((arm, 1), 0.0)
    if "B" in pattern:
        arms *= 2 * forms.get(("bridge", 2), 0.0)  # either way round
    joints = 1 if pattern in ("D-A", "D-B-A") else 2
    if "n" in pattern:
        return arms * sum(n for (kind, k), n in forms.items() if kind == centre and k > 2)
    pairs = arms**2 if "'" in pattern else arms
    return forms.get((centre, joints), 0.0) * pairs
