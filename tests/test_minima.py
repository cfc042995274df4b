"""Which of several poses a candidate's minimum is, and what the objective makes of it."""

from __future__ import annotations

import ase
import numpy as np
import pandas as pd
import pytest

from molsieve.campaign import Prediction
from molsieve.chem.identities import structure_row
from molsieve.minima import Minimum, built_geometries, lowest_poses, relax_structures
from molsieve.prediction import predicted_rows
from tests.morse_committee import MorseCommittee

SIZES = {"complex": "Si3O6NH3", "framework": "Si3O6", "guest": "NH3"}
ROLES = tuple(SIZES)


def built_rows(poses: int = 3) -> pd.DataFrame:
    """A candidate with several poses, a framework and a guest."""
    rows = []
    for role, formula in SIZES.items():
        for pose in range(poses if role == "complex" else 1):
            atoms = ase.Atoms(formula)
            atoms.positions = np.arange(3.0 * len(atoms)).reshape(-1, 3) + pose
            origin = "built" if role == "complex" else "relaxed"
            common = {"species_id": role, "geometry_protocol_id": "test", "candidate_id": "c"}
            rows.append(structure_row(atoms, origin=origin, conformer=pose, role=role, **common))
    return pd.DataFrame(rows)


def minima_of(built: pd.DataFrame, energies: dict[tuple[str, int], list[float]], **reasons: str):
    found = {}
    for row in built.to_dict("records"):
        key = (row["role"], row["conformer"])
        values = np.array(energies[key])
        atoms = ase.Atoms(numbers=row["numbers"])
        reason = reasons.get(f"{key[0]}{key[1]}")
        found[row["structure_id"]] = Minimum(atoms, values, values, 1, reason)
    return found


ENERGIES = {
    ("complex", 0): [-10.0, -10.4],
    ("complex", 1): [-10.6, -10.2],
    ("complex", 2): [-99.0, -99.0],
    ("framework", 0): [-6.0, -6.2],
    ("guest", 0): [-3.0, -3.0],
}
REBONDED = {"complex2": "rearranged in relaxation"}


def test_all_poses_are_relaxed_and_the_lowest_sound_one_is_taken() -> None:
    rows = built_rows()
    assert len(built_geometries(["c"], rows, ROLES)) == 3, "one a role without poses"
    built = built_geometries(["c"], rows, ROLES, poses=True)
    assert len(built) == 5
    chosen = lowest_poses(built, minima_of(built, ENERGIES, **REBONDED)).set_index("role")
    # Means -10.2, -10.4 and one that fell apart.
    assert chosen.loc["complex", "conformer"] == 1 and len(chosen) == 3
    only = built[(built["conformer"] == 2) | (built["role"] != "complex")]
    left = lowest_poses(only, minima_of(only, ENERGIES, **REBONDED)).set_index("role")
    assert left.loc["complex", "conformer"] == 2, "better a doubtful pose than none"


def test_a_pose_without_an_energy_is_not_the_lowest() -> None:
    built = built_geometries(["c"], built_rows(), ROLES, poses=True)
    energies = ENERGIES | {("complex", 1): [np.nan, -11.0], ("complex", 2): [np.inf, 0.0]}
    chosen = lowest_poses(built, minima_of(built, energies)).set_index("role")
    assert chosen.loc["complex", "conformer"] == 0


def test_members_are_asked_at_the_same_pose() -> None:
    built = built_geometries(["c"], built_rows(), ROLES, poses=True)
    minima = minima_of(built, ENERGIES, **REBONDED)
    chosen = lowest_poses(built, minima)
    unscaled = {"scale": 1.0, "q68": 1.0, "q95": 2.0, "std_raw_limit": None}
    (row,) = predicted_rows(["c"], chosen, minima, "zeolite", unscaled, {})
    assert row["objective"] == "binding_energy" and row["in_domain"]
    assert row["members"] == pytest.approx([-10.6 + 6.0 + 3.0, -10.2 + 6.2 + 3.0])
    assert row["std_raw"] == pytest.approx(np.std([-1.6, -1.0], ddof=1))


def test_properties_at_the_given_geometry_are_asked_for_only_if_wanted() -> None:
    asked = []

    def lengths(batch):
        first, second = batch.positions.view(-1, 2, 3).unbind(1)
        asked.append((first - second).norm(dim=1))
        return {"length": asked[-1].detach().expand(3, -1)}

    atoms = ase.Atoms("CO", [[0, 0, 0], [0, 0, 1.9]])
    common = {"species_id": "s", "geometry_protocol_id": "test", "origin": "relaxed"}
    rows = pd.DataFrame([structure_row(atoms, **common)])
    moved = Prediction(max_steps=50)
    for given, count in ((True, 2), (False, 1)):
        asked.clear()
        (found,) = relax_structures(
            rows, MorseCommittee(), moved, properties=lengths, given=given
        ).values()
        assert len(asked) == count and float(found.properties["length"][0]) < 1.6
        assert list(found.properties_given) == (["length"] if given else [])
