"""Identifiers of zeolite candidates: ``CHA|Al1.3+H1.2|CN(C)C|1``.

Framework code, heteroatoms and what compensates them, guest as canonical SMILES, guests a cell. The
second part is decoded in the framework's cell (:mod:`molsieve.crystals.compensation`).
"""

from __future__ import annotations

from typing import NamedTuple

SEPARATOR = "|"


class Identifier(NamedTuple):
    """The parts of a candidate's identity; ``str()`` joins them."""

    framework: str
    arrangement: str
    guest: str
    loading: int

    def __str__(self) -> str:
        return SEPARATOR.join(map(str, self))

    @property
    def pair(self) -> str:
        """Framework and guest: candidates that differ in heteroatoms or loading only are of one."""
        return f"{self.framework}{SEPARATOR}{self.guest}"

    @property
    def host(self) -> str:
        """Framework and heteroatoms."""
        return f"{self.framework}{SEPARATOR}{self.arrangement}"


def parse_identifier(text: str) -> Identifier:
    """An identifier's parts.

    Raises:
        ValueError: not four parts, or a loading that is no whole number.
    """
    parts = text.split(SEPARATOR)
    if len(parts) != 4 or not parts[3].isdigit():
        raise ValueError(f"{text!r} is no zeolite candidate; they look like CHA|pure|CN(C)C|1")
    return Identifier(parts[0], parts[1], parts[2], int(parts[3]))
