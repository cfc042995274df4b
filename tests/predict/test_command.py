"""``molsieve predict`` on real files: what is written, what is printed, how mistakes end."""

import subprocess
import sys

import ase.build
import ase.io
import numpy as np
import pandas as pd
import pytest

from molsieve import cli
from molsieve.potential import load_committee
from molsieve.predict.output import CSV_COLUMNS
from molsieve.tables import SCHEMAS, read_table
from tests.finished_campaign import water


@pytest.fixture
def structures(tmp_path):
    """Five molecules, the last of an element never seen, and a crystal of water."""
    ice = water(0.05, 9)
    ice.set_cell([4.0, 4.1, 4.2])
    ice.pbc = True
    molecules = [water(0.06, seed) for seed in range(4)] + [ase.build.molecule("CH4"), ice]
    molecules[1].info["name"] = "second"
    ase.io.write(tmp_path / "in.extxyz", molecules)
    return tmp_path / "in.extxyz"


def run(capsys, *arguments):
    """Exit status, stdout, stderr."""
    status = cli.main([str(a) for a in arguments])
    return (status, *capsys.readouterr())


def test_parquet(structures, results, tmp_path, capsys):
    out = tmp_path / "p.parquet"
    status, said, errors = run(capsys, "predict", structures, "--campaign", results, "--out", out)
    assert (status, errors) == (0, "")
    assert f"wrote {out}" in said
    table = read_table(out, "structure_predictions")
    assert list(pd.read_parquet(out).columns) == SCHEMAS["structure_predictions"].names
    assert table["index"].tolist() == list(range(6))
    committee = load_committee(results, device="cpu")
    found = committee.predict(ase.io.read(structures, ":"))
    assert table["in_domain"].tolist() == found.in_domain.tolist()
    assert table["reason"][4] == "element never seen in training: C"
    found = committee.predict(ase.io.read(structures, ":4"))
    assert table["energy_ev"][:4].tolist() == pytest.approx(found.energy, abs=1e-4)
    assert table["energy_std_ev"][:4].tolist() == pytest.approx(found.energy_std, rel=1e-3)
    assert len(table["stress_ev_per_angstrom3"][5]) == 9
    assert table["name"][1] == "second"
    assert [p.name for p in tmp_path.iterdir() if ".part" in p.name] == []


def test_extended_xyz_is_read_back_by_ase(structures, results, tmp_path, capsys):
    out = tmp_path / "p.extxyz"
    assert run(capsys, "predict", structures, "--campaign", results, "--out", out)[0] == 0
    found = ase.io.read(out, ":")
    expected = load_committee(results, device="cpu").predict(ase.io.read(structures, ":"))
    assert len(found) == 6
    for s, atoms in enumerate(found):
        assert atoms.get_potential_energy() == pytest.approx(expected.energy[s], abs=1e-4)
        mine = expected.structure == s
        assert atoms.get_forces() == pytest.approx(expected.forces[mine], abs=1e-4)
        spread = expected.forces_std[mine]
        assert atoms.arrays["forces_std"] == pytest.approx(spread, rel=1e-3, abs=1e-4)
        assert atoms.info["in_domain"] == expected.in_domain[s]
    assert found[5].get_stress(voigt=False) == pytest.approx(expected.stress[5], abs=1e-5)
    assert found[4].info["reason"] == "element never seen in training: C"


def test_csv_has_a_column_a_number(structures, results, tmp_path, capsys):
    out = tmp_path / "p.csv"
    assert run(capsys, "predict", structures, "--campaign", results, "--out", out)[0] == 0
    table = pd.read_csv(out)
    assert table.columns.tolist() == CSV_COLUMNS
    assert (table["energy_low_95_ev"] < table["energy_ev"]).all()
    assert (table["energy_ev"] < table["energy_high_68_ev"]).all()
    stress = load_committee(results, device="cpu").predict(ase.io.read(structures, "5")).stress[0]
    found = table.filter(like="stress_").loc[5].to_numpy()
    expected = [stress[0, 0], stress[1, 1], stress[2, 2], stress[1, 2], stress[0, 2], stress[0, 1]]
    assert found == pytest.approx(expected, abs=1e-5)
    assert table.filter(like="stress_").loc[:4].isna().all(axis=None)


def test_a_table_on_the_terminal(structures, results, capsys):
    status, said, errors = run(capsys, "predict", structures, "--campaign", results, "--round", 0)
    assert (status, errors) == (0, "")
    assert "tiny, round 0: spread of energy and forces calibrated on 8 structures" in said
    assert "6 structures (" in said and "out of the domain)" in said
    assert "second" in said and "CH4" in said
    assert "  4: element never seen in training: C" in said
    assert "Traceback" not in said


