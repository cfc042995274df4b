"""CP2K: against PySCF with the same pseudopotential, slopes, its own words, its process's end."""

import os
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
import pyscf.dft
import pyscf.gto
import pytest
from ase import Atoms
from ase.build import molecule

from molsieve import programs, units
from molsieve.engines import CalculationError, check_level, compute_label, cp2k_output, open_engine
from molsieve.engines.base import EngineUnavailable
from molsieve.engines.cp2k_input import STEPS, input_text
from molsieve.levels import Cp2kLevel
from molsieve.section import CampaignError
from tests.engines.crystals import quartz, strained

needs_cp2k = pytest.mark.skipif(
    programs.cp2k_command() is None, reason="no cp2k_shell on PATH (Debian: apt-get install cp2k)"
)

ABORT = """
 *******************************************************************************
 *   ___                                                                       *
 *  /   \\                                                                      *
 * [ABORT]                                                                     *
 *  \\___/    The requested basis set <XYZ> for element <H> was not found in    *
 *    |      the basis set files <BASIS_MOLOPT>                                *
 *  O/|                                                                        *
 * /| |                                                                        *
 * / \\                                          aobasis/basis_set_types.F:1509 *
 *******************************************************************************
"""


def level(**settings) -> Cp2kLevel:
    """PBE without dispersion, cheap: the hydrogens of the tests are soft."""
    cheap = {"cutoff_ry": 150, "box_margin_angstrom": 3.0, "dispersion": "none"}
    return Cp2kLevel(engine="cp2k", **{**cheap, **settings})


def pbe_of_pyscf(atoms: Atoms, spin: int) -> float:
    """The same functional, basis set and pseudopotential without grids of plane waves."""
    mol = pyscf.gto.M(
        atom=list(zip(atoms.get_chemical_symbols(), atoms.positions.tolist(), strict=True)),
        spin=spin,
        basis="gth-dzvp-molopt-sr",
        pseudo="gth-pbe",
        verbose=0,
    )
    return pyscf.dft.KS(mol, xc="PBE").kernel() * units.EV_PER_HARTREE


@needs_cp2k
def test_hydrogen_is_that_of_pyscf_within_the_plane_waves_error():
    atoms = molecule("H2")
    label = compute_label(atoms, level())
    assert label.energy_ev == pytest.approx(pbe_of_pyscf(atoms, 0), abs=0.08)
    assert label.stress_ev_per_angstrom3 is None and label.spin_square is None
    assert label.dispersion_energy_ev is None
    np.testing.assert_allclose(label.forces_ev_per_angstrom.sum(axis=0), 0, atol=1e-3)


@needs_cp2k
@pytest.mark.slow
@pytest.mark.parametrize(("atoms", "spin"), [(molecule("H2"), 0), (Atoms("H"), 1)])
def test_with_more_plane_waves_hydrogen_is_that_of_pyscf(atoms, spin):
    """Measured at 300 Ry: H2 off by 0.06 meV."""
    label = compute_label(atoms, level(cutoff_ry=300, box_margin_angstrom=4.0))
    assert label.energy_ev == pytest.approx(pbe_of_pyscf(atoms, spin), abs=2e-3)
    if spin:
        assert label.spin_square == pytest.approx(0.75, abs=1e-3)


@needs_cp2k
@pytest.mark.slow
def test_quartz_has_forces_that_are_slopes():
    """One label of a zeolite's kind: PBE-D3(BJ), 9 atoms, few plane waves."""
    atoms, engine = quartz(), open_engine(level(cutoff_ry=200, dispersion="d3bj"))
    label = engine.compute(atoms)
    assert label.dispersion_energy_ev == pytest.approx(-1.29, abs=0.02)
    direction = np.random.default_rng(5).normal(size=(len(atoms), 3))
    direction /= np.linalg.norm(direction)
    energies = []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions += sign * 0.01 * direction
        energies.append(engine.compute(moved).energy_ev)
    slope = -(energies[0] - energies[1]) / 0.02
    analytical = (label.forces_ev_per_angstrom * direction).sum()
    assert analytical == pytest.approx(slope, rel=0.02, abs=0.02)


