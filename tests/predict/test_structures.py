"""Structures out of files as they come: ASE's formats, tables, SMILES; and files that are none."""

import ase.build
import ase.db
import ase.io
import numpy as np
import pytest

from molsieve.chem.identities import structure_row
from molsieve.predict.structures import read_structures
from molsieve.section import CampaignError
from molsieve.tables import write_table


def read(path, **options):
    return list(read_structures(path, **options))


@pytest.mark.parametrize("name", ["m.xyz", "m.extxyz", "m.traj", "m.db"])
def test_files_that_hold_several_structures(name, tmp_path):
    molecules = [ase.build.molecule(f) for f in ("H2O", "CH3OH", "NH3")]
    ase.io.write(tmp_path / name, molecules)
    found = read(tmp_path / name)
    assert [g.index for g in found] == [0, 1, 2]
    for given, molecule in zip(found, molecules, strict=True):
        assert given.atoms.numbers.tolist() == molecule.numbers.tolist()
        assert given.atoms.positions == pytest.approx(molecule.positions, abs=1e-6)
        assert given.atoms.info == {"charge_e": 0, "multiplicity": 1}
        assert not given.rough and not given.atoms.pbc.any()


@pytest.mark.parametrize("name", ["quartz.cif", "POSCAR"])
def test_crystals_keep_their_cell(name, tmp_path):
    crystal = ase.build.bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    ase.io.write(tmp_path / name, crystal)
    (given,) = read(tmp_path / name)
    assert given.atoms.pbc.all()
    assert given.atoms.cell.lengths() == pytest.approx([5.64] * 3)
    assert len(given.atoms) == 8


def test_charges_in_files_and_on_the_command_line(tmp_path):
    told, silent = ase.build.molecule("OH"), ase.build.molecule("H2O")
    told.info = {"charge": -1, "multiplicity": 1, "name": "hydroxide"}
    ase.io.write(tmp_path / "m.extxyz", [told, silent])
    found = read(tmp_path / "m.extxyz", charge_e=1, multiplicity=2)
    assert found[0].atoms.info == {"charge_e": -1, "multiplicity": 1}
    assert found[1].atoms.info == {"charge_e": 1, "multiplicity": 2}
    assert [g.name for g in found] == ["hydroxide", None]


def test_charges_in_ases_databases(tmp_path):
    with ase.db.connect(tmp_path / "m.db") as database:
        database.write(ase.build.molecule("OH"), charge_e=-1, name="hydroxide")
    (given,) = read(tmp_path / "m.db")
    assert given.atoms.info == {"charge_e": -1, "multiplicity": 1}
    assert given.name == "hydroxide"


def test_a_charge_that_is_no_whole_number(tmp_path):
    atoms = ase.build.molecule("H2O")
    atoms.info["charge"] = 0.5
    ase.io.write(tmp_path / "m.extxyz", [atoms, ase.build.molecule("H2O")])
    found = read(tmp_path / "m.extxyz")
    assert found[0].atoms is None and found[0].reason == "charge is 0.5, not a whole number"
    assert found[1].atoms is not None


def test_structure_tables(tmp_path):
    anion = ase.build.molecule("OH")
    anion.info = {"charge_e": -1, "multiplicity": 1}
    rows = [
        structure_row(atoms, species_id="s", origin="built", geometry_protocol_id="p")
        for atoms in (anion, ase.build.molecule("H2O"))
    ]
    write_table(rows, "structures", tmp_path / "structures.parquet")
    found = read(tmp_path / "structures.parquet")
    assert [g.name for g in found] == [row["structure_id"] for row in rows]
    assert found[0].atoms.info == {"charge_e": -1, "multiplicity": 1}
    assert found[1].atoms.positions.ravel() == pytest.approx(rows[1]["positions_angstrom"])


def test_smiles_are_embedded_and_those_that_are_none_are_kept(tmp_path):
    lines = ["O water", "# a comment", "", "C[N+](C)(C)C", "not-a-smiles", "[CH3]", "O.O"]
    (tmp_path / "m.smi").write_text("\n".join(lines) + "\n")
    found = read(tmp_path / "m.smi")
    assert [g.name for g in found] == ["O", "C[N+](C)(C)C", "not-a-smiles", "[CH3]", "O.O"]
    assert found[0].atoms.get_chemical_formula() == "H2O" and found[0].rough
    assert found[1].atoms.info["charge_e"] == 1
    reasons = [g.reason for g in found[2:]]
    assert "not a SMILES" in reasons[0] and "radical" in reasons[1] and "several" in reasons[2]
    again = read(tmp_path / "m.smi")
    assert np.array_equal(again[1].atoms.positions, found[1].atoms.positions)


def test_partial_occupancy_is_no_structure(tmp_path):
    cif = """data_x
_cell_length_a 4
_cell_length_b 4
_cell_length_c 4
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt 'P 1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Na1 Na 0 0 0 0.5
Cl1 Cl 0.5 0.5 0.5 1.0
"""
    (tmp_path / "x.cif").write_text(cif)
    (given,) = read(tmp_path / "x.cif")
    assert given.atoms is None and "occupied partially" in given.reason


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(CampaignError, match=r"none.xyz: no such file"):
        read(tmp_path / "none.xyz")
    (tmp_path / "x.xyz").write_text("3\ncomment\nH 0 0 0\n")
    with pytest.raises(CampaignError, match=r"x.xyz: ASE cannot read structure 0"):
        read(tmp_path / "x.xyz")
    (tmp_path / "x.unknown").write_text("?\n")
    with pytest.raises(CampaignError, match=r"x.unknown: ASE cannot read structure 0"):
        read(tmp_path / "x.unknown")
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(CampaignError, match=r"x.parquet is not a complete Parquet file"):
        read(tmp_path / "x.parquet")
    write_table([], "receipt", tmp_path / "r.parquet")
    with pytest.raises(CampaignError, match="holds table 'receipt', not 'structures'"):
        read(tmp_path / "r.parquet")


def test_reading_is_lazy(tmp_path):
    """A file larger than memory: the first structure is there before the last is read."""
    good = "3\n\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n"
    (tmp_path / "x.xyz").write_text(good * 3 + "3\n\nO 0 0\n")
    structures = read_structures(tmp_path / "x.xyz")
    assert [next(structures).index for _ in range(3)] == [0, 1, 2]
    with pytest.raises(CampaignError, match="structure 3"):
        next(structures)
