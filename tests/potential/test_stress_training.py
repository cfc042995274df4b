"""Crystals in training: labels with a stress, beside molecules that have none."""

import ase.build
import numpy as np
import pandas as pd
import pytest
import torch
from ase.calculators.emt import EMT

from molsieve import campaign
from molsieve.chem.identities import structure_row
from molsieve.potential import storage, training_data
from molsieve.potential.committee import Committee
from molsieve.potential.graphs import AtomsBatch, GraphSet
from molsieve.potential.model import energies_forces_stresses
from molsieve.potential.training import train_member
from molsieve.potential.training_data import loss_terms
from tests.potential.conftest import LEVEL, label_row
from tests.potential.random_members import random_member


def strained_copper(seed):
    """Four atoms, strained by up to some per cent and displaced."""
    rng = np.random.default_rng(seed)
    atoms = ase.build.bulk("Cu", cubic=True)
    strain = rng.normal(0, 0.02, (3, 3))
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.5 * (strain + strain.T)), scale_atoms=True)
    atoms.positions += rng.normal(0, 0.05, (4, 3))
    return atoms


@pytest.fixture(scope="module")
def copper_tables():
    """(dataset, structures, labels) of 32 cells at EMT (Jacobsen, Stoltze, Nørskov 1996)."""
    structures, labels, dataset = [], [], []
    for number in range(32):
        atoms = strained_copper(number)
        row = structure_row(
            atoms, species_id="copper", origin="displaced", geometry_protocol_id="test"
        )
        atoms.positions = np.reshape(row["positions_angstrom"], (-1, 3))
        atoms.calc = EMT()
        label = label_row(row["structure_id"], atoms.get_potential_energy(), atoms.get_forces())
        label["stress_ev_per_angstrom3"] = atoms.get_stress(voigt=False).ravel().tolist()
        split = "train" if number < 24 else "test"
        structures.append(row)
        labels.append(label)
        dataset.append(
            {
                "structure_id": row["structure_id"],
                "level_id": LEVEL,
                "split": split,
                "group": str(number),
            }
        )
    return pd.DataFrame(dataset), pd.DataFrame(structures), pd.DataFrame(labels)


def settings(**changes):
    return campaign.Potential(
        **{
            "members": 2,
            "features": 16,
            "interactions": 2,
            "radial_functions": 12,
            "cutoff_angstrom": 4.5,
            "batch_size": 4,
            "max_epochs": 60,
            "learning_rate": 5e-3,
            "bootstrap": False,
        }
        | changes
    )


def stress_errors(copper_tables, folder):
    """Root mean square of error and of label on the cells that were not trained on, eV/Å³."""
    dataset, structures, labels = copper_tables
    test = (dataset["split"] == "test").to_numpy()
    output = Committee.load([folder])(AtomsBatch.from_structures(structures[test]))
    found = output.stress[0].numpy()
    label = np.stack(labels[test]["stress_ev_per_angstrom3"]).reshape(-1, 3, 3)
    return np.sqrt(np.mean((found - label) ** 2)), np.sqrt(np.mean(label**2))


def test_stress_is_learned(copper_tables, tmp_path):
    train_member(*copper_tables, {29: 3.5}, settings(), LEVEL, 1, 0, tmp_path)
    error, size = stress_errors(copper_tables, tmp_path)
    assert error < 0.2 * size


def test_stress_labels_make_the_difference(copper_tables, tmp_path):
    """Where energies and forces count nothing, the stress is learned from its labels or not."""
    errors = {}
    for weight in (0.0, 1.0):
        chosen = settings(energy_weight=1e-6, force_weight=0.0, stress_weight=weight, max_epochs=15)
        train_member(*copper_tables, {29: 3.5}, chosen, LEVEL, 1, 0, tmp_path / str(weight))
        errors[weight], _ = stress_errors(copper_tables, tmp_path / str(weight))
    assert errors[1.0] < 0.3 * errors[0.0]


