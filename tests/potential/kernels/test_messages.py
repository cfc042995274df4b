"""The C kernels against torch's own operations, in double precision where numbers are compared."""

import ase
import ase.build
import numpy as np
import pytest
import torch

from molsieve.potential.graphs import AtomsBatch, GraphBatch, neighbour_list
from molsieve.potential.kernels import MessageEdges, RadialBasis, messages
from molsieve.potential.kernels.message_library import message_library
from molsieve.potential.model import energies_and_forces
from tests.potential.test_model import random_model

CUTOFF = 4.0
pytestmark = pytest.mark.skipif(message_library(16) is None, reason="no C compiler")


def molecules(*names):
    structures = [ase.build.molecule(name) for name in names]
    for number, atoms in enumerate(structures):
        atoms.rattle(0.05, seed=number)
    return structures


def diamond():
    """Two atoms a cell, each with several images of the other and of itself."""
    atoms = ase.build.bulk("C", "diamond", a=3.6)
    atoms.rattle(0.05, seed=1)
    return [atoms]


class Case:
    """Random features on real edges, to be evaluated in either precision."""

    def __init__(self, structures, members=1, features=16, gaussians=20, first=False):
        batch = AtomsBatch.from_atoms(structures)
        edges = neighbour_list(batch, CUTOFF)
        self.centre, self.neighbour = edges.centre, edges.neighbour
        self.vectors = edges.vectors(batch)
        self.atoms, self.gaussians, self.first = len(batch.numbers), gaussians, first
        shapes = {
            "phi": (members, self.atoms, 3 * features),
            "weights": (members, gaussians + 1, 3 * features),
            "mu": (members, self.atoms, 3, features),
        }
        noise = torch.Generator().manual_seed(5)
        self.inputs = {name: self.random(shape, noise) for name, shape in shapes.items()}
        self.inputs["vectors"] = self.vectors.expand(members, -1, -1)
        self.cotangents = [
            self.random((members, self.atoms, features), noise),
            self.random((members, self.atoms, 3, features), noise),
        ]
        self.moves = {n: self.random(t.shape, noise) for n, t in self.inputs.items()}

    @staticmethod
    def random(shape, noise):
        return torch.randn(shape, generator=noise, dtype=torch.float64)

    def basis(self, dtype):
        offsets = torch.linspace(0, CUTOFF, self.gaussians, dtype=dtype)
        return RadialBasis(offsets, (offsets[1] - offsets[0]).repeat(self.gaussians), CUTOFF)

    def forward(self, dtype, **changed):
        """Inputs as leaves, and (dq, dmu)."""
        inputs = {**self.inputs, **changed}
        leaves = {n: t.to(dtype).clone().requires_grad_(True) for n, t in inputs.items()}
        edges = MessageEdges(
            leaves["vectors"], self.centre, self.neighbour, self.atoms, self.basis(dtype)
        )
        mu = None if self.first else leaves["mu"]
        return leaves, messages(leaves["phi"], mu, leaves["weights"], edges)

    def everything(self, dtype):
        """Outputs, gradients and the gradients of a product with the gradients, by name."""
        leaves, outputs = self.forward(dtype)
        cotangents = [c.to(dtype).requires_grad_(True) for c in self.cotangents]
        if self.first:
            del leaves["mu"]
        found = dict(zip(("dq", "dmu"), outputs, strict=True))
        total = sum((o * c).sum() for o, c in zip(outputs, cotangents, strict=True))
        wanted = list(leaves.values())
        first = torch.autograd.grad(total, wanted, retain_graph=True)
        found |= {f"d/d{n}": g for n, g in zip(leaves, first, strict=True)}
        names = [n for n in leaves if n != "weights"]
        slopes = torch.autograd.grad(total, [leaves[n] for n in names], create_graph=True)
        product = sum(
            (s * self.moves[n].to(dtype)).sum() for n, s in zip(names, slopes, strict=True)
        )
        second = torch.autograd.grad(product, [*wanted, *cotangents])
        names = [*leaves, "gq", "gmu"]
        return found | {f"d2/d{n}": g for n, g in zip(names, second, strict=True)}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in found.items():
        scale = float(expected[name].detach().abs().max())
        error = float((value - expected[name]).detach().abs().max())
        assert scale > 0 and error < 2e-6 * scale, (name, error / scale)


