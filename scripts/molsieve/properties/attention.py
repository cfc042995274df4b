"""The global channel: every atom of a molecule hears every other, however far.

Message passing within a cutoff does not know that a donor at one end faces an acceptor at the
other. Here atoms attend to each other (Vaswani et al., NeurIPS 2017; for atoms: Unke et al., Nat.
Commun. 12, 7273 (2021)): half of the heads whatever the distance, half with a learned decay.

A softmax is a mean, so nothing grows with the number of atoms. Two molecules that are copies of
each other, out of each other's cutoff: a head without decay gives each atom exactly what it gives
it in one copy; one with decay does so in the limit of a distance large against the decay length.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from molsieve.properties.dense import DenseMolecules


class GlobalAttention(nn.Module):
    """One layer of attention over all atoms and a feed-forward step, each added to its input."""

    def __init__(self, features: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(features)
        self.queries_keys_values = nn.Linear(features, 3 * features)
        self.out = nn.Linear(features, features)
        last = nn.Linear(features, features)
        self.update = nn.Sequential(
            nn.LayerNorm(features), nn.Linear(features, features), nn.SiLU(), last
        )
        # Decay lengths of 3 to 12 Å to begin with; the other heads have none.
        decaying = heads // 2
        lengths = torch.linspace(3.0, 12.0, max(decaying, 1))[:decaying]
        self.log_decay = nn.Parameter(torch.log(1 / lengths))
        # Silent at first: the network starts as one of local messages.
        for layer in (self.out, last):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, molecules: DenseMolecules) -> DenseMolecules:
        """The same molecules with new features (S, A, F)."""
        x = molecules.features
        s, a, f = x.shape
        parts = self.queries_keys_values(self.norm(x)).view(s, a, 3, self.heads, f // self.heads)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)
        scores = queries @ keys.transpose(-1, -2) / (f // self.heads) ** 0.5
        scores = scores - self._decay(molecules.distances)
        scores = scores.masked_fill(~molecules.present[:, None, None], -torch.inf)
        heard = (scores.softmax(-1) @ values).transpose(1, 2).reshape(s, a, f)
        x = x + self.out(heard)
        x = x + self.update(x)
        x = x * molecules.present[:, :, None]
        return DenseMolecules(x, molecules.present, molecules.distances)

    def _decay(self, distances: Tensor) -> Tensor:
        """(S, heads, A, A) what distance takes off the scores."""
        rates = torch.cat([
            self.log_decay.exp(), self.log_decay.new_zeros(self.heads - len(self.log_decay)),
        ])  # fmt: skip
        return rates[:, None, None] * distances[:, None]
