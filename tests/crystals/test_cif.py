"""Frameworks from CIF files: what is read, what is refused and why."""

from __future__ import annotations

import numpy as np
import pytest

from molsieve.crystals.cif import read_folder, read_framework
from molsieve.crystals.framework import Framework, FrameworkError
from molsieve.crystals.known import known_framework
from molsieve.crystals.symmetry import symmetry_of
from tests.crystals.cif_text import SODALITE_ROWS, Row, cif_text, p1_text

SILICON, OXYGEN = SODALITE_ROWS


def read(tmp_path, text: str, **options) -> Framework:
    path = tmp_path / "SOD.cif"
    path.write_text(text)
    return read_framework(path, **options)


def reason(tmp_path, text: str, **options) -> str:
    with pytest.raises(FrameworkError) as caught:
        read(tmp_path, text, **options)
    assert str(caught.value).startswith("SOD.cif: ")
    return str(caught.value)


def same(one: Framework, other: Framework) -> bool:
    pairs = [(one.t_index, other.t_index), (one.o_index, other.o_index)]
    return all(len(a) == len(b) for a, b in pairs) and bool(
        np.isclose(one.density_t_per_1000_angstrom3, other.density_t_per_1000_angstrom3, rtol=1e-4)
    )


def test_symmetrised_file(tmp_path):
    framework = read(tmp_path, cif_text(SODALITE_ROWS))
    assert framework.name == "SOD"
    assert same(framework, known_framework("SOD"))
    assert symmetry_of(framework).space_group == "Im-3m"


def test_symmetrised_file_with_special_positions_rounded_to_four_decimals(tmp_path):
    rows: list[Row] = [
        ("T1", "Si", 0.2267, 0.0003, 0.1051, 1.0),
        ("O1", "O", 0.0, 0.2577, 0.0, 1.0),
        ("O2", "O", 0.3333, 0.0233, 0.1667, 1.0),
        ("O3", "O", 0.1203, 0.2405, 0.1315, 1.0),
        ("O4", "O", 0.1960, 0.0980, 0.1227, 1.0),
    ]
    cell = (13.675, 13.675, 14.767, 90.0, 90.0, 120.0)
    framework = read(tmp_path, cif_text(rows, cell, "R -3 m"))
    assert same(framework, known_framework("CHA"))


@pytest.mark.parametrize("code", ["ABW", "CHA", "quartz"])
def test_p1_file(tmp_path, code):
    known = known_framework(code)
    framework = read(tmp_path, p1_text(known.atoms))
    assert same(framework, known)
    assert symmetry_of(framework).number == symmetry_of(known).number


def test_rows_of_no_occupancy_are_no_atoms(tmp_path):
    rows = [*SODALITE_ROWS, ("Du1", "O", 0.0, 0.0, 0.0, 0.0)]
    assert len(read(tmp_path, cif_text(rows)).atoms) == 36


def test_missing_oxygen(tmp_path):
    atoms = known_framework("SOD").atoms
    del atoms[20]
    found = reason(tmp_path, p1_text(atoms))
    assert "has 3 oxygen neighbours instead of 4: oxygens are missing" in found
    assert "2 T atoms like this" in found


def test_the_label_of_the_file_names_the_atom(tmp_path):
    atoms = known_framework("SOD").atoms
    neighbours = known_framework("SOD").bonds
    del atoms[20]
    broken = neighbours.t[neighbours.o == 20].min()
    assert f": Si{broken + 1} at (" in reason(tmp_path, p1_text(atoms))


def test_partial_occupancy(tmp_path):
    rows = [SILICON, (*OXYGEN[:5], 0.5)]
    found = reason(tmp_path, cif_text(rows))
    assert ": O1 at (0.0000, " in found and "is partially occupied (O 0.5)" in found


def test_shared_site(tmp_path):
    rows = [(*SILICON[:5], 0.75), ("Al1", "Al", *SILICON[2:5], 0.25), OXYGEN]
    found = reason(tmp_path, cif_text(rows))
    assert "is shared by several elements" in found
    assert "Si 0.75" in found and "Al 0.25" in found


def test_two_rows_on_one_place(tmp_path):
    atoms = known_framework("SOD").atoms
    again: Row = ("O99", "O", *(float(x) for x in atoms.get_scaled_positions()[20]), 1.0)
    found = reason(tmp_path, p1_text(atoms, [again]))
    assert "taken by more than one atom" in found and "(O 2)" in found


def test_overlapping_atoms(tmp_path):
    atoms = known_framework("SOD").atoms
    x, y, z = (float(x) for x in atoms.get_scaled_positions()[20])
    found = reason(tmp_path, p1_text(atoms, [("O99", "O", x + 0.05, y, z, 1.0)]))
    assert "overlap: 0.45 Å apart, at least 1.90 Å expected" in found
    assert "O99" in found and "O21" in found


