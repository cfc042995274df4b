"""Poses are read however they are written; what is none says why."""

import os

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from zeolite import minima as zeolite_minima
from zeolite import scores
from zeolite.minima import minima
from zeolite.poses import RELAXED, read_pose, read_table
from zeolite.scores import score
from zeolite.workers import results

from tests.benchmarks.poses import cif, sodalite


def test_framework_and_guests_are_told_apart():
    pose = read_pose(cif(sodalite("CH3OH", "H2O")), guests=2)
    assert pose.framework.sum() == 36
    formulas = sorted(pose.guest(k).get_chemical_formula() for k in range(2))
    assert formulas == ["CH4O", "H2O"] and pose.charge_e == 0


def test_a_guest_cut_by_the_cells_faces_is_whole():
    whole, cut = sodalite("C2H6"), sodalite("C2H6")
    cut.translate([1.0, 2.0, -0.5])
    cut.wrap()
    there = [read_pose(cif(atoms)).guest(0).get_all_distances() for atoms in (whole, cut)]
    np.testing.assert_allclose(np.sort(there[0].ravel()), np.sort(there[1].ravel()), atol=1e-5)


def test_odd_labels_and_charges_of_ions_are_read():
    text = cif(sodalite("CH4"))
    odd = [
        line.replace("  Si  Si", "  Si4+  T_", 1).replace("  O  O", "  O2-  Ow'", 1)
        for line in text.splitlines()
    ]
    assert odd != text.splitlines()
    assert read_pose("\n".join(odd)).framework.sum() == 36


def test_a_hydrogen_between_two_atoms_belongs_to_the_nearer():
    """Two waters, a hydrogen of one 1.06 Å from the other's oxygen."""
    water = Atoms("OH2", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    other = Atoms("OH2", [[2.02, 0, 0], [2.42, 0.87, 0], [2.42, -0.87, 0]])
    assert len(read_pose(cif(sodalite(water + other))).guests) == 2


def test_a_contact_as_short_as_a_bond_is_told_by_the_molecule():
    """Two nitrogens, 1.54 Å apart, a bond by their radii."""
    pair = Atoms("N4", [[0, 0, 0], [0, 1.1, 0], [1.54, 0, 0], [2.1, -0.95, 0]])
    text = cif(sodalite(pair))
    assert len(read_pose(text).guests) == 1
    assert len(read_pose(text, "N#N", 2).guests) == 2


BROKEN = {
    "not a CIF": lambda: "data_nothing at all",
    "an empty text": lambda: "",
    "a framework alone": lambda: cif(sodalite()),
    "a guest alone": lambda: cif(guest_alone()),
    "a silicon without an oxygen": lambda: cif(without_an_oxygen()),
    "two atoms in one place": lambda: cif(with_a_twin()),
    "half an atom": lambda: cif(sodalite("CH4")).replace("  1\n", "  0.5\n"),
}


def guest_alone() -> Atoms:
    atoms = sodalite("CH4")
    return atoms[[atom.index for atom in atoms if atom.symbol in "CH"]]


def without_an_oxygen() -> Atoms:
    atoms = sodalite("CH4")
    del atoms[np.flatnonzero(atoms.numbers == 8)[0]]
    return atoms


def with_a_twin() -> Atoms:
    atoms = sodalite("CH4")
    return atoms + Atoms("C", [atoms.positions[-1] + [0.05, 0, 0]])


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_pose_says_why(kind):
    words = {
        "a silicon without an oxygen": "has 3 oxygens",
        "two atoms in one place": "in one place",
        "a framework alone": "needs a framework of Si and O, and a guest",
        "a guest alone": "needs a framework",
    }.get(kind, "not a CIF")
    with pytest.raises(ValueError, match=words):
        read_pose(BROKEN[kind]())


def test_bad_poses_are_rows_with_reasons_and_kept_ones_are_not_found_again(tmp_path, monkeypatch):
    broken = BROKEN["a silicon without an oxygen"]()
    given = [cif(sodalite("CH4")), broken, None]
    pd.DataFrame({"cif": given}).to_parquet(tmp_path / "poses.parquet")
    table = read_table(tmp_path / "poses.parquet")
    found = minima(table, tmp_path / "kept.jsonl", 1)
    assert -60 < found["total"][0] < 0 and found["fault"][0] == ""
    assert found["total"][1:].isna().all()
    assert "has 3 oxygens" in found["fault"][1] and "not a CIF" in found["fault"][2]
    with (tmp_path / "kept.jsonl").open("a") as file:
        file.write('["cut off by a k')
    monkeypatch.setattr(zeolite_minima, "_relaxed", None)
    pd.testing.assert_frame_equal(minima(table, tmp_path / "kept.jsonl", 1), found)


def test_a_table_needs_a_column_of_cifs_only(tmp_path):
    path = tmp_path / "poses.parquet"
    pd.DataFrame({"cif": ["a", "b"], RELAXED: ["-50.5", "?"]}).to_parquet(path)
    table = read_table(path)
    assert list(table["pose_id"]) == [0, 1] and table["guests_per_cell"].isna().all()
    assert table[RELAXED][0] == -50.5 and np.isnan(table[RELAXED][1])
    pd.DataFrame({"pose_id": [1]}).to_parquet(path)
    with pytest.raises(SystemExit, match="no column cif; there are: pose_id"):
        read_table(path)
    path.write_text("poses")
    with pytest.raises(SystemExit, match="not a Parquet file"):
        read_table(path)
    with pytest.raises(SystemExit, match="no such file"):
        read_table(tmp_path / "absent.parquet")


def end_here(item: int) -> int:
    """Ends its process if told so."""
    if item < 0:
        os._exit(1)
    return 2 * item


def test_one_that_kills_its_process_does_not_take_the_others_with_it():
    found = dict(results(end_here, {"a": 1, "b": -1, "c": 3}, 2, "test"))
    assert found == {"a": 2, "b": None, "c": 6}


def test_scores_of_few_or_like_values_are_no_numbers_and_no_end(monkeypatch):
    monkeypatch.setattr(scores, "RESAMPLINGS", 40)
    names = np.array(["A", "A", "B", "B", "C"])
    reference = np.array([1.0, 2.0, 3.0, 4.0, np.nan])
    perfect = score(np.array([2.0, 4.0, 6.0, 8.0, 9.0]), reference, names)
    assert (perfect.n, perfect.error) == (4, 2.5)
    assert perfect.spearman == pytest.approx(1)
    assert np.isnan(score(np.ones(5), reference, names).spearman)
    assert np.isnan(score(np.full(5, np.nan), reference, names).spearman)
    assert "n 0" in score(np.full(5, np.nan), reference, names).text()
