"""A small valid campaign, and how tests spoil it one key at a time."""

from __future__ import annotations

import copy
from typing import Any

REMOVED = object()
"""As the value of an edit: the key is taken out."""

SMALL: dict[str, Any] = {
    "campaign": "small",
    "domain": "flow_battery",
    "candidates": {
        "source": {
            "kind": "enumerate",
            "scaffolds": [
                {"name": "1,4-benzoquinone", "smiles": "O=C1C([*:1])=C([*:2])C(=O)C=C1"},
            ],
            "substituents": ["*C", "*O"],
        }
    },
    "objective": {"direction": "negolyte"},
    "levels": {
        "gfn2": {"engine": "tblite"},
        "pbe": {"engine": "pyscf", "functional": "PBE", "basis": "def2-SVP"},
    },
    "labels": {"level": "gfn2"},
    "ranking": {"confirm": {"level": "pbe"}},
}


def edited(*edits: tuple[str, Any]) -> dict[str, Any]:
    """``SMALL`` with values put in at dotted paths (``a.b.0.c``); sections on the way are made."""
    mapping = copy.deepcopy(SMALL)
    for path, value in edits:
        *sections, last = path.split(".")
        place: Any = mapping
        for section in sections:
            place = (
                place[int(section)] if isinstance(place, list) else place.setdefault(section, {})
            )
        if value is REMOVED:
            del place[last]
        elif isinstance(place, list):
            place[int(last)] = value
        else:
            place[last] = value
    return mapping
