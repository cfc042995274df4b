"""GFN2-xTB minima against tblite's own ASE calculator."""

import ase
import numpy as np
import pytest
from ase.build import molecule as g2_molecule
from ase.optimize import BFGS
from rdkit import Chem
from tblite.ase import TBLite

from molsieve.chem import relaxation
from molsieve.chem.conformers import embed_conformers
from molsieve.chem.relaxation import RelaxationError, relax


def test_energy_forces_and_minimum_agree_with_tblites_own_calculator():
    start = g2_molecule("CH3OH")
    relaxed = relax(start, 0.005, 200)
    peer = start.copy()
    peer.calc = TBLite(method="GFN2-xTB", verbosity=0)
    BFGS(peer, logfile=None).run(fmax=0.005, steps=200)
    assert relaxed.energy_ev == pytest.approx(peer.get_potential_energy(), abs=2e-4)
    check = relaxed.atoms.copy()
    check.calc = TBLite(method="GFN2-xTB", verbosity=0)
    assert check.get_potential_energy() == pytest.approx(relaxed.energy_ev, abs=1e-5)
    assert np.linalg.norm(check.get_forces(), axis=1).max() < 0.006
    assert np.array_equal(start.positions, g2_molecule("CH3OH").positions)


def test_forces_are_minus_the_slope_of_the_energy():
    atoms = g2_molecule("H2O")
    atoms.calc = relaxation._ReusedTblite(0, 1)
    forces = atoms.get_forces()
    for atom, axis in ((0, 2), (1, 1)):
        energies = []
        for sign in (1, -1):
            atoms.positions[atom, axis] += sign * 1e-3
            energies.append(atoms.get_potential_energy())
            atoms.positions[atom, axis] -= sign * 1e-3
        assert forces[atom, axis] == pytest.approx((energies[1] - energies[0]) / 2e-3, abs=2e-3)


def test_the_force_fields_hessian_saves_steps_and_finds_the_same_minimum():
    found = embed_conformers(Chem.MolFromSmiles("COC1=CC(=O)C=CC1=O"), 1, 1)
    plain = relax(found.atoms(0), 0.01, 300)
    guided = relax(found.atoms(0), 0.01, 300, found.hessian_ev_per_angstrom2(0))
    assert guided.energy_ev == pytest.approx(plain.energy_ev, abs=5e-3)
    assert guided.steps < plain.steps / 2


def test_charge_and_spin_count():
    def energy(charge, multiplicity):
        atoms = ase.Atoms("OH", [[0, 0, 0], [0, 0, 0.97]])
        atoms.info.update(charge_e=charge, multiplicity=multiplicity)
        return relax(atoms, 0.05, 50).energy_ev

    assert abs(energy(-1, 1) - energy(0, 2)) > 1.0


def test_too_few_steps_are_a_typed_error():
    with pytest.raises(RelaxationError) as caught:
        relax(g2_molecule("CH3CH2OH"), 1e-4, 1)
    assert caught.value.kind == "geometry_not_converged"


def test_an_scf_that_does_not_converge_is_a_typed_error(monkeypatch):
    monkeypatch.setattr(relaxation, "MAX_SCF_ITERATIONS", 2)
    with pytest.raises(RelaxationError) as caught:
        relax(g2_molecule("CH3OH"), 0.02, 5)
    assert caught.value.kind == "scf_not_converged"


def test_what_tblite_refuses_is_a_typed_error():
    with pytest.raises(RelaxationError, match="No support") as caught:
        relax(ase.Atoms("U"), 0.02, 5)
    assert caught.value.kind == "engine_error"