def with_a_molecule(copper_tables):
    """Structures and labels of three cells and, between them, a copper dimer without stress."""
    _, structures, labels = copper_tables
    pair = ase.Atoms("Cu2", [[0, 0, 0], [0.1, 0.2, 2.3]])
    row = structure_row(pair, species_id="pair", origin="displaced", geometry_protocol_id="test")
    pair.calc = EMT()
    label = label_row(row["structure_id"], pair.get_potential_energy(), pair.get_forces())
    frames = structures.iloc[:1], pd.DataFrame([row]), structures.iloc[1:3]
    return pd.concat(frames, ignore_index=True), pd.concat(
        [labels.iloc[:3], pd.DataFrame([label])], ignore_index=True
    )


def test_molecules_and_crystals_in_one_batch(copper_tables):
    graphs = GraphSet.from_tables(*with_a_molecule(copper_tables), 4.5)
    graph = graphs.batch(torch.tensor([1, 2, 0]))
    assert graph.volume_angstrom3.isnan().tolist() == [True, False, False]
    assert bool(graph.stress_ev_per_angstrom3[0].isnan().all())
    label = copper_tables[2]["stress_ev_per_angstrom3"].iloc[0]
    assert graph.stress_ev_per_angstrom3[2].ravel().tolist() == pytest.approx(label, rel=1e-6)
    model = random_member().requires_grad_(True)
    energies, forces, stresses = energies_forces_stresses(model, graph, create_graph=True)
    alone = energies_forces_stresses(model, graphs.batch(torch.tensor([2, 0])), False)
    torch.testing.assert_close(stresses[1:], alone[2], rtol=1e-4, atol=1e-6)
    loss = sum(loss_terms(energies, forces, graph, torch.arange(3), stresses))
    slopes = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    assert all(bool(slope.isfinite().all()) for slope in slopes if slope is not None)


def test_stress_term_by_hand(copper_tables):
    graph = GraphSet.from_tables(*with_a_molecule(copper_tables), 4.5).batch(torch.arange(4))
    energies, forces = graph.energy_ev, graph.forces_ev_per_angstrom
    stresses = graph.stress_ev_per_angstrom3 + torch.tensor([0.02, 0.0, 0.0, 0.04])[:, None, None]
    terms = loss_terms(energies, forces, graph, torch.arange(4), stresses)
    assert [float(term) for term in terms[:3]] == [0, 0, 0]
    unit = training_data.STRESS_UNIT_EV_PER_ANGSTROM3
    assert float(terms[3]) == pytest.approx((0.02**2 + 0.04**2) / 3 / unit**2, rel=1e-4)
    assert float(loss_terms(energies, forces, graph, torch.arange(4))[3]) == 0
    only = GraphSet.from_tables(*with_a_molecule(copper_tables), 4.5).batch(torch.tensor([1]))
    found = energies_forces_stresses(random_member(), only, False)
    assert float(loss_terms(*found[:2], only, torch.arange(1), found[2])[3]) == 0


def test_data_without_a_crystal_carry_no_stress(tables_of_couples):
    graphs = GraphSet.from_tables(*tables_of_couples[1:], 3.5)
    assert graphs.data.volume_angstrom3 is None and graphs.data.stress_ev_per_angstrom3 is None
    graph = graphs.batch(torch.arange(3))
    assert energies_forces_stresses(random_member(), graph, False)[2] is None


def test_a_checkpoint_knows_its_stresses(copper_tables):
    _, structures, labels = copper_tables
    other = labels.assign(
        stress_ev_per_angstrom3=[2 * np.asarray(s) for s in labels["stress_ev_per_angstrom3"]]
    )
    start = [torch.zeros(1)]
    names = {
        storage.run_identity(settings(), 0, 0, [GraphSet.from_tables(structures, x, 4.5)], start)
        for x in (labels, other, labels)
    }
    assert len(names) == 2
