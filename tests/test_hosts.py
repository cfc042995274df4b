"""An empty host is relaxed from where its guests have taken it, and its lowest minimum counts."""

from __future__ import annotations

from pathlib import Path

import ase
import numpy as np
import pandas as pd
import pytest

from molsieve.campaign import Prediction
from molsieve.chem.identities import structure_row
from molsieve.hosts import STARTS, emptied_hosts
from molsieve.minima import Minimum, lowest_poses, relax_structures
from molsieve.prediction import predict_candidates
from molsieve.tables import read_table
from tests.morse_committee import MorseCommittee

ROLES = ("complex", "framework")
SETTINGS = Prediction(fmax_ev_per_angstrom=0.02, max_steps=60, batch_size=8)
CALIBRATION = {"scale": 1.0, "q68": 1.0, "q95": 2.0, "calibrated": True}
APART, BONDED = 9.0, 1.5


def carbons(distance: float, guest_z: float | None = None) -> ase.Atoms:
    """A host of two carbon atoms, apart (no force: a false minimum) or bonded; maybe its guest."""
    places = [[0, 0, 0], [distance, 0, 0]]
    if guest_z is None:
        return ase.Atoms("C2", places)
    return ase.Atoms("C2OH", [*places, [0, 0, guest_z], [0, 0, guest_z + 0.97]])


def tables(candidates: int) -> tuple[pd.DataFrame, dict[str, Minimum]]:
    """Candidates that share a host, and their minima: every second guest bonds its carbon atoms."""
    rows, found = [], {}
    for number in range(candidates):
        name = f"c{number}"
        common = {"geometry_protocol_id": "test", "candidate_id": name}
        whole = carbons(APART, 5.0 + number)
        ends = carbons(BONDED if number % 2 else APART, 5.0 + number)
        for role, species, atoms, end in (
            ("complex", f"c{number}", whole, ends),
            ("framework", "host", carbons(APART), carbons(APART)),
        ):
            row = structure_row(atoms, species_id=species, origin="built", role=role, **common)
            rows.append(row)
            energies = np.array([-1.0, -1.2])
            found[row["structure_id"]] = Minimum(end, energies, energies, 3, None)
    return pd.DataFrame(rows), found


def test_a_host_goes_where_its_guests_have_shown_it() -> None:
    built, minima = tables(3)
    committee = MorseCommittee(2)
    host = built[built["role"] == "framework"].head(1)
    minima |= relax_structures(host, committee, SETTINGS)
    alone = minima[host["structure_id"].iloc[0]]
    assert alone.reason is None and alone.steps == 0, "nothing moves it by itself"
    starts = emptied_hosts(built, minima, committee, SETTINGS, *ROLES)
    # One guest moved it; all three candidates profit.
    assert starts["candidate_id"].tolist() == ["c0", "c1", "c2"]
    assert starts["structure_id"].nunique() == 1 and set(starts["species_id"]) == {"host"}
    assert set(starts["conformer"]) == {1} and starts["numbers"].map(list).iloc[0] == [6, 6]
    minima |= relax_structures(starts, committee, SETTINGS)
    lowest = lowest_poses(pd.concat([built, starts]), minima).query("role == 'framework'")
    assert len(lowest) == 3 and set(lowest["structure_id"]) == set(starts["structure_id"])
    gained = alone.energies_ev.mean() - minima[lowest["structure_id"].iloc[0]].energies_ev.mean()
    assert gained == pytest.approx(1.5, abs=0.1), "the depth of the bond that it had not found"


def test_few_starts_are_relaxed_and_none_that_is_doubtful() -> None:
    built, minima = tables(20)
    rng = np.random.default_rng(1)
    for key, minimum in minima.items():
        minimum.atoms.positions += rng.normal(0, 0.02, minimum.atoms.positions.shape)
        doubtful = Minimum(minimum.atoms, minimum.energies_ev, minimum.energies_ev, 3, "torn")
        minima[key] = doubtful if len(minimum.atoms) == 4 and rng.random() < 0.3 else minimum
    starts = emptied_hosts(built, minima, MorseCommittee(2), SETTINGS, *ROLES)
    assert starts["structure_id"].nunique() == STARTS and len(starts) == 20 * STARTS
    sound = {key for key, minimum in minima.items() if minimum.reason is None}
    assert set(starts["parent_structure_id"]) <= sound
    none = emptied_hosts(*tables(1), MorseCommittee(2), SETTINGS, *ROLES)
    assert none.empty and list(none.columns) == list(built.columns)


def test_a_complex_that_does_not_begin_with_its_host_leads_nowhere() -> None:
    built, minima = tables(2)
    for key, minimum in minima.items():
        if len(minimum.atoms) == 4:
            turned = minimum.atoms[::-1]
            minima[key] = Minimum(turned, minimum.energies_ev, minimum.energies_ev, 3, None)
    assert emptied_hosts(built, minima, MorseCommittee(2), SETTINGS, *ROLES).empty


def test_a_prediction_job_relaxes_its_hosts_from_their_complexes(tmp_path: Path) -> None:
    """The complex comes with its host bonded: the empty one, apart, is predicted bonded too."""
    monoxide = ase.Atoms("CO", [[0, 0, 0], [0, 0, 1.4]])
    placed = monoxide.copy()
    placed.translate([0, 0, 8.0])
    parts = {
        "complex": carbons(BONDED) + placed,
        "framework": carbons(APART),
        "guest": monoxide,
    }
    common = {"origin": "built", "geometry_protocol_id": "test", "candidate_id": "c0"}
    structures = pd.DataFrame(
        [structure_row(a, species_id=role, role=role, **common) for role, a in parts.items()]
    )
    species = structures[["species_id", "candidate_id", "role"]].assign(
        status="ok", error_kind=None
    )
    candidates = pd.DataFrame({"candidate_id": ["c0"], "status": ["accepted"]})
    places = tmp_path / "p.parquet", tmp_path / "s.parquet"
    predict_candidates(
        candidates, species, structures, MorseCommittee(2), "zeolite",
        CALIBRATION, {"quartz_energy_ev_per_t": 0.0}, SETTINGS, 1, "morse", *places, "test",
    )  # fmt: skip
    minima = read_table(places[1], "structures").set_index("role")
    x = np.asarray(minima.loc["framework", "positions_angstrom"], float).reshape(-1, 3)[:, 0]
    assert abs(x[1] - x[0]) < 2.0