def test_interrupted_framework(tmp_path):
    atoms = known_framework("SOD").atoms
    bonds = known_framework("SOD").bonds
    oxygens = bonds.o[bonds.t == 0]
    del atoms[0]
    found = reason(tmp_path, p1_text(atoms))
    assert "bonds to 1 T atoms instead of 2: a terminal oxygen of an interrupted framework" in found
    assert f"{len(oxygens)} oxygens like this" in found


GUESTS: list[Row] = [
    ("C1", "C", 0.02, 0.01, 0.03, 1.0),
    ("H1", "H", 0.14, 0.01, 0.03, 1.0),
    ("Ow", "O", 0.5, 0.5, 0.47, 0.4),
]


def test_guests_are_refused(tmp_path):
    found = reason(tmp_path, p1_text(known_framework("SOD").atoms, GUESTS[:2]))
    assert "C1 at (0.0200, 0.0100, 0.0300)" in found
    assert "1 such atoms: C" in found and "a guest" in found


def test_water_is_refused(tmp_path):
    water: Row = ("Ow1", "O", 0.02, 0.01, 0.03, 1.0)
    found = reason(tmp_path, p1_text(known_framework("SOD").atoms, [water]))
    assert "Ow1 at" in found and "bonds to 0 T atoms instead of 2: water or another guest" in found


def test_guests_are_left_out_on_request(tmp_path):
    text = p1_text(known_framework("SOD").atoms, GUESTS)
    assert same(read(tmp_path, text, strip_guests=True), known_framework("SOD"))


def test_a_phosphorus_in_the_guest_is_left_out_too(tmp_path):
    text = p1_text(known_framework("SOD").atoms, [("P1", "P", 0.02, 0.01, 0.03, 1.0)])
    assert same(read(tmp_path, text, strip_guests=True), known_framework("SOD"))


def test_nothing_but_guests(tmp_path):
    text = cif_text(GUESTS, space_group="P 1")
    assert "nothing but guests" in reason(tmp_path, text, strip_guests=True)


def test_cations_stay(tmp_path):
    text = p1_text(
        known_framework("SOD").atoms, [("Na1", "Na", 0.02, 0.01, 0.03, 1.0), *GUESTS[2:]]
    )
    framework = read(tmp_path, text, strip_guests=True)
    assert framework.atoms.get_chemical_symbols().count("Na") == 1


def test_a_half_occupied_cation_is_refused_even_so(tmp_path):
    text = p1_text(known_framework("SOD").atoms, [("Na1", "Na", 0.02, 0.01, 0.03, 0.5)])
    assert "Na1 at (0.0200, 0.0100, 0.0300) is partially occupied (Na 0.5)" in reason(
        tmp_path, text, strip_guests=True
    )


def test_an_element_that_is_none(tmp_path):
    text = cif_text(SODALITE_ROWS, space_group="P 1").replace("_atom_site_type_symbol\n", "")
    text = text.replace("T1 Si", "T1").replace("O1 O ", "O1 ")
    assert ": T1 at (" in reason(tmp_path, text) and "is of no element" in reason(tmp_path, text)


def test_an_element_that_pymatgen_invents(tmp_path):
    rows = [*SODALITE_ROWS, ("Xx1", "Qx", 0.1, 0.1, 0.1, 1.0)]
    assert ": Xx1 at (" in reason(tmp_path, cif_text(rows, space_group="P 1"))


def test_a_row_that_pymatgen_drops(tmp_path):
    rows = [*SODALITE_ROWS, ("OH1", "OH", 0.1, 0.1, 0.1, 1.0)]
    assert "row OH1 of the file names no element" in reason(
        tmp_path, cif_text(rows, space_group="P 1")
    )


def test_no_structure(tmp_path):
    assert "pymatgen reads no structure from it" in reason(tmp_path, "not a CIF file\n")


def test_empty_file(tmp_path):
    assert "pymatgen reads no structure from it" in reason(tmp_path, "")


def test_no_file(tmp_path):
    with pytest.raises(FrameworkError, match=r"^nowhere\.cif: no such file$"):
        read_framework(tmp_path / "nowhere.cif")


def test_two_structures_in_one_file(tmp_path):
    text = "".join(
        cif_text(SODALITE_ROWS, space_group="P 1", name=name) for name in ("first", "second")
    )
    assert "2 structures in one file" in reason(tmp_path, text)


def test_folder_gives_frameworks_and_reasons(tmp_path):
    (tmp_path / "good.cif").write_text(cif_text(SODALITE_ROWS))
    (tmp_path / "bad.CIF").write_text(cif_text([SILICON], space_group="P 1"))
    (tmp_path / "notes.txt").write_text("no structure")
    found = dict(read_folder(tmp_path))
    assert sorted(found) == ["bad", "good"]
    assert isinstance(found["good"], Framework)
    assert "the structure has no oxygen" in str(found["bad"])


def test_folder_without_files(tmp_path):
    with pytest.raises(FrameworkError, match="no folder with CIF files"):
        next(read_folder(tmp_path / "nowhere"))
