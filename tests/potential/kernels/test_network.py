"""The kernel of whole networks against torch's own operations and their double backward."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import ase.build
import pytest
import torch

from molsieve.potential.graphs import AtomsBatch, GraphBatch, neighbour_list
from molsieve.potential.kernels import network_library
from molsieve.potential.kernels.network import NetworkWeights
from tests.potential.random_members import random_committee


@pytest.fixture
def committee():
    """Two networks in double precision."""
    torch.set_default_dtype(torch.float64)
    found = random_committee(2)
    if found.stacked.network.library() is None:
        pytest.skip("no C compiler on this machine")
    yield found
    torch.set_default_dtype(torch.float32)


def graph_of(committee, names=("CH3CH2OH", "NH3", "H2O", "C6H6", "CH4")) -> GraphBatch:
    """Molecules, more atoms than a block takes, and a crystal; their vectors (M, E, 3)."""
    atoms = [ase.build.molecule(name) for name in names]
    atoms.append(ase.build.bulk("NaCl", "rocksalt", a=5.6, cubic=True))
    for seed, structure in enumerate(atoms):
        structure.rattle(0.05, seed=seed)
    batch = AtomsBatch.from_atoms(atoms)
    graph = GraphBatch.from_batch(batch, neighbour_list(batch, committee.cutoff_angstrom))
    return replace(graph, vectors=graph.vectors.expand(len(committee), -1, -1))


def derivatives(committee, graph, cotangent, moves):
    """dE/dr for a cotangent of the energies, and the gradients of its product with ``moves``."""
    vectors = graph.vectors.detach().clone().requires_grad_(True)
    cotangent = cotangent.clone().requires_grad_(True)
    energies, _ = committee.stacked(replace(graph, vectors=vectors), True)
    (slope,) = torch.autograd.grad((energies * cotangent).sum(), vectors, create_graph=True)
    return slope.detach(), *torch.autograd.grad((slope * moves).sum(), [vectors, cotangent])


def test_any_second_derivative_is_that_of_torch(committee, monkeypatch):
    """Also along moves that no displacement of atoms makes: one direction of a pair only."""
    graph = graph_of(committee)
    generator = torch.Generator().manual_seed(1)
    shape = (len(committee), graph.n_structures)
    cotangent = torch.randn(shape, generator=generator)
    moves = torch.randn(graph.vectors.shape, generator=generator)
    kernel = derivatives(committee, graph, cotangent, moves)
    monkeypatch.setattr(NetworkWeights, "library", lambda self: None)
    for mine, theirs in zip(kernel, derivatives(committee, graph, cotangent, moves), strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-9, atol=1e-9)


def test_a_second_derivative_nobody_announced_is_the_same(committee):
    graph = graph_of(committee)
    moves = torch.randn(graph.vectors.shape, generator=torch.Generator().manual_seed(1))
    found = []
    for announced in (True, False):
        vectors = graph.vectors.detach().clone().requires_grad_(True)
        energies, _ = committee.stacked(replace(graph, vectors=vectors), announced)
        (slope,) = torch.autograd.grad(energies.sum(), vectors, create_graph=True)
        found.append(torch.autograd.grad((slope * moves).sum(), vectors)[0])
    assert torch.equal(*found)


def test_a_third_derivative_is_refused_not_wrong(committee):
    graph = graph_of(committee, ("H2O",))
    vectors = graph.vectors.detach().clone().requires_grad_(True)
    energies, _ = committee.stacked(replace(graph, vectors=vectors), True)
    (slope,) = torch.autograd.grad(energies.sum(), vectors, create_graph=True)
    (second,) = torch.autograd.grad(slope.square().sum(), vectors, create_graph=True)
    with pytest.raises(NotImplementedError, match="MOLSIEVE_FUSED"):
        torch.autograd.grad(second.sum(), vectors)


def test_threads_change_nothing(committee):
    graph = graph_of(committee)
    cotangent = torch.ones(len(committee), graph.n_structures)
    moves = torch.ones(graph.vectors.shape)
    before = torch.get_num_threads()
    results = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        results.append(derivatives(committee, graph, cotangent, moves))
    torch.set_num_threads(before)
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)


def test_memory_given_back_is_lent_once(committee):
    """Also where another thread takes while this one gives back."""
    weights = committee.stacked.network

    class Watched(list):
        def append(self, item):
            meanwhile.append(weights.take(4))
            super().append(item)

    meanwhile = []
    weights._spares = Watched([weights.packed.new_empty(8)])
    weights.give_back(weights.packed.new_empty(100))
    lent = [*meanwhile, weights.take(4), weights.take(4)]
    assert len({tensor.data_ptr() for tensor in lent}) == 3
    weights._spares = []


def test_two_threads_at_once_do_not_disturb_each_other(committee):
    graphs = [graph_of(committee, names) for names in (("C6H6", "CH4"), ("CH3CH2OH",))]

    def curvature(graph):
        cotangent = torch.ones(len(committee), graph.n_structures)
        return derivatives(committee, graph, cotangent, torch.ones(graph.vectors.shape))[1]

    expected = [curvature(graph) for graph in graphs]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(curvature, graphs * 20))
    for number, value in enumerate(found):
        assert torch.equal(value, expected[number % 2])


@pytest.mark.parametrize("wrong", ["order", "structure"])
def test_edges_that_the_kernel_cannot_read_are_refused(committee, wrong):
    batch = AtomsBatch.from_atoms([ase.build.molecule(name) for name in ("H2O", "NH3")])
    edges = neighbour_list(batch, committee.cutoff_angstrom)
    if wrong == "order":
        broken = edges.chosen(torch.arange(len(edges.centre)).flip(0))
    else:
        broken = replace(edges, neighbour=(edges.neighbour + 3) % len(batch.numbers))
    with pytest.raises(ValueError, match="edge"):
        committee(batch, edges=broken)


def test_indices_of_another_integer_type_are_the_same_atoms(committee):
    batch = AtomsBatch.from_atoms([ase.build.molecule(name) for name in ("H2O", "NH3")])
    edges = neighbour_list(batch, committee.cutoff_angstrom)
    short = replace(edges, centre=edges.centre.int(), neighbour=edges.neighbour.int())
    assert torch.equal(committee(batch, edges=short).forces, committee(batch, edges=edges).forces)


def test_a_threads_memory_goes_with_it(committee):
    crystal = ase.build.bulk("NaCl", "rocksalt", a=5.6, cubic=True) * (3, 3, 3)
    batch = AtomsBatch.from_atoms([crystal])
    edges = neighbour_list(batch, committee.cutoff_angstrom)

    def resident_bytes():
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")

    def in_a_new_thread():
        with ThreadPoolExecutor(1) as pool:
            pool.submit(committee, batch, edges=edges).result()

    in_a_new_thread()
    before = resident_bytes()
    for _ in range(30):
        in_a_new_thread()
    assert resident_bytes() - before < 60e6


def test_autocast_rounds_and_does_no_harm(committee):
    torch.set_default_dtype(torch.float32)
    charged = random_committee(2, electronic_embedding=True)
    batch = AtomsBatch.from_atoms([ase.build.molecule(name) for name in ("CH3CH2OH", "H2O")])
    with torch.autocast("cpu", torch.bfloat16):
        found = charged(batch).forces
    expected = charged(batch).forces
    assert 0 < float((found - expected).abs().max()) < 0.1 * float(expected.abs().max())


def test_what_is_not_a_number_stays_with_its_structure(committee):
    batch = AtomsBatch.from_atoms([ase.build.molecule(name) for name in ("H2O", "NH3")])
    edges = neighbour_list(batch, committee.cutoff_angstrom)
    place = batch.positions.clone()
    place[0, 0] = torch.nan
    output = committee(batch.with_positions(place), edges=edges)
    assert output.energies[:, 0].isnan().all()
    sound = committee(batch, edges=edges)
    assert torch.equal(output.energies[:, 1], sound.energies[:, 1])
    assert torch.equal(output.forces[:, 3:], sound.forces[:, 3:])


def test_without_a_compiler_torch_does_it(committee, monkeypatch, capsys):
    batch = AtomsBatch.from_atoms([ase.build.molecule("NH3")])
    expected = committee(batch)
    monkeypatch.setenv("CC", "no-such-compiler")
    network_library.network_library.cache_clear()
    try:
        found = committee(batch)
    finally:
        monkeypatch.undo()
        network_library.network_library.cache_clear()
    assert "no C compiler" in capsys.readouterr().err
    assert torch.allclose(found.forces, expected.forces, atol=1e-10)
