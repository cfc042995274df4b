"""Bonds before and after a relaxation: the same, a proton moved, another substance."""

from __future__ import annotations

import ase
import pytest
from ase.build import molecule

from molsieve.crystals.known import known_framework
from molsieve.crystals.rearrangements import rearrangement


def ammonia_and_water() -> ase.Atoms:
    """An ammonia whose nitrogen looks at a hydrogen of a water, 2.9 Å from its oxygen."""
    atoms = ase.Atoms(
        "NH3OH2",
        [
            *([0, 0, 0], [-0.4, 0.9, 0.3], [-0.4, -0.7, 0.6], [-0.4, -0.2, -0.95]),
            *([2.9, 0, 0], [1.93, 0, 0], [3.2, 0.9, 0]),
        ],
    )
    return atoms


def test_a_proton_between_heteroatoms_is_told_and_a_methyl_is_another_substance() -> None:
    before = ammonia_and_water()
    assert rearrangement(before, before) is None
    after = before.copy()
    after.positions[5] = [1.02, 0, 0]
    change = rearrangement(before, after)
    assert change is not None and change.proton
    assert change.text == "O4-H5 broken, N0-H5 formed"

    methane = molecule("CH4")
    broken = methane.copy()
    broken.positions[1] *= 3
    change = rearrangement(methane, broken)
    assert change is not None and not change.proton, "carbon gives no proton"


def test_a_framework_that_opens_is_another_substance_through_its_walls_too() -> None:
    framework = known_framework("SOD").atoms
    opened = framework.copy()
    opened.positions[framework.numbers.tolist().index(8)] += [0.0, 0.0, 1.2]
    change = rearrangement(framework, opened)
    assert change is not None and not change.proton and "Si" in change.text
    moved = framework.copy()
    moved.positions += 3.0
    moved.wrap()
    assert rearrangement(framework, moved) is None


@pytest.mark.parametrize("pair", ["NaO", "BO"])
def test_contacts_that_are_no_bonds_may_open_in_crystals_only(pair: str) -> None:
    cell = {"cell": [12.0] * 3, "pbc": True}
    near = ase.Atoms(pair, [[0, 0, 0], [0, 0, 1.6]], **cell)
    far = ase.Atoms(pair, [[0, 0, 0], [0, 0, 4.5]], **cell)
    assert rearrangement(near, far) is None
    molecule_near, molecule_far = (ase.Atoms(pair, a.positions) for a in (near, far))
    change = rearrangement(molecule_near, molecule_far)
    assert change is not None and not change.proton
