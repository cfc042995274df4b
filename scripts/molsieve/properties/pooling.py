"""From atoms to the molecule, intensively: P numbers each.

A sum over atoms would make two molecules far apart twice as excitable as one.

============  ====================================================================================
``mean``      mean over atoms of their values: exact for copies, but a chromophore is diluted by
              every atom that has no part in the excitation
``attention`` mean with weights that the network chooses by atom, which add up to 1
``exciton``   lowest eigenvalue of a matrix with local excitations on its diagonal and couplings
              that decay with distance (the Frenkel exciton model: Davydov, Theory of Molecular
              Excitons, 1971): of two molecules far apart the lower one's, exactly; values that
              are no energies are pooled by ``attention``
============  ====================================================================================
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from molsieve.properties.dense import DenseMolecules

NOT_AN_ATOM = 100.0
"""On the diagonal of an exciton matrix where there is no atom: above every eigenvalue."""


def perceptron(inputs: int, outputs: int) -> nn.Sequential:
    """Two layers, the hidden one as wide as the input."""
    return nn.Sequential(nn.Linear(inputs, inputs), nn.SiLU(), nn.Linear(inputs, outputs))


class MeanPooling(nn.Module):
    """Mean over atoms of their values."""

    def __init__(self, features: int, outputs: int):
        super().__init__()
        self.values = perceptron(features, outputs)

    def forward(self, molecules: DenseMolecules) -> Tensor:
        """(S, P)."""
        values = self.values(molecules.features)
        return molecules.averaged(molecules.shares(torch.zeros_like(values)), values)


class AttentionPooling(nn.Module):
    """Mean with learned weights, of each output its own."""

    def __init__(self, features: int, outputs: int):
        super().__init__()
        self.values = perceptron(features, outputs)
        self.scores = perceptron(features, outputs)

    def forward(self, molecules: DenseMolecules) -> Tensor:
        """(S, P)."""
        x = molecules.features
        return molecules.averaged(molecules.shares(self.scores(x)), self.values(x))

    def silence(self) -> None:
        """Every value 0, until it is learned."""
        last = self.values[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)


class ExcitonPooling(nn.Module):
    """Lowest eigenvalues of learned exciton matrices; attention for what is no energy.

    Args:
        energies: which of the outputs are energies.
    """

    width = 8

    def __init__(self, features: int, outputs: int, energies: list[int]):
        super().__init__()
        self.energies = energies
        self.others = AttentionPooling(features, outputs)
        self.local = perceptron(features, len(energies))
        self.sides = nn.Linear(features, 2 * self.width * len(energies))
        self.log_length = nn.Parameter(torch.full((len(energies),), 1.0))

    def forward(self, molecules: DenseMolecules) -> Tensor:
        """(S, P)."""
        found = list(self.others(molecules).unbind(1))
        lowest = torch.linalg.eigvalsh(self.matrices(molecules))[..., 0]
        for number, place in enumerate(self.energies):
            found[place] = lowest[:, number]
        return torch.stack(found, 1)

    def matrices(self, molecules: DenseMolecules) -> Tensor:
        """(S, E, A, A) symmetric."""
        x, present = molecules.features, molecules.present
        s, a, _ = x.shape
        left, right = self.sides(x).view(s, a, 2, -1, self.width).permute(2, 0, 3, 1, 4)
        coupling = left @ right.transpose(-1, -2) / self.width**0.5
        reach = torch.exp(-molecules.distances[:, None] / self.log_length.exp()[:, None, None])
        both = present[:, :, None] & present[:, None]
        off = torch.eye(a, dtype=torch.bool, device=x.device)
        coupling = (coupling + coupling.mT) * reach * (both & ~off)[:, None]
        local = self.local(x).masked_fill(~present[:, :, None], NOT_AN_ATOM)
        return coupling + torch.diag_embed(local.transpose(1, 2))