@pytest.mark.parametrize(
    "structures, changes",
    [
        (molecules("CH3CH2OH", "H2O", "C6H6"), {}),
        (molecules("CH3CH2OH", "H2O"), {"members": 3}),
        (molecules("CH3CH2OH"), {"first": True}),
        (molecules("CH3OH"), {"features": 64}),
        (molecules("CH3OH"), {"features": 7, "gaussians": 5}),
        (diamond(), {"members": 2}),
    ],
    ids=["molecules", "members", "first layer", "64 features", "odd sizes", "periodic images"],
)
def test_values_and_both_derivatives_are_those_of_torch_in_double_precision(structures, changes):
    case = Case(structures, **changes)
    assert_same(case.everything(torch.float32), case.everything(torch.float64))


def test_periodic_case_has_several_images_of_one_neighbour():
    case = Case(diamond())
    pairs = torch.stack([case.centre, case.neighbour], 1)
    assert len(pairs.unique(dim=0)) == 4 < len(pairs)


def test_gradients_one_at_a_time_are_those_taken_together():
    case = Case(molecules("CH3OH"))
    together = case.everything(torch.float32)
    for name in ("phi", "mu", "weights", "vectors"):
        leaves, outputs = case.forward(torch.float32)
        total = sum((o * c.float()).sum() for o, c in zip(outputs, case.cotangents, strict=True))
        (alone,) = torch.autograd.grad(total, leaves[name])
        assert torch.equal(alone, together[f"d/d{name}"]), name


def test_inputs_need_not_be_contiguous():
    case = Case(molecules("CH3OH"))
    _, expected = case.forward(torch.float32)
    phi = case.inputs["phi"].float().transpose(1, 2).contiguous().transpose(1, 2)
    weights = case.inputs["weights"].float().transpose(1, 2).contiguous().transpose(1, 2)
    vectors = case.vectors.float().requires_grad_(True)
    phi.requires_grad_(True), weights.requires_grad_(True)
    edges = MessageEdges(
        *(vectors.expand(1, -1, -1), case.centre, case.neighbour, case.atoms),
        case.basis(torch.float32),
    )
    dq, dmu = messages(phi, case.inputs["mu"].float(), weights, edges)
    assert torch.equal(dq, expected[0]) and torch.equal(dmu, expected[1])
    (slope,) = torch.autograd.grad(dq.sum() + dmu.sum(), vectors, create_graph=True)
    # Their second derivatives arrive too: a copy made inside would lose them.
    for gradient in torch.autograd.grad(slope.square().sum(), [phi, weights]):
        assert float(gradient.abs().max()) > 0


def test_vectors_turn_with_the_molecule():
    case = Case(molecules("CH3CH2OH"))
    rotation = torch.from_numpy(np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0])
    _, (dq, dmu) = case.forward(torch.float32)
    turned = {
        "vectors": case.inputs["vectors"] @ rotation.T,
        "mu": torch.einsum("ab,mnbf->mnaf", rotation, case.inputs["mu"]),
    }
    _, (turned_dq, turned_dmu) = case.forward(torch.float32, **turned)
    torch.testing.assert_close(turned_dq, dq, rtol=1e-5, atol=1e-5)
    expected = torch.einsum("ab,mnbf->mnaf", rotation.float(), dmu)
    torch.testing.assert_close(turned_dmu, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "structures", [[ase.Atoms("H")], [ase.Atoms("H2", [[0, 0, 0], [0, 0, 9]])]]
)
def test_atoms_without_neighbours_hear_nothing(structures):
    leaves, (dq, dmu) = Case(structures).forward(torch.float32)
    assert not dq.any() and not dmu.any()
    slopes = torch.autograd.grad(dq.sum() + dmu.sum(), [leaves["phi"], leaves["vectors"]])
    assert not slopes[0].any() and not len(slopes[1][0])


def test_nan_stays_nan_and_in_its_structure():
    case = Case(molecules("CH3OH", "H2O"))
    broken = case.inputs["vectors"].clone()
    broken[:, 0] = torch.nan
    leaves, (dq, dmu) = case.forward(torch.float32, vectors=broken)
    assert dq[0, 0].isnan().all() and dmu[0, 0].isnan().all()
    assert dq[0, -3:].isfinite().all()
    (slope,) = torch.autograd.grad(dq.sum() + dmu.sum(), leaves["vectors"], create_graph=True)
    assert slope[0, 0].isnan().all() and slope[0, -1].isfinite().all()
    (curvature,) = torch.autograd.grad(slope.sum(), leaves["vectors"])
    assert curvature[0, 0].isnan().all() and curvature[0, -1].isfinite().all()


