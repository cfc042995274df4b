import os
import subprocess
import sys

import ase
import ase.build
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from molsieve.potential.graphs import AtomsBatch
from molsieve.properties.descriptors import (
    DESCRIPTORS,
    HARDNESS_HARTREE,
    lowest_singlet,
    orbital_descriptors,
)
from molsieve.property_settings import LARGEST_DESCRIBED
from molsieve.section import CampaignError


def told(*molecules: ase.Atoms) -> np.ndarray:
    return orbital_descriptors(AtomsBatch.from_atoms(list(molecules))).numpy()


def test_orbital_energies_are_those_of_tblite():
    from tblite.interface import Calculator

    molecule = ase.build.molecule("H2CO")
    calculator = Calculator("GFN2-xTB", molecule.numbers, molecule.positions / ase.units.Bohr)
    calculator.set("verbosity", 0)
    energies = calculator.singlepoint().get("orbital-energies") * ase.units.Hartree
    homo, lumo, gap, root, _ = told(molecule)[0]
    assert homo == pytest.approx(energies[5])
    assert lumo == pytest.approx(energies[6])
    assert gap == pytest.approx(lumo - homo)
    assert root >= gap - 0.5


def test_the_excitation_of_formaldehyde_is_dark_that_of_thiophene_is_not():
    formaldehyde, thiophene = told(ase.build.molecule("H2CO"), ase.build.molecule("C4H4S"))
    strength = DESCRIPTORS.index("sqrt_strength")
    assert formaldehyde[strength] < 0.02
    assert thiophene[strength] > 0.05


def test_the_settings_know_the_last_element():
    assert len(HARDNESS_HARTREE) == LARGEST_DESCRIBED


def test_place_orientation_and_order_do_not_matter():
    molecule = ase.build.molecule("CH3CONH2")
    moved = molecule.copy()
    moved.positions = moved.positions @ Rotation.random(random_state=1).as_matrix() + [3, -20, 7]
    shuffled = moved[np.random.default_rng(0).permutation(len(moved))]
    first, second = told(molecule, shuffled)
    np.testing.assert_allclose(first, second, atol=1e-5)


def test_a_far_copy_changes_nothing():
    molecule = ase.build.molecule("H2CO")
    copy = molecule.copy()
    copy.positions += [200.0, 0, 0]
    alone, pair = told(molecule, molecule + copy)
    np.testing.assert_allclose(pair[:4], alone[:4], atol=5e-3)


def test_conjugation_lowers_it():
    ethene, butadiene = told(ase.build.molecule("C2H4"), ase.build.molecule("butadiene"))
    assert (butadiene[2:4] < ethene[2:4] - 0.5).all()


def test_two_orbitals_by_hand():
    """One excitation between orbitals on two atoms: Δ + 2 K with q = (1/2, -1/2)."""
    c = np.array([[1, 1], [1, -1]]) / np.sqrt(2)
    positions = np.array([[0.0, 0, 0], [2.0, 0, 0]])
    root, strength = lowest_singlet(
        np.array([-0.5, 0.1]), c, np.array([0, 1]), 1, np.array([1, 1]), positions
    )
    hubbard = 2 * 0.47259288
    exchange = 0.5 * (hubbard - 1 / np.sqrt(4.0 + hubbard**-2))
    assert root == pytest.approx(0.6 + 2 * exchange)
    assert strength == pytest.approx(2 / 3 * root * 2 * (0.5 * 2.0) ** 2)


def test_heavy_elements_are_refused_in_words():
    with pytest.raises(CampaignError, match=r"orbitals, but Br has no hardness; allowed: H to Cl"):
        told(ase.build.molecule("CH3Cl"), ase.Atoms("HBr", [[0, 0, 0], [0, 0, 1.4]]))


def test_a_broken_geometry_has_none():
    molecule = ase.build.molecule("H2CO")
    molecule.positions[0, 0] = np.nan
    assert np.isnan(told(molecule)).all()


def test_of_charged_and_open_shells(recwarn):
    ion = ase.build.molecule("H2CO")
    ion.info |= {"charge_e": 1, "multiplicity": 2}
    assert torch.from_numpy(told(ion)).isfinite().all()


def test_threads_change_nothing():
    """Molecules are shared out among them."""
    molecules = [ase.build.molecule(name) for name in ("H2O", "H2CO", "C2H4", "CH3Cl")]
    one = told(*molecules)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    several = told(*molecules)
    torch.set_num_threads(before)
    np.testing.assert_array_equal(one, several)


def test_hydrogen_by_hand():
    """GFN2 gives H one orbital, so what two on two atoms say holds of a whole molecule."""
    apart = 0.9 / ase.units.Bohr
    homo, lumo, gap, root, root_of_strength = told(ase.Atoms("H2", [[0, 0, 0], [0.9, 0, 0]]))[0]
    assert gap == pytest.approx(lumo - homo)
    hubbard = 2 * 0.47259288
    exchange = 0.5 * (hubbard - 1 / np.sqrt(apart**2 + hubbard**-2))
    assert root == pytest.approx(gap + 2 * exchange * ase.units.Hartree)
    strength = 2 / 3 * root / ase.units.Hartree * 2 * (0.5 * apart) ** 2
    assert root_of_strength == pytest.approx(np.sqrt(strength))


def test_a_molecule_has_one_thread_whatever_the_shell_says():
    """Theirs times the pool's were tens of times slower; these tests' own shell says one."""
    code = """
import ase.build, threadpoolctl
from molsieve.potential.graphs import AtomsBatch
from molsieve.properties import descriptors
seen, plain = [], descriptors._of_molecule
def watched(*arguments):
    row = plain(*arguments)
    seen.extend(p["num_threads"] for p in threadpoolctl.threadpool_info())
    return row
descriptors._of_molecule = watched
descriptors.orbital_descriptors(AtomsBatch.from_atoms([ase.build.molecule("CH4")]))
print(max(seen))
"""
    shell = os.environ | {f"{name}_NUM_THREADS": "4" for name in ("OMP", "MKL", "OPENBLAS")}
    said = subprocess.run(
        [sys.executable, "-c", code], env=shell, capture_output=True, text=True, check=True
    )
    assert said.stdout.split()[-1] == "1"
