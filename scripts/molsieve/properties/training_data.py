"""What a training step of the property heads sees: labelled molecules in memory, and the loss.

Shapes: S structures, L levels of theory, P properties; NaN where a label tells nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from molsieve.potential.evaluation import labelled_geometries
from molsieve.potential.graphs import AtomsBatch, GraphBatch, GraphSet
from molsieve.properties.definitions import label_values
from molsieve.section import CampaignError


@dataclass(frozen=True)
class PropertySet:
    """Structures of a split that have a value of a property at a level.

    Attributes:
        structure_ids: (S,). graphs: S structures. positions: (N, 3) float64, Å.
        descriptors: (S, D) float64 of the whole molecules; D is 0 without.
        values: (S, L, P) float32, in the properties' units.
        groups: (S,) the group each structure is of.
    """

    structure_ids: np.ndarray
    graphs: GraphSet
    positions: Tensor
    descriptors: Tensor
    values: Tensor
    groups: np.ndarray

    @classmethod
    def from_tables(
        cls,
        dataset: pd.DataFrame,
        structures: pd.DataFrame,
        labels: Sequence[pd.DataFrame],
        names: Sequence[str],
        cutoff_angstrom: float,
        device: str = "cpu",
        describe: Callable[[AtomsBatch], Tensor] | None = None,
    ) -> PropertySet | None:
        """The rows of ``dataset``, sorted by structure; None if no label tells a property.

        Args:
            labels: of each level, at identical geometries.
            names: of the properties.
            describe: gives the molecules' descriptors; one that has none plays no part.

        Raises:
            CampaignError: a periodic structure.
        """
        rows = dataset.sort_values("structure_id").reset_index(drop=True)
        values = property_values(rows["structure_id"], labels, names)
        known = np.isfinite(values).any(axis=(1, 2))
        if not known.any():
            return None
        rows = rows[known].reset_index(drop=True)
        every = pd.concat([part for part in labels if len(part)], ignore_index=True)
        geometries = labelled_geometries(rows, structures, every.drop_duplicates("structure_id"))
        batch = AtomsBatch.from_structures(geometries)
        if bool(batch.pbc.any()):
            raise CampaignError(
                "properties: a periodic structure has none of them; allowed: molecules"
            )
        told = batch.positions.new_zeros(len(rows), 0) if describe is None else describe(batch)
        sound = told.isfinite().all(1).numpy()
        if not sound.any():
            return None
        batch = batch.chosen(torch.from_numpy(np.flatnonzero(sound))).to(device)
        return cls(
            rows["structure_id"].to_numpy(str)[sound],
            GraphSet(batch, cutoff_angstrom),
            batch.positions,
            told[sound].to(device),
            torch.from_numpy(values[known][sound]).float().to(device),
            rows["group"].to_numpy(str)[sound],
        )

    def __len__(self) -> int:
        return len(self.groups)

    def batch(self, indices: Tensor) -> tuple[GraphBatch, Tensor, Tensor, Tensor]:
        """Graph, positions (N, 3), descriptors (S, D) and values (S, L, P) of the structures of
        ``indices``."""
        positions = self.positions.index_select(0, self.graphs.atoms(indices))
        told = self.descriptors[indices]
        return self.graphs.batch(indices), positions, told, self.values[indices]

    def draw(self, rng: np.random.Generator | None) -> np.ndarray:
        """Structures of groups drawn with replacement (a bootstrap by group); all for None."""
        if rng is None:
            return np.arange(len(self))
        names, of = np.unique(self.groups, return_inverse=True)
        times = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
        return np.repeat(np.arange(len(self)), times[of])


def property_values(
    structure_ids: Sequence[str] | pd.Series, labels: Sequence[pd.DataFrame], names: Sequence[str]
) -> np.ndarray:
    """(S, L, P) of these structures, by the labels of each level; NaN where there is none."""
    found = []
    for part in labels:
        told = label_values(part, names).drop_duplicates("structure_id").set_index("structure_id")
        found.append(told[list(names)].reindex(list(structure_ids)).to_numpy(float))
    return np.stack(found, axis=1)


def own_values(values: Tensor) -> Tensor:
    """(S, L, P) less what a better level says of structures that the first one tells as well."""
    known = values[:, :1].isfinite()
    later = values[:, 1:].masked_fill(known.expand_as(values[:, 1:]), torch.nan)
    return torch.cat([values[:, :1], later], 1)


@dataclass(frozen=True)
class PropertyLoss:
    """Squared errors in the properties' error units.

    The first level's labels teach; of a structure that has both, the better one teaches the
    difference alone, so that pairs weigh no more than others in what both levels share. Properties
    and the difference count the same, however many labels they have: sums are divided by the share
    of structures that have them.

    Attributes:
        error_units: (P,). shares: (L, P) of the training structures with a value that counts;
            paired: (L - 1, P) of those with a difference to the first level.
        pairs: places of properties whose difference is learned as well (S1 - T1).
        gap_weight, difference_weight: of these, and of differences between levels.
    """

    error_units: Tensor
    shares: Tensor
    paired: Tensor
    pairs: tuple[tuple[int, int], ...]
    gap_weight: float
    difference_weight: float

    @classmethod
    def of(
        cls,
        values: Tensor,
        error_units: Tensor,
        pairs: Sequence[tuple[int, int]],
        gap_weight: float,
        difference_weight: float,
    ) -> PropertyLoss:
        """Of a training set's values (S, L, P)."""
        shares = own_values(values).isfinite().float().mean(0)
        both = (values[:, 1:] - values[:, :1]).isfinite().float().mean(0)
        return cls(error_units, shares, both, tuple(pairs), gap_weight, difference_weight)

    def __call__(self, predicted: Tensor, labelled: Tensor) -> Tensor:
        """Mean over the structures.

        Args:
            predicted: (L, S, P); labelled: (S, L, P).
        """
        error = (predicted - own_values(labelled).transpose(0, 1)) / self.error_units
        total = self._mean(error, self.shares)
        for first, second in self.pairs:
            gap = error[..., first] - error[..., second]
            least = torch.minimum(self.shares[:, first], self.shares[:, second])
            total = total + self.gap_weight * self._mean(gap, least)
        if len(error) > 1:
            error = (predicted - labelled.transpose(0, 1)) / self.error_units
            difference = self._mean(error[1:] - error[:1], self.paired)
            total = total + self.difference_weight * difference
        return total

    @staticmethod
    def _mean(error: Tensor, shares: Tensor) -> Tensor:
        known = error.isfinite()
        # Zeroed before it is squared: a NaN would come back as the gradient of a known one.
        square = error.where(known, 0.0).square()
        per = square.mean(1) / shares.clamp(min=1e-6)
        return per.where(shares > 0, 0.0).sum() / (shares > 0).sum().clamp(min=1)