def test_smiles_from_an_export_relaxed(results, tmp_path, capsys):
    """GFN2-xTB's own minimum of water is -137.977 eV."""
    (tmp_path / "m.smi").write_text("O water\nnonsense\n")
    assert run(capsys, "export", results, tmp_path / "exported")[0] == 0
    out = tmp_path / "p.parquet"
    status, said, _ = run(
        capsys, "predict", tmp_path / "m.smi", "--committee", tmp_path / "exported", "--out", out
    )
    assert status == 0 and "2 structures (1 failed, 1 " in said
    table = read_table(out, "structure_predictions")
    assert table["energy_ev"][0] == pytest.approx(-137.977, abs=0.3)
    assert table["force_max_ev_per_angstrom"][0] <= 0.05 and table["relaxation_steps"][0] > 0
    assert table["status"].tolist() == ["ok", "failed"] and "SMILES" in table["reason"][1]


def test_a_file_without_a_molecule(results, tmp_path, capsys):
    (tmp_path / "m.smi").write_text("# none\n")
    out = tmp_path / "p.parquet"
    arguments = ["predict", tmp_path / "m.smi", "--campaign", results, "--out", out]
    status, said, _ = run(capsys, *arguments)
    assert status == 0 and "0 structures (empty file)" in said
    assert read_table(out, "structure_predictions").empty


def test_relax_and_charges(results, tmp_path, capsys):
    ase.io.write(tmp_path / "w.xyz", water(0.06, 2))
    arguments = ["predict", tmp_path / "w.xyz", "--campaign", results]
    out = tmp_path / "p.extxyz"
    assert run(capsys, *arguments, "--relax", "--fmax", "0.02", "--out", out)[0] == 0
    assert np.linalg.norm(ase.io.read(out).get_forces(), axis=1).max() <= 0.0201
    status, said, _ = run(capsys, *arguments, "--charge", "1", "--multiplicity", "2")
    assert status == 0 and "charge +1, multiplicity 2: the committee was trained without" in said


def test_more_structures_than_a_screen_holds(results, tmp_path, capsys):
    ase.io.write(tmp_path / "many.xyz", [water(0.05, seed) for seed in range(45)])
    arguments = ["predict", tmp_path / "many.xyz", "--campaign", results]
    _, said, _ = run(capsys, *arguments)
    assert "… and 5 more; --out FILE keeps all of them" in said
    _, said, _ = run(capsys, *arguments, "--out", tmp_path / "p.csv")
    assert "45 structures" in said and len(said.splitlines()) < 10
    assert len(pd.read_csv(tmp_path / "p.csv")) == 45


def test_a_file_that_breaks_off_leaves_the_old_output(results, tmp_path, capsys):
    good = "3\n\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n"
    (tmp_path / "x.xyz").write_text(good * 3 + "3\n\nO 0 0\n")
    for name in ("p.parquet", "p.extxyz", "p.csv"):
        (tmp_path / name).write_text("old")
        arguments = ["predict", tmp_path / "x.xyz", "--campaign", results, "--out", tmp_path / name]
        status, said, errors = run(capsys, *arguments)
        assert (status, said) == (2, "")
        assert "x.xyz: ASE cannot read structure 3" in errors and "Traceback" not in errors
        assert (tmp_path / name).read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["none.xyz", "--campaign", "{results}"], "none.xyz: no such file"),
        (["w.xyz", "--campaign", "nowhere"], "nowhere: no such folder"),
        (["w.xyz", "--campaign", "{results}", "--round", "2"], "round 2 has not been evaluated"),
        (["w.xyz", "--campaign", "{results}", "--out", "p.dat"], "allowed endings: .parquet"),
        (["w.xyz", "--campaign", "{results}", "--out", "no/p.csv"], "no folder no"),
        (["w.xyz", "--campaign", "{results}", "--out", "/proc/p.csv"], "cannot be written: No"),
        (["w.xyz", "--campaign", "{results}", "--out", "/proc/p.parquet"], "cannot be written: No"),
        ([".", "--campaign", "{results}"], ".: a folder, not a file"),
    ],
)
def test_a_mistake_is_one_message_and_status_2(
    arguments, told, results, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    ase.io.write("w.xyz", water())
    words = [word.format(results=results) for word in arguments]
    status, said, errors = run(capsys, "predict", *words)
    assert (status, said) == (2, "")
    assert told in errors and len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["x.xyz"],
        ["x.xyz", "--campaign", "a", "--committee", "b"],
        ["x.xyz", "--campaign", "a", "--fmax", "0"],
        ["x.xyz", "--campaign", "a", "--device", "tpu"],
        ["x.xyz", "--campaign", "a", "--max-steps", "-3"],
        ["x.xyz", "--campaign", "a", "--multiplicity", "0"],
    ],
)
def test_a_wrong_command_line_is_explained(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["predict", *arguments])
    assert stopped.value.code == 2
    assert "usage: molsieve predict" in capsys.readouterr().err


def test_help_imports_nothing_that_takes_seconds():
    code = (
        "import sys; from molsieve import cli\n"
        "try:\n    cli.main(['predict', '--help'])\n"
        "except SystemExit: print(sorted({'torch', 'ase', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