@needs_cp2k
@pytest.mark.slow
def test_stress_is_the_strain_derivative_and_a_repeated_cell_the_mesh_that_folds_back():
    """Of hydrogen, whose density needs few plane waves: the grid comes in whole points, and with
    oxygen a strained cell that gains one has another energy. Measured once at the default 600 Ry,
    minutes a label: quartz, σxx -0.02284 eV/Å³, by strains of ±0.005 -0.02288."""
    atoms = Atoms("H2", [[0, 0, 0], [0.7, 0.2, 0.1]], cell=[2.5, 3.5, 3.6], pbc=True)
    soft = level(cutoff_ry=250, dispersion="d3bj", min_cell_angstrom=3.0)
    label = compute_label(atoms, soft)
    strain = np.zeros((3, 3))
    strain[1, 1] = 0.01
    up, down = (compute_label(strained(atoms, s * strain), soft).energy_ev for s in (1, -1))
    numerical = (up - down) / (0.02 * atoms.cell.volume)
    assert abs(numerical) > 0.01
    assert label.stress_ev_per_angstrom3[1, 1] == pytest.approx(numerical, rel=0.1, abs=3e-3)

    mesh = compute_label(atoms, level(cutoff_ry=250, dispersion="d3bj", k_points=[2, 1, 1]))
    assert mesh.energy_ev == pytest.approx(label.energy_ev, abs=1e-4)
    np.testing.assert_allclose(
        mesh.stress_ev_per_angstrom3, label.stress_ev_per_angstrom3, atol=1e-3
    )
    np.testing.assert_allclose(mesh.forces_ev_per_angstrom, label.forces_ev_per_angstrom, atol=1e-3)


@needs_cp2k
def test_what_does_not_converge_is_no_label_though_cp2k_hands_out_a_number():
    with pytest.raises(CalculationError) as caught:
        compute_label(molecule("H2"), level(cutoff_ry=60, max_scf=1))
    assert (caught.value.kind, caught.value.message) == (
        "scf_not_converged",
        "CP2K: SCF run NOT converged",
    )


@needs_cp2k
@pytest.mark.slow
@pytest.mark.parametrize("step", range(len(STEPS)))
def test_every_step_of_the_ladder_finds_the_same_number(step):
    engine = open_engine(level(cutoff_ry=100))
    plain = engine.compute(molecule("H2"))
    engine._start(*_boxed(molecule("H2")), step)
    assert engine._single_point(_boxed(molecule("H2"))[0], step).energy_ev == pytest.approx(
        plain.energy_ev, abs=1e-5
    )


def _boxed(atoms: Atoms) -> tuple[Atoms, int, int]:
    from molsieve.engines.cells import in_a_box

    return in_a_box(atoms, 3.0), 0, 1


@needs_cp2k
@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"basis": "XYZ"}, "bad_input", "basis set <XYZ> for element <H> was not found"),
        ({"functional": "XYZ"}, "engine_error", "unknown subsection XYZ"),
    ],
)
def test_failures_are_typed_and_in_cp2ks_own_words(settings, kind, words):
    with pytest.raises(CalculationError, match=words) as caught:
        compute_label(molecule("H2"), level(**settings))
    assert caught.value.kind == kind


@needs_cp2k
def test_another_version_than_the_levels_computes_nothing():
    with pytest.raises(EngineUnavailable, match=r"the level says 1\.0"):
        open_engine(level(version="1.0"))
    with pytest.raises(CampaignError, match=r"version: '1\.0'"):
        check_level(level(version="1.0"), {"H"})


OWNER = """
from ase.build import molecule
from molsieve.engines import open_engine
from tests.engines.test_cp2k import _boxed, level
engine = open_engine(level(cutoff_ry=2000))
boxed, charge, multiplicity = _boxed(molecule("H2"))
engine._start(boxed, charge, multiplicity, 0)
print(engine._calculator._shell._child.pid, engine._folder.path, flush=True)
engine._single_point(boxed, 0)
"""


