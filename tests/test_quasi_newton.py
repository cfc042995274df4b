"""Updates obey the secant condition, and leave alone what teaches nothing."""

from __future__ import annotations

import pytest
import torch

from molsieve.quasi_newton import bfgs_update, longest_of_an_atom


def inverse_hessians(count: int, size: int) -> torch.Tensor:
    root = torch.randn((count, size, size), generator=torch.Generator().manual_seed(1)).double()
    return root @ root.transpose(1, 2) + torch.eye(size)


def test_updated_rows_obey_the_secant_condition_and_stay_positive():
    generator = torch.Generator().manual_seed(2)
    inverse = inverse_hessians(4, 6)
    move = torch.randn((4, 6), generator=generator).double()
    change = torch.linalg.solve(inverse, move[..., None])[..., 0] + 0.3 * move
    bfgs_update(inverse, move, change, torch.ones(4, dtype=torch.bool))
    assert torch.allclose(torch.einsum("sij,sj->si", inverse, change), move)
    assert torch.allclose(inverse, inverse.transpose(1, 2))
    assert torch.linalg.eigvalsh(inverse).min() > 0


def test_bfgs_on_a_quadratic_surface_finds_its_hessian():
    target = inverse_hessians(1, 5)
    hessian = torch.linalg.inv(target)
    inverse = torch.eye(5).double()[None]
    # Along conjugate directions each update is final.
    for move in torch.linalg.eigh(hessian[0]).eigenvectors.t():
        bfgs_update(inverse, move[None], (hessian[0] @ move)[None], torch.tensor([True]))
    assert torch.allclose(inverse, target)


@pytest.mark.parametrize("fault", ["unsound", "uphill curvature", "not a number", "no step"])
def test_rows_that_teach_nothing_stay_as_they_are(fault):
    before = inverse_hessians(2, 6)
    inverse, move = before.clone(), torch.full((2, 6), 0.1).double()
    change, sound = move.clone(), torch.tensor([True, True])
    if fault == "uphill curvature":
        change[1] = -move[1]
    elif fault == "no step":
        move[1] = 0.0
    else:
        sound[1] = False
        change[1] = torch.nan if fault == "not a number" else move[1]
    bfgs_update(inverse, move, change, sound)
    assert torch.equal(inverse[1], before[1])
    assert not torch.equal(inverse[0], before[0])


def test_longest_displacement_of_an_atom():
    flat = torch.tensor([[3.0, 4.0, 0.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0, -2.0, 0.0]])
    assert longest_of_an_atom(flat).tolist() == [5.0, 2.0]
