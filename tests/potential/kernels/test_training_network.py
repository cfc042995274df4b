"""The training kernel against torch's own operations in double precision."""

from copy import deepcopy
from dataclasses import replace

import ase
import ase.build
import pytest
import torch

from molsieve.potential.graphs import AtomsBatch, GraphBatch, neighbour_list
from molsieve.potential.kernels.training_network import TrainingNetwork, training_library
from molsieve.potential.model import energies_forces_stresses
from tests.potential.test_model import random_model

CUTOFF = 3.0
pytestmark = pytest.mark.skipif(training_library(16) is None, reason="no C compiler")


def molecules():
    structures = [ase.build.molecule(name) for name in ("CH3CH2OH", "H2O", "C6H6", "CH3OH")]
    for number, atoms in enumerate(structures):
        atoms.rattle(0.05, seed=number)
    structures[1].info.update(charge_e=1, multiplicity=2)
    return structures


def crystal():
    """Periodic, with several images of a neighbour, and an atom all alone."""
    atoms = ase.build.bulk("C", "diamond", a=3.6)
    atoms.rattle(0.05, seed=1)
    return [atoms, ase.Atoms("H")]


def graph_of(structures):
    batch = AtomsBatch.from_atoms(structures)
    return GraphBatch.from_batch(batch, neighbour_list(batch, CUTOFF))


def in_double_precision(model, graph):
    return deepcopy(model).double(), replace(graph, vectors=graph.vectors.double())


def gradients(model, graph):
    """Energies, forces, stresses, and each parameter's gradient of a loss on all of them."""
    energies, forces, stresses = energies_forces_stresses(model, graph, create_graph=True)
    noise = torch.Generator().manual_seed(0)
    pull = torch.randn(forces.shape, generator=noise, dtype=torch.float64).to(forces)
    offset = energies.detach() + torch.randn(energies.shape, generator=noise, dtype=torch.float64)
    loss = (forces * pull).sum() + 0.1 * (energies - offset).square().sum()
    if stresses is not None:
        loss = loss + 10 * stresses.nan_to_num().square().sum()
    named = dict(model.named_parameters())
    found = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    result = {"energies": energies, "forces": forces} | dict(zip(named, found, strict=True))
    return {name: value for name, value in result.items() if value is not None and value.any()}


def assert_same(found, expected, tolerance):
    assert found.keys() == expected.keys()
    # A gradient that is zero but for rounding (a bias that a softmax forgets) has no digits.
    least = 1e-6 * max(float(t.detach().abs().max()) for n, t in expected.items() if "." in n)
    for name, value in found.items():
        scale = max(least, float(expected[name].detach().abs().max()))
        error = float((value - expected[name]).detach().abs().max())
        assert error < tolerance * scale, (name, error / scale)


@pytest.mark.parametrize(
    "structures, changes",
    [
        (molecules(), {"electronic_embedding": True}),
        (molecules(), {"features": 64, "interactions": 3, "radial_functions": 20}),
        (molecules(), {"interactions": 1}),
        (crystal(), {}),
    ],
    ids=["charge and spin", "64 features", "one interaction", "periodic"],
)
def test_energies_forces_and_weights_gradients_are_those_of_torch(structures, changes):
    model, graph = random_model(**changes), graph_of(structures)
    assert TrainingNetwork(model.representation, model.head.outnet).library is not None
    expected = gradients(*in_double_precision(model, graph))
    assert len(expected) > 15
    assert_same(gradients(model, graph), expected, 1e-4)


def test_torch_does_it_in_double_precision_and_on_demand(monkeypatch):
    model = random_model()
    network = TrainingNetwork(model.representation, model.head.outnet)
    assert network.library is not None
    monkeypatch.setenv("MOLSIEVE_FUSED", "0")
    assert network.library is None
    monkeypatch.undo()
    double = deepcopy(model).double()
    assert TrainingNetwork(double.representation, double.head.outnet).library is None


def test_without_a_graph_nothing_is_differentiable():
    model, graph = random_model(), graph_of(molecules())
    energies, forces, _ = energies_forces_stresses(model, graph, create_graph=False)
    assert not energies.requires_grad and not forces.requires_grad
    again, same, _ = energies_forces_stresses(model, graph, create_graph=True)
    assert torch.equal(energies, again) and torch.equal(forces, same)
    assert again.requires_grad and same.requires_grad


def test_a_number_of_threads_gives_one_result_and_another_the_same_to_rounding():
    model, graph = random_model(), graph_of(molecules() * 6)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 3, 3):
            torch.set_num_threads(threads)
            results.append(gradients(model, graph))
    finally:
        torch.set_num_threads(before)
    one, first, second = results
    assert_same(first, one, 1e-4)
    for name, value in first.items():
        # torch's own sums may depend on the threads; these are the kernel's.
        if "mixing" in name or "filter" in name:
            assert torch.equal(value, second[name]), name


def test_autocast_rounds_and_does_no_harm():
    model, graph = random_model(), graph_of(molecules())
    expected = energies_forces_stresses(model, graph, create_graph=False)[1]
    with torch.autocast("cpu", torch.bfloat16):
        _, found, _ = energies_forces_stresses(model, graph, create_graph=True)
    found.square().sum().backward()
    assert float((found - expected).detach().abs().max()) < 0.1 * float(expected.abs().max())


def test_weights_changed_between_the_passes_are_noticed():
    model, graph = random_model(), graph_of(molecules())
    energies, forces, _ = energies_forces_stresses(model, graph, create_graph=True)
    with torch.no_grad():
        model.head.outnet[0].weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        (energies.sum() + forces.square().sum()).backward()


def test_a_gradient_of_the_weights_gradient_is_refused_not_wrong():
    model, graph = random_model(), graph_of(molecules())
    _, forces, _ = energies_forces_stresses(model, graph, create_graph=True)
    weight = model.head.outnet[0].weight
    loss = forces.square().sum()
    (first,) = torch.autograd.grad(loss, weight, create_graph=True)
    with pytest.raises(NotImplementedError, match="MOLSIEVE_FUSED"):
        torch.autograd.grad(first.square().sum() + weight.sum(), weight)


def test_a_graph_kept_gives_the_same_gradient_twice():
    model, graph = random_model(), graph_of(molecules())
    energies, forces, _ = energies_forces_stresses(model, graph, create_graph=True)
    loss, weight = energies.sum() + forces.square().sum(), model.head.outnet[0].weight
    (first,) = torch.autograd.grad(loss, weight, retain_graph=True)
    (second,) = torch.autograd.grad(loss, weight)
    assert torch.equal(first, second)


def test_a_broken_structure_does_not_reach_the_others():
    model, graph = random_model(), graph_of(molecules())
    energies, forces, _ = energies_forces_stresses(model, graph, create_graph=False)
    broken = graph.vectors.clone()
    last = int(torch.nonzero(graph.structure == 3)[0])
    broken[graph.centre >= last] = torch.nan
    damaged, pulled, _ = energies_forces_stresses(model, replace(graph, vectors=broken), False)
    torch.testing.assert_close(damaged[:3], energies[:3])
    torch.testing.assert_close(pulled[:last], forces[:last])
    assert not pulled[last:].isfinite().any()
