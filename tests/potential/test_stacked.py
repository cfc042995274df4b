"""All members in one pass against the members one by one."""

from dataclasses import replace

import ase.build
import pytest
import torch

from molsieve.potential import committee as committee_module
from molsieve.potential.graphs import AtomsBatch, GraphBatch, neighbour_list
from molsieve.potential.kernels.network import NetworkWeights
from molsieve.potential.model import energies_forces_stresses
from molsieve.potential.stacked import chunks
from tests.potential.random_members import random_committee


@pytest.fixture(params=["kernel", "torch"], autouse=True)
def way(request, monkeypatch):
    """The C kernel of the whole network, and torch's operations where there is none."""
    if request.param == "torch":
        monkeypatch.setattr(NetworkWeights, "library", lambda self: None)
    elif random_committee(1).stacked.network.library() is None:
        pytest.skip("no C compiler on this machine")


@pytest.fixture
def double_precision():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def some_structures():
    """Molecules, an ion, a radical, a lone atom and a crystal, all displaced."""
    found = [ase.build.molecule(name) for name in ("CH3CH2OH", "H2O", "OH", "CH3O")]
    found += [ase.Atoms("N"), ase.build.bulk("NaCl", "rocksalt", a=5.6, cubic=True)]
    for seed, atoms in enumerate(found):
        atoms.rattle(0.05, seed=seed)
    found[2].info["charge_e"] = -1
    found[3].info["multiplicity"] = 2
    return found


def one_by_one(committee, batch):
    """Energies, forces, stresses and pooled features, each member's own network on its own."""
    graph = GraphBatch.from_batch(batch, neighbour_list(batch, committee.cutoff_angstrom))
    results = [energies_forces_stresses(model, graph, False) for model in committee.models]
    pooled = []
    for model in committee.models:
        _, features = model(graph)
        total = features.new_zeros(batch.n_structures, features.shape[1])
        pooled.append(total.index_add(0, batch.structure, features) / batch.sizes[:, None])
    energies, forces, stresses = (torch.stack(part) for part in zip(*results, strict=True))
    return energies, forces, stresses, torch.cat(pooled, 1)


@pytest.mark.parametrize("embedding", [False, True])
def test_stacked_members_are_the_members_one_by_one(double_precision, embedding):
    committee = random_committee(electronic_embedding=embedding)
    structures = some_structures() if embedding else [*some_structures()[:2], some_structures()[5]]
    batch = AtomsBatch.from_atoms(structures)
    output = committee(batch)
    energies, forces, stresses, features = one_by_one(committee, batch)
    # SchNetPack's attention has an epsilon of 1e-8, ours has none.
    close = {"rtol": 1e-6, "atol": 1e-6} if embedding else {"rtol": 1e-9, "atol": 1e-9}
    torch.testing.assert_close(output.energies, energies, **close)
    torch.testing.assert_close(output.forces, forces, **close)
    torch.testing.assert_close(output.stress, stresses, equal_nan=True, **close)
    torch.testing.assert_close(output.features, features, **close)
    assert float(output.forces_std.min(0).values.min()) >= 0
    assert float(output.energy_std.min()) > 1e-3


def test_single_precision_agrees_to_its_rounding():
    committee = random_committee()
    batch = AtomsBatch.from_atoms([some_structures()[0], some_structures()[5]])
    output = committee(batch)
    energies, forces, stresses, _ = one_by_one(committee, batch)
    close = {"rtol": 1e-4, "atol": 1e-4}
    torch.testing.assert_close(output.energies, energies, rtol=1e-7, atol=1e-4)
    torch.testing.assert_close(output.forces.float(), forces, **close)
    torch.testing.assert_close(output.stress.float(), stresses, equal_nan=True, **close)


def test_charge_and_spin_reach_every_member(double_precision):
    committee = random_committee(electronic_embedding=True)
    batch = AtomsBatch.from_atoms([ase.build.molecule("OH")] * 3)
    states = replace(batch, charge=torch.tensor([0, -1, 0]), multiplicity=torch.tensor([1, 1, 2]))
    energies = committee(states).energies
    assert float((energies[:, 1:] - energies[:, :1]).abs().min()) > 1e-3


