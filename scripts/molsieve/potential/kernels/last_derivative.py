"""Derivatives of which there is no further one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def last_derivative(
    found: Sequence[Tensor | None], of: Sequence[Tensor | None]
) -> tuple[Tensor | None, ...]:
    """``found``, to be returned by a ``backward`` that computes outside torch, from tensors ``of``.

    A derivative of them raises NotImplementedError. torch's ``once_differentiable`` does not where
    the inputs are reached on another way too: then the derivative is wrong without a word.
    """
    if not torch.is_grad_enabled():
        return tuple(found)
    result: tuple[Tensor | None, ...] = _Last.apply(len(found), *found, *of)
    return result


class _Last(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, count: int, *tensors: Tensor | None) -> tuple[Tensor | None, ...]:
        return tuple(None if t is None else t.view_as(t) for t in tensors[:count])

    @staticmethod
    def backward(ctx: Any, *_: Tensor | None) -> tuple[None, ...]:
        raise NotImplementedError("the C kernels end here: MOLSIEVE_FUSED=0 differentiates further")
