"""Adam with an exponential moving average on one flat vector of parameters.

``torch.optim`` imports torch's compiler at its first use (2 s a training job, tried) and steps
through the parameters one by one; a member of this size is a single vector, one operation each.
"""

from __future__ import annotations

import math

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
        beta1, beta2 = self.betas
        self.first.lerp_(gradient, 1 - beta1)
        self.second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        scale = (self.second / (1 - beta2**self.steps)).sqrt_().add_(self.epsilon)
        rate = learning_rate / (1 - beta1**self.steps)
        self.weights.addcdiv_(self.first, scale, value=-rate)
        # Early on the average follows closely, or it would remember the random start.
        decay = min(self.ema_decay, (1 + self.steps) / (10 + self.steps))
        self.average.lerp_(self.weights, 1 - decay)

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


def cosine_rate(peak: float, progress: float, warm_up: float = 0.05, last: float = 0.01) -> float:
    """Learning rate at ``progress`` in [0, 1] of the run: linear rise, then half a cosine."""
    if progress < warm_up:
        return peak * (0.1 + 0.9 * progress / warm_up)
    fall = (progress - warm_up) / (1 - warm_up)
    return peak * (last + (1 - last) * 0.5 * (1 + math.cos(math.pi * fall)))
