"""Frameworks typed in as crystallographic facts, so that a campaign needs no download.

``known_frameworks.json``: space group number, cell (Å, degrees) and asymmetric unit (element,
multiplicity, fractional coordinates; special values as fractions) with the source of each.
"""

from __future__ import annotations

import json
from fractions import Fraction
from functools import cache
from importlib.resources import files

from ase.spacegroup import crystal

from molsieve.crystals.framework import Framework, FrameworkError


@cache
def _facts() -> dict[str, dict]:
    """The typed-in entries by code."""
    text = files("molsieve.crystals").joinpath("known_frameworks.json").read_text("utf-8")
    return json.loads(text)


def known_codes() -> tuple[str, ...]:
    """Codes that :func:`known_framework` takes: framework types, and ``quartz`` (alpha)."""
    return tuple(_facts())


def known_framework(code: str) -> Framework:
    """The conventional cell of a typed-in framework, silica.

    Raises:
        FrameworkError: no such entry; lists those there are.
    """
    if code not in _facts():
        raise FrameworkError(
            f"no framework {code!r} is typed in; there are {', '.join(known_codes())}: "
            "give others as CIF files"
        )
    entry = _facts()[code]
    atoms = crystal(
        symbols=[site[0] for site in entry["sites"]],
        basis=[[float(Fraction(value)) for value in site[2:]] for site in entry["sites"]],
        spacegroup=entry["space_group"],
        cellpar=entry["cell"],
    )
    return Framework(code, atoms)
