"""Rows of predictions: the order given, whatever the batches; relaxation; what is refused."""

import ase.build
import numpy as np
import pytest

from molsieve.potential import load_committee
from molsieve.predict import rows as rows_module
from molsieve.predict.rows import Relaxation, predict_structures
from molsieve.predict.structures import Given
from molsieve.tables import read_table, write_table
from tests.finished_campaign import water


@pytest.fixture(scope="module")
def committee(results):
    return load_committee(results, device="cpu")


def given(*structures, rough=False):
    return [Given(k, None, atoms, rough=rough) for k, atoms in enumerate(structures)]


def predict(structures, committee, **relaxation):
    return list(predict_structures(structures, committee, Relaxation(**relaxation)))


def test_rows_are_the_committees_word_in_the_order_given(committee, tmp_path):
    structures = [ase.build.molecule(f) for f in ("H2O2", "H2O", "H2", "O2")] + [water(0.1, 5)]
    rows = predict(given(*structures), committee)
    assert [row["index"] for row in rows] == [0, 1, 2, 3, 4]
    for row, atoms in zip(rows, structures, strict=True):
        found = committee.predict(atoms)
        assert row["status"] == "ok" and row["formula"] == atoms.get_chemical_formula()
        assert row["energy_ev"] == pytest.approx(found.energy[0], abs=1e-4)
        assert row["energy_std_ev"] == pytest.approx(found.energy_std[0], rel=1e-3, abs=1e-5)
        assert row["energy_interval_95_ev"] == pytest.approx(found.energy_interval_95[0], abs=1e-2)
        assert row["forces_ev_per_angstrom"] == pytest.approx(found.forces.ravel(), abs=1e-4)
        longest = np.linalg.norm(found.forces, axis=1).max()
        assert row["force_max_ev_per_angstrom"] == pytest.approx(longest, abs=1e-4)
        spread = found.forces_std.max()
        assert row["force_std_max_ev_per_angstrom"] == pytest.approx(spread, rel=1e-3, abs=1e-4)
        assert row["in_domain"] is bool(found.in_domain[0])
        assert np.mean(row["energy_members_ev"]) == pytest.approx(row["energy_ev"])
        assert "stress_ev_per_angstrom3" not in row and row["relaxation_steps"] is None
    write_table(rows, "structure_predictions", tmp_path / "p.parquet")
    assert len(read_table(tmp_path / "p.parquet", "structure_predictions")) == 5


def test_small_batches_and_windows_change_nothing(committee, monkeypatch):
    structures = given(*(water(0.1, seed) for seed in range(7)), ase.build.molecule("H2O2"))
    whole = predict(structures, committee)
    monkeypatch.setattr(rows_module, "WINDOW_STRUCTURES", 3)
    monkeypatch.setattr(rows_module, "ATOMS_PER_BATCH", {"cpu": 6, "gpu": 6})
    parts = predict(structures, committee)
    assert [row["index"] for row in parts] == list(range(8))
    for one, other in zip(whole, parts, strict=True):
        assert one["energy_ev"] == pytest.approx(other["energy_ev"], abs=1e-4)


def test_batches_are_of_like_size(committee, monkeypatch):
    sizes = []
    original = type(committee).predict
    monkeypatch.setattr(rows_module, "ATOMS_PER_BATCH", {"cpu": 12, "gpu": 12})
    monkeypatch.setattr(
        type(committee),
        "predict",
        lambda self, structures: (
            sizes.append([len(a) for a in structures]) or original(self, structures)
        ),
    )
    big = water() + ase.Atoms("O12", np.arange(36).reshape(12, 3) * 2.0)
    small = [ase.build.molecule("H2"), water(), ase.build.molecule("H2"), water(0.1)]
    predict(given(big, *small), committee)
    assert sizes == [[2, 2, 3, 3], [15]]


def test_relaxed_rows_say_where_they_ended(committee):
    start = water(0.06, 1)
    (row,) = predict(given(start), committee, every=True, fmax_ev_per_angstrom=0.02)
    assert row["force_max_ev_per_angstrom"] <= 0.02 and row["relaxation_steps"] > 0
    moved = start.copy()
    moved.positions = np.reshape(row["positions_angstrom"], (-1, 3))
    assert row["energy_ev"] == pytest.approx(committee.predict(moved).energy[0], abs=1e-4)
    assert row["energy_ev"] < committee.predict(start).energy[0]
    assert row["in_domain"] is bool(committee.predict(moved).in_domain[0])
    (unrelaxed,) = predict(given(start), committee)
    assert unrelaxed["positions_angstrom"] == pytest.approx(start.positions.ravel())


def test_rough_geometries_are_always_relaxed(committee):
    both = [*given(water(0.06, 1)), Given(1, "O", water(0.06, 1), rough=True)]
    as_given, relaxed = predict(both, committee)
    assert as_given["relaxation_steps"] is None
    assert relaxed["relaxation_steps"] > 0 and relaxed["name"] == "O"


def test_what_did_not_relax_is_not_in_the_domain(committee):
    (row,) = predict(
        given(water(0.1, 3)), committee, every=True, max_steps=1, fmax_ev_per_angstrom=1e-4
    )
    assert row["status"] == "ok" and row["in_domain"] is False
    assert row["reason"].startswith(("not relaxed", "unlike"))


def test_a_crystal_has_stress_and_keeps_its_cell(committee):
    box = water(0.05)
    box.set_cell([4.0, 4.1, 4.2])
    box.pbc = True
    (row,) = predict(given(box), committee, every=True, max_steps=3)
    found = committee.predict(box)
    assert len(row["stress_ev_per_angstrom3"]) == len(row["stress_std_ev_per_angstrom3"]) == 9
    assert row["cell_angstrom"] == pytest.approx(box.cell.array.ravel())
    (unrelaxed,) = predict(given(box), committee)
    assert unrelaxed["stress_ev_per_angstrom3"] == pytest.approx(found.stress.ravel(), abs=1e-6)
    mixed = predict(given(box, water()), committee)
    assert "stress_ev_per_angstrom3" in mixed[0] and "stress_ev_per_angstrom3" not in mixed[1]


def test_refused_structures_spoil_no_batch(committee):
    hydroxide, broken, heavy, merged = (ase.build.molecule("OH"), water(), water(), water())
    hydroxide.info["charge_e"] = -1
    broken.positions[0, 0] = np.nan
    heavy.numbers[0] = 100
    merged.positions[1] = merged.positions[0]
    structures = given(hydroxide, broken, heavy, merged, water(), water(0.05))
    structures[3:3] = [Given(9, "x", None, "no SMILES")]
    rows = predict(structures, committee)
    assert [row["status"] for row in rows] == ["failed"] * 5 + ["ok"] * 2
    reasons = [row["reason"] for row in rows[:5]]
    assert "charge -1, multiplicity 1: the committee was trained without" in reasons[0]
    assert reasons[0].endswith("knows only charge 0, multiplicity 1")
    assert rows[0]["charge_e"] == -1 and rows[0]["formula"] == "HO"
    assert reasons[1] == "a position is not a number"
    assert reasons[2].startswith("an element beyond number 99")
    assert reasons[3] == "no SMILES" and rows[3]["name"] == "x"
    assert reasons[4] == "the energy is not finite"
    assert not any(row["in_domain"] for row in rows[:5])
    sound = predict(given(water(), water(0.05)), committee)
    for row, alone in zip(rows[5:], sound, strict=True):
        assert row["energy_ev"] == pytest.approx(alone["energy_ev"], abs=1e-4)