@needs_cp2k
def test_the_process_dies_with_its_owner(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.getcwd()}
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True, env=environment
    )
    words = owner.stdout.readline().split()
    child = int(words[0])
    assert words[1].startswith(str(tmp_path))
    time.sleep(2)  # at work, and so deaf to the end of its input
    assert _lives(child)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    patience = time.monotonic() + 3
    while _lives(child) and time.monotonic() < patience:
        time.sleep(0.05)
    assert not _lives(child)


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@needs_cp2k
def test_a_program_that_is_killed_has_run_out_of_memory():
    engine = open_engine(level(cutoff_ry=60))
    boxed, charge, multiplicity = _boxed(molecule("H2"))
    engine._start(boxed, charge, multiplicity, 0)
    engine._calculator._shell._child.kill()
    with pytest.raises(MemoryError):
        engine._single_point(boxed, 0)


@needs_cp2k
def test_an_engine_that_is_done_with_leaves_neither_process_nor_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    engine = open_engine(level(cutoff_ry=60))
    engine._start(*_boxed(molecule("H2")), 0)
    child = engine._calculator._shell._child.pid
    assert _lives(child) and list(tmp_path.iterdir())
    engine.close()
    assert not _lives(child) and not list(tmp_path.iterdir())


def test_the_abort_in_a_frame_of_stars_is_read_without_its_little_man():
    error = cp2k_output.failure("lines before" + ABORT, "")
    assert error.kind == "bad_input"
    assert error.message == (
        "CP2K: The requested basis set <XYZ> for element <H> was not found in the basis set files "
        "<BASIS_MOLOPT> aobasis/basis_set_types.F:1509"
    )
    assert cp2k_output.failure("", "cannot open shared object").kind == "engine_error"
    assert "ended without a word" in cp2k_output.failure("", "").message


def test_the_input_says_what_the_level_does():
    cell = quartz()
    text = input_text(level(k_points=[2, 3, 1], dispersion="d3zero"), cell, 0, 3, 0)
    for words in (
        "CUTOFF 150",
        "UKS ON\nMULTIPLICITY 3",
        "SCHEME MACDONALD 2 3 1 0.25 0 0\n",
        "TYPE DFTD3\n",
        "&DIAGONALIZATION",
        "POISSON_SOLVER PERIODIC",
    ):
        assert words in text
    assert "&OT" in input_text(level(), cell, 0, 1, 0)
    assert "POISSON_SOLVER WAVELET" in input_text(level(), molecule("H2"), 0, 1, 0)
    assert "CHARGE -1" in input_text(level(charged_cells=True), cell, -1, 2, 0)


def test_names_that_cp2k_does_not_have_are_refused_before_anything_is_queued(tmp_path, monkeypatch):
    (tmp_path / "BASIS_MOLOPT").write_text("H DZVP-MOLOPT-SR-GTH DZVP-MOLOPT-SR-GTH-q1\n 1\n")
    (tmp_path / "GTH_POTENTIALS").write_text("H GTH-PBE-q1 GTH-PBE\n    1\n")
    monkeypatch.setenv("CP2K_DATA_DIR", str(tmp_path))
    here = {"version": "2023.1"}
    monkeypatch.setattr(programs, "cp2k_command", lambda: None)
    check_level(level(**here), {"H"})
    for settings, words in (
        ({"basis": "DZVP-MOLOPT-GTH"}, "basis: .*near: DZVP-MOLOPT-SR-GTH"),
        ({"basis_file": "BASIS_MOLOP"}, "basis_file: .*did you mean BASIS_MOLOPT"),
        ({"potential": "GTH-BLYP"}, "potential: 'GTH-BLYP' is not in"),
        ({"dispersion": "d3bj", "functional": "WIGNER"}, "dispersion: 'd3bj' has no parameters"),
    ):
        with pytest.raises(CampaignError, match=words):
            check_level(level(**here, **settings), {"H"})
    with pytest.raises(CampaignError, match=r"basis: .* has nothing for Si"):
        check_level(level(**here), {"H", "Si"})
    with pytest.raises(CampaignError, match="version: null, and there is no cp2k_shell"):
        check_level(level(), {"H"})


def test_without_cp2k_an_engine_says_what_to_install(monkeypatch):
    monkeypatch.setattr(programs, "cp2k_command", lambda: None)
    with pytest.raises(EngineUnavailable, match="apt-get install cp2k"):
        open_engine(level(version="2023.1"))
