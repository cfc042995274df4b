"""New geometries of training species from all sources of a mix, and whom they touch."""

from __future__ import annotations

import ase
import numpy as np
import pandas as pd
import pytest
from ase.data import covalent_radii
from hypothesis import given
from hypothesis import strategies as st

from molsieve.chem.duplicates import without_duplicates
from molsieve.chem.identities import atoms_from_row
from molsieve.geometries.proposal import interleaved, propose_geometries
from molsieve.geometries.soundness import bonds_of, unsound
from molsieve.geometries.sources import SOURCES, Starts
from molsieve.geometry_settings import Attack, Dynamics, Geometries, Mix, RandomDisplacement
from molsieve.potential.graphs import AtomsBatch
from molsieve.tables import read_table
from tests.morse_committee import MorseCommittee

ATTACK = Geometries(
    starts=8, attack=Attack(steps=15, temperature_k=2000.0, max_displacement_angstrom=0.1)
)
MIX = Geometries(
    starts=8,
    mix=Mix(attack=1, dynamics=1, normal_modes=2, random=2),
    attack=ATTACK.attack,
    dynamics=Dynamics(temperature_k=200, length_ps=0.05),
    random=RandomDisplacement(displacement_angstrom=0.05, copies=3),
)


@pytest.fixture
def propose(campaign_tables, tmp_path):
    """Run propose_geometries; return counts, geometries and metrics."""

    def run(settings, seed=1, tables=campaign_tables):
        out = tmp_path / "geometries.parquet", tmp_path / "metrics.parquet"
        counts = propose_geometries(*tables, MorseCommittee(), settings, seed, 0, *out)
        return counts, read_table(out[0], "geometries"), read_table(out[1], "metrics")

    return run


def test_attack_alone_writes_new_geometries_of_training_species(propose, campaign_tables):
    structures = campaign_tables[1]
    counts, rows, metrics = propose(ATTACK)
    assert counts == {"starts": 3, "attack": 3, "duplicates": 0}
    assert set(rows["species_id"]) == {"s0", "s1", "s2"}
    assert (rows["origin"] == "attack").all()
    assert (rows["source"] == "attack").all()
    assert not rows["rebonded"].any()
    assert rows["score"].is_monotonic_decreasing
    assert metrics.empty
    relaxed = structures[structures["origin"] == "relaxed"].set_index("species_id")
    for row in rows.to_dict("records"):
        assert row["parent_structure_id"] == relaxed.loc[row["species_id"], "structure_id"]
        atoms, parent = atoms_from_row(row), atoms_from_row(relaxed.loc[row["species_id"]])
        assert unsound(atoms.numbers, atoms.positions, bonds_of(parent)) is None
    assert not set(rows["structure_id"]) & set(structures["structure_id"])
    pd.testing.assert_frame_equal(rows, propose(ATTACK)[1])


def test_a_mix_has_rows_of_every_source_and_no_duplicate(propose, campaign_tables):
    counts, rows, metrics = propose(MIX)
    assert list(counts) == ["starts", "attack", "dynamics", "normal_modes", "random", "duplicates"]
    assert set(rows["source"]) == {"attack", "dynamics", "normal_modes", "random_displacement"}
    origins = rows.drop_duplicates("source").set_index("source")["origin"].to_dict()
    assert origins == {
        "attack": "attack",
        "dynamics": "dynamics",
        "normal_modes": "displaced",
        "random_displacement": "displaced",
    }
    for _, own in rows.groupby("source"):
        assert own["score"].is_monotonic_decreasing
        assert own["geometry_protocol_id"].nunique() == 1
    assert rows["geometry_protocol_id"].nunique() == 4
    first = rows["source"].iloc[:6].value_counts().to_dict()
    assert first == {"normal_modes": 2, "random_displacement": 2, "attack": 1, "dynamics": 1}
    assert set(rows["species_id"]) == {"s0", "s1", "s2"}
    assert len(without_duplicates(rows.to_dict("records"), campaign_tables[1])) == len(rows)
    (stable,) = metrics.to_dict("records")
    assert (stable["name"], stable["n"], stable["split"]) == ("dynamics_stability", 3, "train")
    assert stable["interval"][0] <= stable["value"] <= stable["interval"][1]
    pd.testing.assert_frame_equal(rows, propose(MIX)[1])
    other = propose(MIX, seed=2)[1]
    assert not set(other["structure_id"]) & set(rows["structure_id"])