def test_nan_features_and_infinite_vectors_do_no_harm_to_other_structures():
    case = Case(molecules("CH3OH", "H2O"))
    phi = case.inputs["phi"].clone()
    phi[:, 0] = torch.nan
    vectors = case.inputs["vectors"].clone()
    vectors[:, 1] = torch.inf
    _, (dq, _) = case.forward(torch.float32, phi=phi, vectors=vectors)
    assert dq[0, 1].isnan().all() and dq[0, -3:].isfinite().all()


def test_a_distance_beyond_the_cutoff_counts_nothing():
    case = Case(molecules("CH3OH"))
    far = case.inputs["vectors"] * 100
    _, (dq, dmu) = case.forward(torch.float32, vectors=far)
    assert not dq.any() and not dmu.any()


def test_sums_do_not_depend_on_the_number_of_threads():
    case = Case(molecules(*["CH3CH2OH", "H2O", "C6H6"] * 8), members=2)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = case.everything(torch.float32)
        torch.set_num_threads(3)
        three = case.everything(torch.float32)
    finally:
        torch.set_num_threads(before)
    # The products with cotangents are torch's; what the kernels add up must be equal to the bit.
    for name, value in one.items():
        assert torch.equal(value, three[name]), name


def test_edges_out_of_order_are_refused():
    case = Case(molecules("CH3OH"))
    case.centre = case.centre.flip(0)
    with pytest.raises(ValueError, match="sorted by centre"):
        case.forward(torch.float32)


def test_a_third_derivative_is_refused_not_wrong():
    case = Case(molecules("H2O"))
    leaves, (dq, dmu) = case.forward(torch.float32)
    total = dq.square().sum() + dmu.square().sum()
    (first,) = torch.autograd.grad(total, leaves["vectors"], create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), leaves["vectors"], create_graph=True)
    with pytest.raises(NotImplementedError, match="MOLSIEVE_FUSED"):
        torch.autograd.grad(second.sum(), leaves["vectors"])


def test_weights_train_by_backward_too():
    """``loss.backward()`` on leaves, not only ``torch.autograd.grad``."""
    case = Case(molecules("CH3OH"))
    found = []
    for precision in (torch.float32, torch.float64):
        leaves, (dq, dmu) = case.forward(precision)
        (slope,) = torch.autograd.grad(dq.sum() + dmu.sum(), leaves["vectors"], create_graph=True)
        (slope.square().sum() + dq.square().sum()).backward()
        found.append({name: leaf.grad for name, leaf in leaves.items()})
    assert_same(*found)


def test_indices_of_another_integer_type_are_the_same_atoms():
    case = Case(molecules("CH3OH"))
    _, (expected, _) = case.forward(torch.float32)
    case.centre, case.neighbour = case.centre.int(), case.neighbour.int()
    _, (found, _) = case.forward(torch.float32)
    assert torch.equal(found, expected)


def test_offsets_that_are_no_ladder_are_all_used():
    case = Case(molecules("CH3OH"))
    uneven = torch.rand(20, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 4
    case.basis = lambda dtype: RadialBasis(
        uneven.to(dtype), torch.full((20,), 0.3).to(dtype), CUTOFF
    )
    assert_same(case.everything(torch.float32), case.everything(torch.float64))


def test_training_gradients_of_the_model_are_those_of_torch(monkeypatch):
    """Every parameter's gradient of a loss on forces and energies."""
    model = random_model(electronic_embedding=True)
    batch = AtomsBatch.from_atoms(molecules("CH3CH2OH", "H2O", "C6H6"))
    graph = GraphBatch.from_batch(batch, neighbour_list(batch, 3.0))

    def gradients():
        energies, forces = energies_and_forces(model, graph, create_graph=True)
        loss = forces.square().mean() + 1e-3 * (energies - energies.detach() + 1).square().mean()
        used = [p for p in model.parameters() if p.requires_grad]
        found = torch.autograd.grad(loss, used, allow_unused=True, materialize_grads=True)
        return {str(k): g for k, g in enumerate([forces, *found]) if g.any()}

    fused = gradients()
    monkeypatch.setenv("MOLSIEVE_FUSED", "0")
    plain = gradients()
    assert fused.keys() == plain.keys() and len(fused) > 20
    for name, value in fused.items():
        scale = float(plain[name].detach().abs().max())
        assert float((value - plain[name]).detach().abs().max()) < 2e-5 * scale, name
