import pytest
import torch

from molsieve.potential.optimiser import FlatAdam, FlatMuon, orthogonalised


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.embedding = torch.nn.Embedding(30, 24)
        self.first = torch.nn.Linear(24, 48)
        self.second = torch.nn.Linear(48, 24)
        self.last = torch.nn.Linear(24, 1)

    def forward(self, numbers):
        hidden = torch.nn.functional.silu(self.first(self.embedding(numbers)))
        return self.last(self.second(hidden)).squeeze(-1)


def descend(optimiser_class, steps, model=None):
    model = Network() if model is None else model
    optimiser = optimiser_class(model, 0.9)
    numbers = torch.arange(30)
    losses = []
    for _ in range(steps):
        loss = (model(numbers) - torch.sin(numbers / 3)).square().mean()
        optimiser.step(loss, 5e-3)
        losses.append(float(loss.detach()))
    return losses, optimiser


@pytest.mark.parametrize("shape", [(2, 20, 50), (2, 50, 20), (1, 32, 32)])
def test_orthogonalised_keeps_singular_vectors_and_evens_values(shape):
    matrices = torch.randn(*shape, generator=torch.Generator().manual_seed(1))
    left, values, right = torch.linalg.svd(matrices, full_matrices=False)
    found = orthogonalised(matrices)
    inside = left.transpose(1, 2) @ found @ right.transpose(1, 2)
    diagonal = inside.diagonal(dim1=1, dim2=2)
    assert float((inside - torch.diag_embed(diagonal)).abs().max()) < 1e-4
    large = values > 0.05 * values.amax(1, keepdim=True)
    assert float(diagonal[large].min()) > 0.5 and float(diagonal.max()) < 1.3


def test_orthogonalised_of_nothing_is_nothing():
    assert float(orthogonalised(torch.zeros(2, 20, 30)).abs().max()) == 0


def test_muon_moves_matrices_and_leaves_the_rest_to_adam():
    model = Network()
    muon, adam = FlatMuon(model, 0.9), FlatAdam(model, 0.9, betas=(0.95, 0.99))
    gradient = torch.randn(muon.weights.shape, generator=torch.Generator().manual_seed(2))
    for optimiser in (muon, adam):
        optimiser.steps = 1
        optimiser.first.copy_(gradient)
        optimiser.second.copy_(gradient.square())
    ours, theirs = muon._direction(gradient), adam._direction(gradient)
    matrix = torch.zeros_like(gradient, dtype=torch.bool)
    for places in muon.matrices.values():
        for start, end in places:
            matrix[start:end] = True
    assert sorted(muon.matrices) == [(24, 48), (48, 24)]
    assert int(matrix.sum()) == 2 * 24 * 48
    assert torch.equal(ours[~matrix], theirs[~matrix])
    # An orthogonal step of the size of Adam's (0.2), whatever the gradient's.
    assert float(ours[matrix].square().mean().sqrt()) == pytest.approx(0.2, rel=0.25)


@pytest.mark.parametrize("optimiser_class", [FlatAdam, FlatMuon])
def test_the_loss_falls(optimiser_class):
    losses, _ = descend(optimiser_class, 40)
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize("optimiser_class", [FlatAdam, FlatMuon])
def test_restored_state_goes_on_as_if_never_interrupted(optimiser_class):
    whole = descend(optimiser_class, 8)[1]
    half = descend(optimiser_class, 4)[1]
    state = {k: v.clone() if torch.is_tensor(v) else v for k, v in half.state().items()}
    model = Network()
    fresh = optimiser_class(model, 0.9)
    fresh.restore(state)
    numbers = torch.arange(30)
    for _ in range(4):
        fresh.step((model(numbers) - torch.sin(numbers / 3)).square().mean(), 5e-3)
    assert torch.equal(fresh.weights, whole.weights)
    assert torch.equal(fresh.average, whole.average)
