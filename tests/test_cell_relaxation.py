"""A committee trained on periodic solids: its minima are those ASE's BFGS finds with it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS

from molsieve.potential.calculator import CommitteeCalculator
from molsieve.potential.graphs import AtomsBatch
from molsieve.relax import relax_batch
from tests.potential.solid_committee import alloy, trained_on_solids, with_guest

pytest.importorskip("torch_sim", reason="torch-sim is optional")

from molsieve.cell_relaxation import relax_with_cells

FMAX, MAX_STRESS = 0.005, 2e-4


@pytest.fixture(scope="module")
def committee(tmp_path_factory):
    return trained_on_solids(tmp_path_factory.mktemp("solids"))


def shaken(atoms, seed):
    atoms.rattle(0.06, seed=seed)
    return atoms


def distances(atoms):
    """All nearest-image distances, sorted: blind to drift and rotation."""
    return np.sort(atoms.get_all_distances(mic=True)[np.triu_indices(len(atoms), 1)])


def test_the_committee_learned_the_solids(committee):
    atoms = shaken(alloy(), 5)
    calculators = EMT(), CommitteeCalculator(committee)
    forces, stresses = [], []
    for calculator in calculators:
        atoms.calc = calculator
        forces.append(atoms.get_forces())
        stresses.append(atoms.get_stress())
    assert np.abs(forces[0] - forces[1]).max() < 0.5 * np.abs(forces[0]).max()
    assert np.abs(stresses[0] - stresses[1]).max() < 0.02


def test_complexes_in_fixed_cells_reach_the_minima_of_ases_bfgs(committee):
    given = [shaken(with_guest(), 1), shaken(alloy(), 2), shaken(with_guest(), 3)]
    batch = AtomsBatch.from_atoms(given)
    found = relax_batch(committee, batch, FMAX, 200, at_once=2)
    assert found.converged.all()
    for s, atoms in enumerate(given):
        theirs = atoms.copy()
        theirs.calc = CommitteeCalculator(committee)
        assert BFGS(theirs, logfile=None).run(fmax=FMAX, steps=500)
        energy = found.energies[:, s].mean().item()
        assert energy == pytest.approx(theirs.get_potential_energy(), abs=2e-3)
        ours = atoms.copy()
        ours.positions = found.positions[batch.structure == s].numpy()
        assert distances(ours) == pytest.approx(distances(theirs), abs=0.03)
        assert found.steps[s] > 0


def test_pairs_kept_between_calls_change_no_relaxation(committee):
    batch = AtomsBatch.from_atoms([shaken(with_guest(), 6), shaken(alloy(), 7)])
    kept = relax_batch(committee, batch, FMAX, 200)
    anew = relax_batch(lambda seated: committee(seated), batch, FMAX, 200)
    assert torch.equal(kept.steps, anew.steps) and kept.converged.all()
    assert torch.allclose(kept.positions, anew.positions, atol=1e-6)


def test_without_stress_the_rest_is_the_same(committee):
    batch = AtomsBatch.from_atoms([shaken(with_guest(), 6), shaken(alloy(), 7)])
    whole, less = committee(batch), committee(batch, stress=False)
    assert whole.stress is not None and less.stress is None
    assert torch.equal(whole.forces, less.forces)
    assert torch.equal(whole.energies, less.energies)


def test_cells_relax_to_the_minima_of_ases_filter(committee):
    given = [alloy(lattice=3.9), shaken(with_guest(), 4)]
    strain = [[1.02, 0.01, 0], [0, 1, 0], [0, 0, 0.99]]
    given[0].set_cell(given[0].cell.array @ strain, scale_atoms=True)
    found = relax_with_cells(committee, given, FMAX, MAX_STRESS, 1000, atoms_at_once=8)
    assert found.converged.all()
    for s, atoms in enumerate(given):
        theirs = atoms.copy()
        theirs.calc = CommitteeCalculator(committee)
        assert BFGS(FrechetCellFilter(theirs), logfile=None).run(fmax=FMAX, steps=500)
        energy = found.energies_ev[:, s].mean()
        assert energy == pytest.approx(theirs.get_potential_energy(), abs=2e-3)
        assert found.atoms[s].get_volume() == pytest.approx(theirs.get_volume(), rel=0.01)
    assert found.atoms[0].get_volume() < 0.95 * given[0].get_volume()
    assert found.stress_max.max() <= 1.05 * MAX_STRESS


def test_too_few_steps_are_told(committee):
    found = relax_with_cells(committee, [alloy(lattice=4.0)], FMAX, MAX_STRESS, 5)
    assert not found.converged.any()
