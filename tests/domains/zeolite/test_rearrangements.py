"""Minima that are no longer what was docked."""

from __future__ import annotations

import ase
import numpy as np
import pandas as pd

from molsieve.chem.identities import structure_row
from molsieve.domains.zeolite.rearrangements import tell_rearranged
from tests.crystals.test_rearrangements import ammonia_and_water


def test_minima_are_judged_by_what_they_were_relaxed_from() -> None:
    pose = ammonia_and_water()
    hopped, broken = pose.copy(), pose.copy()
    hopped.positions[5] = [1.02, 0, 0]
    broken.positions[4:] += [0, 0, 8.0]
    broken.positions[5] += [0, 0, 4.0]

    def row(atoms: ase.Atoms, origin: str, parent: str | None = None) -> dict:
        named: dict = {"species_id": "s", "geometry_protocol_id": "p", "role": "complex"}
        return structure_row(atoms, origin=origin, parent_structure_id=parent, **named)

    built = row(pose, "built")
    same, moved, gone, foreign = (
        row(atoms, "relaxed", parent)
        for atoms, parent in (
            (shifted(pose), built["structure_id"]),
            (hopped, built["structure_id"]),
            (broken, built["structure_id"]),
            (shifted(broken), "not among the rows"),
        )
    )
    left, protons = tell_rearranged(pd.DataFrame([built, same, moved, gone, foreign]))
    expected = [r["structure_id"] for r in (built, same, moved, foreign)]
    assert left["structure_id"].tolist() == expected
    assert protons == {moved["structure_id"]}


def shifted(atoms: ase.Atoms) -> ase.Atoms:
    """The same, every atom a hundredth of an Å away."""
    moved = atoms.copy()
    moved.positions += 0.01 * np.ones(3)
    return moved
