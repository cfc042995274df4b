"""Atoms of molecules side by side in one padded array, for what looks at a whole molecule."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class DenseMolecules:
    """S molecules of at most A atoms.

    Attributes:
        features: (S, A, F), 0 where there is no atom.
        present: (S, A) bool.
        distances: (S, A, A) Å.
    """

    features: Tensor
    present: Tensor
    distances: Tensor

    @classmethod
    def of(
        cls, features: Tensor, positions: Tensor, structure: Tensor, n_structures: int
    ) -> DenseMolecules:
        """From atoms one after another: features (N, F), positions (N, 3) Å, structure (N,)."""
        sizes = torch.bincount(structure, minlength=n_structures)
        first = torch.cumsum(sizes, 0) - sizes
        row = torch.arange(len(structure), device=structure.device) - first[structure]
        width = int(sizes.max())
        where = structure * width + row

        def padded(values: Tensor) -> Tensor:
            none = values.new_zeros(n_structures * width, values.shape[1])
            return none.index_copy(0, where, values).view(n_structures, width, -1)

        places = padded(positions)
        # A difference of squares (torch.cdist) would lose digits of short distances.
        apart = (places[:, :, None] - places[:, None]).norm(dim=-1)
        present = torch.arange(width, device=sizes.device) < sizes[:, None]
        return cls(padded(features), present, apart.to(features.dtype))

    def averaged(self, weights: Tensor, values: Tensor) -> Tensor:
        """(S, P) sums over atoms of ``weights`` times ``values``, each (S, A, P)."""
        return (weights * values).sum(1)

    def shares(self, scores: Tensor) -> Tensor:
        """(S, A, P) softmax of ``scores`` over the atoms that are there."""
        return scores.masked_fill(~self.present[:, :, None], -torch.inf).softmax(1)