def test_a_structures_numbers_do_not_depend_on_its_company(double_precision):
    committee = random_committee(electronic_embedding=True)
    structures = some_structures()
    together = committee(AtomsBatch.from_atoms(structures))
    for index, atoms in enumerate(structures):
        alone = committee(AtomsBatch.from_atoms([atoms]))
        torch.testing.assert_close(alone.energies[:, 0], together.energies[:, index])
        torch.testing.assert_close(alone.features[0], together.features[index])


@pytest.mark.parametrize("create_graph", [False, True])
def test_chunks_change_nothing(double_precision, monkeypatch, create_graph):
    committee = random_committee(electronic_embedding=True)
    batch = AtomsBatch.from_atoms(some_structures())
    outputs, slopes = [], []
    for limit in (10**9, 100, 1):
        monkeypatch.setattr(committee_module, "CHUNK_EDGES", limit)
        monkeypatch.setattr(committee_module, "CHUNK_EDGES_TORCH", limit)
        positions = batch.positions.clone().requires_grad_(create_graph)
        outputs.append(committee(batch.with_positions(positions), create_graph=create_graph))
        if create_graph:
            (slope,) = torch.autograd.grad(outputs[-1].forces.var(0).sum(), positions)
            slopes.append(slope)
    for output in outputs[1:]:
        for name in ("energies", "forces", "features", "stress"):
            ours, whole = getattr(output, name), getattr(outputs[0], name)
            torch.testing.assert_close(ours, whole, equal_nan=True)
    for slope in slopes[1:]:
        torch.testing.assert_close(slope, slopes[0])


def test_chunks_hold_every_structure_once():
    batch = AtomsBatch.from_atoms(some_structures())
    graph = GraphBatch.from_batch(batch, neighbour_list(batch, 4.0))
    for limit in (1, 60, 10**9):
        found = chunks(graph, limit)
        places = [s for c in found for s in range(c.structures.start, c.structures.stop)]
        assert places == list(range(batch.n_structures))
        parts = [c.of(graph) for c in found]
        assert torch.equal(torch.cat([p.numbers for p in parts]), graph.numbers)
        assert torch.equal(torch.cat([p.vectors for p in parts]), graph.vectors)
        assert all(int(p.structure.max()) == p.n_structures - 1 for p in parts)
        assert all(p.n_structures == 1 or len(p.centre) <= limit for p in parts)
    assert len(chunks(graph, 10**9)) == 1


def test_attack_gradient_is_that_of_the_members_one_by_one(double_precision):
    committee = random_committee()
    batch = AtomsBatch.from_atoms(some_structures()[:2])
    edges = neighbour_list(batch, committee.cutoff_angstrom)
    slopes = []
    for stacked in (True, False):
        positions = batch.positions.clone().requires_grad_(True)
        moved = batch.with_positions(positions)
        if stacked:
            forces = committee(moved, create_graph=True).forces
        else:
            graph = GraphBatch.from_batch(moved, edges)
            energies = [model(graph)[0].sum() for model in committee.models]
            forces = torch.stack(
                [-torch.autograd.grad(e, positions, create_graph=True)[0] for e in energies]
            )
        slopes.append(torch.autograd.grad(forces.var(0).sum(), positions)[0])
    torch.testing.assert_close(slopes[0], slopes[1])
    assert float(slopes[0].abs().max()) > 1e-3


def test_energies_without_forces_carry_a_gradient(double_precision):
    committee = random_committee()
    batch = AtomsBatch.from_atoms(some_structures()[:2])
    positions = batch.positions.clone().requires_grad_(True)
    output = committee(batch.with_positions(positions), forces=False)
    assert output.forces is None and output.stress is None
    (slope,) = torch.autograd.grad(output.energies[1].sum(), positions)
    torch.testing.assert_close(-slope, committee(batch).forces[1])


def test_given_edges_are_used(double_precision):
    committee = random_committee()
    batch = AtomsBatch.from_atoms(some_structures()[:1])
    edges = neighbour_list(batch, committee.cutoff_angstrom)
    torch.testing.assert_close(committee(batch, edges=edges).energies, committee(batch).energies)
    none = edges.chosen(torch.zeros(len(edges.centre), dtype=torch.bool))
    assert float(committee(batch, edges=none).forces.abs().max()) == 0