def test_adding_a_source_leaves_what_the_others_offer(propose):
    alone, mixed = propose(ATTACK)[1], propose(MIX)[1]
    mine = mixed[mixed["source"] == "attack"]
    assert list(mine["structure_id"]) == list(alone["structure_id"])


def test_no_training_species_gives_empty_tables(propose, campaign_tables):
    dataset, structures = campaign_tables
    counts, rows, metrics = propose(MIX, tables=(dataset[dataset["split"] != "train"], structures))
    assert counts == {"starts": 0, "duplicates": 0}
    assert rows.empty
    assert metrics.empty


@given(
    st.lists(st.integers(0, 30), min_size=4, max_size=4),
    st.lists(st.floats(0.1, 10), min_size=4, max_size=4),
    st.integers(0, 120),
)
def test_any_number_of_first_rows_keeps_the_mix(counts, weights, taken):
    """A source gets its share of the rows taken, to less than a row, or all that it has; what is
    not there goes to the others."""
    names = ["attack", "dynamics", "normal_modes", "random"]
    rows = {
        n: [{"source": n, "place": k} for k in range(c)] for n, c in zip(names, counts, strict=True)
    }
    mixed = interleaved(rows, dict(zip(names, weights, strict=True)))
    assert len(mixed) == sum(counts)
    for name in names:
        assert [r["place"] for r in mixed if r["source"] == name] == list(range(len(rows[name])))
    first = mixed[:taken]
    assert len(first) == min(taken, sum(counts))
    had = {n: sum(r["source"] == n for r in first) for n in names}
    for one, mine in zip(names, weights, strict=True):
        for other, theirs in zip(names, weights, strict=True):
            if had[one] < len(rows[one]):
                # One turn more would have come before another source's last turn.
                assert (had[one] + 0.5) / mine >= (had[other] - 0.5) / theirs - 1e-9


def test_other_bonds_are_flagged_where_they_are_allowed(propose, campaign_tables):
    """In a trajectory bonds may stretch a little beyond theirs."""
    hot = Dynamics(temperature_k=2000, length_ps=0.2)
    rows = propose(ATTACK.model_copy(update={"dynamics": hot, "mix": Mix(attack=0, dynamics=1)}))[1]
    by_id = campaign_tables[1].set_index("structure_id")
    assert rows["rebonded"].any() and not rows["rebonded"].all()
    for row in rows.to_dict("records"):
        atoms = atoms_from_row(row)
        parent = bonds_of(atoms_from_row(by_id.loc[row["parent_structure_id"]]))
        assert row["rebonded"] == (bonds_of(atoms) != parent)


def test_an_attack_that_may_break_bonds_says_so():
    bond = 1.2 * (covalent_radii[6] + covalent_radii[8])
    batch = AtomsBatch.from_atoms([ase.Atoms("CO", [[0, 0, 0], [0, 0, bond - 0.05]])])
    committee = MorseCommittee(difference=0.1, size=0.8)
    starts = Starts(pd.DataFrame(), batch, committee(batch).energies.mean(0), 3)
    wild = Attack(steps=15, temperature_k=1e6, changed_bonds="keep")
    offer = SOURCES["attack"](committee, starts, Geometries(attack=wild))
    assert [p.rebonded for p in offer.proposals] == [True]


def test_every_source_and_start_has_its_own_chance(monkeypatch, minima):
    """No two streams of a mix begin with the same number."""
    committee, batch, e_min = minima
    drawn, real = [], np.random.default_rng
    monkeypatch.setattr(
        np.random, "default_rng", lambda seed: drawn.append(real(seed).random()) or real(seed)
    )
    starts = Starts(pd.DataFrame(), batch, e_min, 7)
    for name in MIX.mix.sources:
        SOURCES[name](committee, starts, MIX)
    copies = MIX.normal_modes.copies + MIX.random.copies
    assert len(drawn) == (2 + copies) * batch.n_structures
    assert len(set(drawn)) == len(drawn)
