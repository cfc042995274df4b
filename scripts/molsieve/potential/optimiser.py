"""Adam and Muon with an exponential moving average on one flat vector of parameters.

``torch.optim`` imports torch's compiler at its first use (2 s a training job, tried) and steps
through the parameters one by one; a member of this size is a single vector, one operation each.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FlatAdam:
    """Adam (Kingma, Ba, ICLR 2015), gradient clipped by norm, with the average of its weights.

    State is plain tensors: see :meth:`state` and :meth:`restore`.
    """

    def __init__(
        self,
        model: nn.Module,
        ema_decay: float,
        betas: tuple[float, float] = (0.9, 0.99),
        epsilon: float = 1e-8,
        clip_norm: float = 10.0,
    ):
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.weights = torch.cat([p.detach().reshape(-1) for p in self.parameters])
        self.average = self.weights.clone()
        self.first = torch.zeros_like(self.weights)
        self.second = torch.zeros_like(self.weights)
        self.steps = 0
        self.ema_decay, self.betas, self.epsilon = ema_decay, betas, epsilon
        self.clip_norm = clip_norm
        self.use(self.weights)

    def use(self, weights: Tensor) -> None:
        """Make the model's parameters views of ``weights`` (P,)."""
        start = 0
        for parameter in self.parameters:
            end = start + parameter.numel()
            parameter.data = weights[start:end].view(parameter.shape)
            start = end

    def step(self, loss: Tensor, learning_rate: float) -> None:
        """One step down the gradient of ``loss``, then the moving average."""
        gradients = torch.autograd.grad(
            loss, self.parameters, allow_unused=True, materialize_grads=True
        )
        gradient = torch.cat([g.reshape(-1) for g in gradients])
        gradient *= torch.clamp(self.clip_norm / (gradient.norm() + 1e-12), max=1.0)
        self.steps += 1
        self.first.lerp_(gradient, 1 - self.betas[0])
        self.second.mul_(self.betas[1]).addcmul_(gradient, gradient, value=1 - self.betas[1])
        self.weights.add_(self._direction(gradient), alpha=-learning_rate)
        # Early on the average follows closely, or it would remember the random start.
        decay = min(self.ema_decay, (1 + self.steps) / (10 + self.steps))
        self.average.lerp_(self.weights, 1 - decay)

    def _direction(self, gradient: Tensor) -> Tensor:
        """(P,) what a learning rate of 1 takes off the weights, elements of order 1."""
        beta1, beta2 = self.betas
        scale = (self.second / (1 - beta2**self.steps)).sqrt_().add_(self.epsilon)
        return self.first / scale / (1 - beta1**self.steps)

    def state(self) -> dict[str, Tensor | int]:
        """What :meth:`restore` needs to go on as if never interrupted."""
        return {
            "weights": self.weights,
            "average": self.average,
            "first": self.first,
            "second": self.second,
            "steps": self.steps,
        }

    def restore(self, state: dict) -> None:
        """Take over a :meth:`state`."""
        for name in ("weights", "average", "first", "second"):
            getattr(self, name).copy_(state[name])
        self.steps = int(state["steps"])


class FlatMuon(FlatAdam):
    """Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) for matrices, Adam for the rest.

    The momentum of a weight matrix is replaced by the orthogonal matrix next to it, so that a step
    moves all its singular directions alike. Its elements are scaled to the size of Adam's
    (0.2 sqrt of the longer side: Liu et al., arXiv:2502.16982, eq. 4): one learning rate serves
    both. Embeddings, biases and matrices of a few rows (a head's last layer) are Adam's.
    """

    fewest_rows = 16
    element_size = 0.2

    def __init__(self, model: nn.Module, ema_decay: float):
        super().__init__(model, ema_decay, betas=(0.95, 0.99))
        tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
        # Matrices of one shape are one batch: where each begins and ends in the flat vector.
        self.matrices: dict[tuple[int, int], list[tuple[int, int]]] = {}
        start = 0
        for parameter in self.parameters:
            end = start + parameter.numel()
            shape = tuple(parameter.shape)
            if len(shape) == 2 and min(shape) >= self.fewest_rows and id(parameter) not in tables:
                self.matrices.setdefault((shape[0], shape[1]), []).append((start, end))
            start = end

    def _direction(self, gradient: Tensor) -> Tensor:
        direction = super()._direction(gradient)
        momentum = self.first.lerp(gradient, 1 - self.betas[0])
        for shape, places in self.matrices.items():
            # Slices, not an index: a gather of as many numbers takes as long as the iteration.
            found = orthogonalised(torch.stack([momentum[a:b].view(shape) for a, b in places]))
            found = found * (self.element_size * max(shape) ** 0.5)
            for (a, b), step in zip(places, found, strict=True):
                direction[a:b] = step.flatten()
        return direction


def orthogonalised(matrices: Tensor, steps: int = 5) -> Tensor:
    """``U V^T`` of each ``U S V^T`` in (B, m, n), roughly: singular values go to 0.7 ... 1.2.

    Newton-Schulz iteration with the quintic of Jordan et al. (see :class:`FlatMuon`), whose
    coefficients trade exactness for few steps.
    """
    if matrices.shape[1] > matrices.shape[2]:
        return orthogonalised(matrices.transpose(1, 2), steps).transpose(1, 2)
    found = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-12)
    for _ in range(steps):
        gram = found @ found.transpose(1, 2)
        polynomial = torch.baddbmm(gram, gram, gram, beta=-4.7750, alpha=2.0315)
        found = torch.baddbmm(found, polynomial, found, beta=3.4445)
    return found
