from dataclasses import replace

import ase.build
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from molsieve.potential.graphs import AtomsBatch, GraphBatch, neighbour_list
from molsieve.potential.model import Architecture
from molsieve.properties.model import PropertyArchitecture, PropertyModel
from tests.properties.conftest import NAMES

POOLINGS = ("attention", "exciton", "mean")
SHAPE = Architecture(16, 2, 8, 4.0, False)


def model(pooling="attention", layers=1, levels=1) -> PropertyModel:
    """In double precision, every weight of which matters."""
    torch.manual_seed(3)
    made = PropertyModel(PropertyArchitecture(SHAPE, NAMES, pooling, layers, 4, levels)).double()
    for parameter in made.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    made.centre += torch.tensor([4.0, 3.0, 0.2])
    return made.requires_grad_(False)


def values(made: PropertyModel, *molecules: ase.Atoms) -> np.ndarray:
    """(L, S, P)."""
    batch = AtomsBatch.from_atoms(list(molecules))
    graph = GraphBatch.from_batch(batch, neighbour_list(batch, 4.0))
    graph = replace(graph, vectors=graph.vectors.double())
    graph = replace(graph, vectors=_exact_vectors(batch, graph))
    none = batch.positions.new_zeros(batch.n_structures, 0)
    return made(graph, batch.positions, none).numpy()


def _exact_vectors(batch, graph):
    # Graphs hold single precision; invariance is tested beyond it.
    return batch.positions[graph.neighbour] - batch.positions[graph.centre]


@pytest.fixture
def molecule():
    return ase.build.molecule("CH3CONH2")


@pytest.mark.parametrize("pooling", POOLINGS)
def test_values_do_not_depend_on_place_orientation_and_order(pooling, molecule):
    made = model(pooling, levels=2)
    moved = molecule.copy()
    moved.positions = moved.positions @ Rotation.random(random_state=1).as_matrix() + [3, -20, 7]
    shuffled = moved[np.random.default_rng(0).permutation(len(moved))]
    told = values(made, molecule, shuffled)
    np.testing.assert_allclose(told[:, 0], told[:, 1], atol=1e-9)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_what_shares_a_batch_does_not_matter(pooling, molecule):
    made = model(pooling)
    other = ase.build.molecule("C6H6")
    together = values(made, other, molecule, other)
    np.testing.assert_allclose(together[:, 1:2], values(made, molecule), atol=1e-9)


def far_apart(first, second, distance):
    moved = second.copy()
    moved.positions += [distance, 0, 0]
    return first + moved


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_far_copy_changes_nothing_without_global_layers(pooling, molecule):
    made = model(pooling, layers=0)
    pair = far_apart(molecule, molecule, 100.0)
    np.testing.assert_allclose(values(made, pair), values(made, molecule), atol=1e-9)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_copy_changes_nothing_far_beyond_the_decay_lengths(pooling, molecule):
    made = model(pooling, layers=2)
    pair = far_apart(molecule, molecule, 1000.0)
    np.testing.assert_allclose(values(made, pair), values(made, molecule), atol=1e-9)


def test_of_two_molecules_far_apart_the_lower_excitation_is_that_of_both(molecule):
    made = model("exciton", layers=0)
    other = ase.build.molecule("C6H6")
    told = values(made, molecule, other, far_apart(molecule, other, 100.0))[0, :, :2]
    np.testing.assert_allclose(told[2], told[:2].min(0), atol=1e-9)


def test_the_global_channel_hears_beyond_every_cutoff():
    near, far = ase.build.molecule("H2CO"), ase.build.molecule("CH4")
    other = ase.build.molecule("SiH4")
    made = model(layers=1)
    features = []
    for partner in (far, other):
        pair = far_apart(near, partner, 30.0)
        batch = AtomsBatch.from_atoms([pair])
        x = torch.randn(1, len(pair), 16, generator=torch.Generator().manual_seed(0)).double()
        x[0, len(near) :] += float(partner.numbers[0])
        molecules = _dense(x, batch)
        features.append(made.channel(molecules).features[0, : len(near)])
    assert (features[0] - features[1]).abs().max() > 1e-3


def _dense(x, batch):
    from molsieve.properties.dense import DenseMolecules

    return DenseMolecules.of(x[0], batch.positions, batch.structure, 1)


def test_strengths_are_never_negative(molecule):
    made = model()
    made.centre[:, 2] = -3.0
    assert (values(made, molecule)[..., 2] >= 0).all()


def test_energies_are_not_ordered_by_force(molecule):
    made = model()
    made.centre[:, :2] = torch.tensor([1.0, 5.0])
    told = values(made, molecule)[0, 0]
    assert told[1] > told[0]


def test_corrections_are_silent_at_first(molecule):
    torch.manual_seed(0)
    made = PropertyModel(PropertyArchitecture(SHAPE, NAMES, "attention", 1, 4, 2)).double()
    told = values(made.requires_grad_(False), molecule)
    np.testing.assert_array_equal(told[0], told[1])
