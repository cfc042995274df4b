"""Programs through ASE: Quantum ESPRESSO for real where it is installed, else what ASE writes."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from molsieve.engines import CalculationError, check_level, compute_label, open_engine
from molsieve.engines.ase_programs import PROGRAMS
from molsieve.engines.base import EngineUnavailable
from molsieve.engines.cells import in_a_box
from molsieve.engines.program_folder import ProgramFolder
from molsieve.levels import AseLevel, level_id
from molsieve.section import CampaignError
from tests.engines.crystals import strained
from tests.engines.geometries import slope

DEBIANS = Path("/usr/share/espresso/pseudo")
ESPRESSO = {
    "engine": "ase",
    "calculator": "quantum-espresso",
    "version": "6.7",
    "command": "pw.x",
    "pseudopotential_folder": str(DEBIANS),
    "pseudopotentials": {"Si": "Si.pz-vbc.UPF", "H": "H.pz-vbc.UPF"},
    "parameters": {"system": {"ecutwfc": 14}, "electrons": {"conv_thr": 1e-10}},
}
VASP = {
    "engine": "ase",
    "calculator": "vasp",
    "version": "6.4",
    "command": "vasp_std",
    "pseudopotential_folder": "potentials",
    "pseudopotentials": {"Ca": "_sv"},
    "parameters": {"xc": "PBE", "encut": 520, "ivdw": 12},
}
needs_espresso = pytest.mark.skipif(
    shutil.which("pw.x") is None or not DEBIANS.is_dir(),
    reason="no pw.x with Debian's pseudopotentials (quantum-espresso, quantum-espresso-data)",
)


def espresso(**settings) -> AseLevel:
    return AseLevel(**{**ESPRESSO, **settings})


def silicon() -> Atoms:
    atoms = bulk("Si")
    atoms.rattle(0.05, seed=1)
    return atoms


@needs_espresso
def test_forces_and_stress_of_silicon_are_slopes():
    level = espresso(k_points=[2, 2, 2])
    numerical, analytical = slope(silicon(), level, step=0.01)
    assert abs(analytical) > 0.05
    assert analytical == pytest.approx(numerical, rel=0.02)
    label = compute_label(silicon(), level)
    strain = np.zeros((3, 3))
    strain[0, 1] = strain[1, 0] = 2e-3  # shears keep the volume, and so the plane waves' number
    up, down = (compute_label(strained(silicon(), s * strain), level).energy_ev for s in (1, -1))
    numerical = (up - down) / (4e-3 * silicon().cell.volume)
    assert 2 * label.stress_ev_per_angstrom3[0, 1] == pytest.approx(numerical, abs=4e-3)


@needs_espresso
def test_a_repeated_cell_is_the_mesh_that_folds_back():
    """Two cells along a vector at Γ are one cell on a mesh of two, Γ among its points."""
    atoms = Atoms("H2", [[0, 0, 0], [0.7, 0.2, 0.1]], cell=[2.5, 3.5, 3.6], pbc=True)
    few = {"parameters": {"system": {"ecutwfc": 14}, "electrons": {"conv_thr": 1e-10}}}
    repeated = compute_label(atoms, espresso(min_cell_angstrom=3.0, **few))
    mesh = compute_label(atoms, espresso(k_points=[2, 1, 1], **few))
    assert repeated.energy_ev == pytest.approx(mesh.energy_ev, abs=2e-3)
    np.testing.assert_allclose(
        repeated.forces_ev_per_angstrom, mesh.forces_ev_per_angstrom, atol=5e-3
    )
    np.testing.assert_allclose(
        repeated.stress_ev_per_angstrom3, mesh.stress_ev_per_angstrom3, atol=5e-3
    )
    assert abs(compute_label(atoms, espresso(**few)).energy_ev - mesh.energy_ev) > 0.05


@needs_espresso
def test_the_ladder_finds_the_number_of_a_level_that_gives_up_early():
    plain = compute_label(silicon(), espresso())
    early = {"system": {"ecutwfc": 14}, "electrons": {"conv_thr": 1e-10, "electron_maxstep": 2}}
    label = compute_label(silicon(), espresso(parameters=early))
    assert label.recovery_step == 1
    assert label.energy_ev == pytest.approx(plain.energy_ev, abs=1e-5)


@needs_espresso
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"parameters": {"system": {"ecutwfc": 14, "input_dft": "xyz"}}}, "unrecognized dft"),
        ({"pseudopotentials": {"Si": "none.UPF"}}, "none.UPF not found"),
    ],
)
def test_failures_are_in_the_programs_own_words(settings, words):
    with pytest.raises(CalculationError, match=words) as caught:
        compute_label(silicon(), espresso(**settings))
    assert caught.value.kind == "engine_error"


@needs_espresso
def test_another_version_than_the_levels_is_no_structures_fault():
    with pytest.raises(EngineUnavailable, match=r"is version 6\.7.*says 7\.3"):
        compute_label(silicon(), espresso(version="7.3"))


def test_an_absent_program_is_refused():
    level = espresso(command="no_such_program -in")
    with pytest.raises(EngineUnavailable, match="not found on PATH"):
        open_engine(level)
    with pytest.raises(CampaignError, match="command: 'no_such_program -in' is not found"):
        check_level(level, {"Si"})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"pseudopotential_folder": "nowhere"}, "pseudopotential_folder: 'nowhere' is not a"),
        ({"pseudopotentials": {}}, "pseudopotentials: no file for Si"),
        ({"pseudopotentials": {"Si": "none.UPF"}}, r"'none.UPF' \(Si\) is not a file"),
        ({"parameters": {}}, "system.ecutwfc is missing"),
        ({"parameters": {"ecutwfc": 14}}, "ecutwfc given; allowed: sections"),
        ({"parameters": {"system": {"ecutwfc": 14, "nspin": 2}}}, "nspin given, which follow"),
    ],
)
def test_what_an_espresso_level_lacks_is_refused_before_anything_is_queued(
    settings, words, tmp_path
):
    (tmp_path / "Si.UPF").touch()
    good = {
        "command": "sh",
        "pseudopotential_folder": str(tmp_path),
        "pseudopotentials": {"Si": "Si.UPF"},
    }
    check_level(espresso(**good), {"Si"})
    with pytest.raises(CampaignError, match=words):
        check_level(espresso(**{**good, **settings}), {"Si"})


def written(level: AseLevel, atoms: Atoms, charge: int, multiplicity: int, step: int = 0) -> str:
    """The input file that ASE writes for pw.x, as one line."""
    program, folder = PROGRAMS[level.calculator], ProgramFolder()
    calculator = program.calculator(level, atoms, charge, multiplicity, folder, program.steps[step])
    calculator.write_inputfiles(atoms, ["energy", "forces"])
    text = (folder.path / "espresso.pwi").read_text()
    folder.remove()
    return " ".join(text.split())


def test_espressos_input_says_what_the_level_and_the_structure_do():
    text = written(espresso(k_points=[2, 1, 1]), silicon(), 0, 3)
    for words in (
        "ecutwfc = 14",
        "nspin = 2",
        "tot_magnetization = 2",
        "tstress = .true.",
        "2 1 1 0 0 0",
        "Si.pz-vbc.UPF",
    ):
        assert words in text
    molecular = written(espresso(), in_a_box(molecule("H2"), 3.0, 2.0), 1, 2)
    for words in ("assume_isolated = 'mt'", "tot_charge = 1", "tstress = .false.", "gamma"):
        assert words in molecular
    assert "mixing_beta = 0.2" in written(espresso(), silicon(), 0, 1, step=1)


def potcars(folder: Path) -> Path:
    """Pseudopotential files as VASP's users have them, without what VASP's licence protects."""
    for name in ("Si", "Ca_sv"):
        (folder / "potpaw_PBE" / name).mkdir(parents=True)
        lines = [f"   TITEL  = PAW_PBE {name} 05Jan2001", "", "", ""]
        lines.append("   POMASS =   28.085; ZVAL   =    4.000    mass and valenz")
        (folder / "potpaw_PBE" / name / "POTCAR").write_text("\n".join(lines))
    return folder


def test_vasps_files_say_what_the_level_and_the_structure_do(tmp_path):
    level = AseLevel(**{**VASP, "pseudopotential_folder": str(potcars(tmp_path))})
    program, folder = PROGRAMS["vasp"], ProgramFolder()
    calculator = program.calculator(level, silicon(), -1, 2, folder, program.steps[1])
    calculator.initialize(silicon())
    calculator.write_input(silicon())
    incar = (folder.path / "INCAR").read_text()
    for words in ("ENCUT = 520", "IVDW = 12", "ISPIN = 2", "NUPDOWN = 1", "ALGO = Normal"):
        assert words in incar.replace(".0000", "").replace("00000", "")
    assert "NELECT = 9" in incar
    assert "1 1 1" in (folder.path / "KPOINTS").read_text()
    assert "PAW_PBE Si" in (folder.path / "POTCAR").read_text()
    folder.remove()


def test_what_a_vasp_level_lacks_is_refused_before_anything_is_queued(tmp_path):
    here = {"command": "sh", "pseudopotential_folder": str(potcars(tmp_path))}
    check_level(AseLevel(**{**VASP, **here}), {"Si", "Ca"})
    with pytest.raises(CampaignError, match="no POTCAR of every element"):
        check_level(AseLevel(**{**VASP, **here}), {"Si", "O"})
    with pytest.raises(CampaignError, match="nsw given, which follow"):
        check_level(AseLevel(**{**VASP, **here, "parameters": {"nsw": 5}}), {"Si"})


def test_vasp_has_no_charged_molecules():
    level = AseLevel(**{**VASP, "command": "sh"})
    atoms = molecule("H2")
    atoms.info = {"charge_e": 1, "multiplicity": 2}
    with pytest.raises(CalculationError, match="charged_cells"):
        compute_label(atoms, level)


def test_the_identity_holds_parameters_and_version_but_no_places():
    same = espresso(command="srun pw.x", pseudopotential_folder="elsewhere")
    assert level_id(same) == level_id(espresso())
    for settings in (
        {"version": "7.3"},
        {"pseudopotentials": {"Si": "other.UPF"}},
        {"parameters": {"system": {"ecutwfc": 15}}},
        {"k_points": [2, 2, 2]},
        {"min_cell_angstrom": 8.0},
        {"charged_cells": True},
    ):
        assert level_id(espresso(**settings)) != level_id(espresso())
    assert level_id(espresso(k_points=[1, 1, 1])) == level_id(espresso())
    assert hash(espresso()) == hash(espresso())
