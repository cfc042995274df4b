"""What a training step sees: a split in memory, cut into batches, and the terms of the loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from molsieve.potential.graphs import GraphBatch, GraphSet

# Errors that count 1 in the loss at weight 1, so that weights of 1 are a fair start for molecules.
ENERGY_UNIT_EV_PER_ATOM = 0.01
FORCE_UNIT_EV_PER_ANGSTROM = 0.1
DIFFERENCE_UNIT_EV = 0.1
STRESS_UNIT_EV_PER_ANGSTROM3 = 0.01


@dataclass(frozen=True)
class TrainingData:
    """A split in memory.

    Attributes:
        graphs: S structures.
        units: lists of structure indices that stay in one batch: the relaxed structures of a group
            together, any other structure alone.
        groups: (S,) the group each structure is of.
        relaxed: (S,) bool, takes part in differences.
        shared: groups that are nobody's alone (empty frameworks, guests), each in every draw.
    """

    graphs: GraphSet
    units: list[list[int]]
    groups: np.ndarray
    relaxed: np.ndarray
    shared: frozenset[str] = frozenset()

    @classmethod
    def from_tables(
        cls,
        dataset: pd.DataFrame,
        structures: pd.DataFrame,
        labels: pd.DataFrame,
        cutoff_angstrom: float,
        device: str,
    ) -> TrainingData:
        """The rows of ``dataset``, sorted by structure, with their structures and labels."""
        rows = dataset.sort_values("structure_id")
        structures = structures.drop_duplicates("structure_id").set_index("structure_id")
        structures = structures.loc[list(rows["structure_id"])].reset_index()
        graphs = GraphSet.from_tables(structures, labels, cutoff_angstrom, device)
        groups = rows["group"].to_numpy(str)
        relaxed = (structures["origin"] == "relaxed").to_numpy(bool)
        units = [[int(i)] for i in np.flatnonzero(~relaxed)]
        for group in sorted(set(groups[relaxed])):
            units.append(np.flatnonzero(relaxed & (groups == group)).tolist())
        return cls(graphs, units, groups, relaxed, _shared_groups(rows))

    def draw(self, rng: np.random.Generator | None) -> list[list[int]]:
        """Units of groups drawn with replacement (a bootstrap by group); all of them for None.

        Shared groups are not drawn but taken, once each: they enter every candidate's objective,
        are known whatever candidates are asked, and are few, so that a draw would leave a member
        without a third of all frameworks (errors of 0.3 eV of their energies, none of which
        cancels in a binding energy).
        """
        if rng is None:
            return self.units
        names = np.array([name for name in np.unique(self.groups) if name not in self.shared])
        drawn = rng.choice(names, size=len(names), replace=True) if len(names) else names
        times = dict(zip(*np.unique(drawn, return_counts=True), strict=True))
        times |= dict.fromkeys(self.shared, 1)
        return [u for u in self.units for _ in range(times.get(self.groups[u[0]], 0))]


def _shared_groups(rows: pd.DataFrame) -> frozenset[str]:
    """Groups that are no candidate's own, beside those that are; where no row names one, none."""
    if "candidate_id" not in rows or rows["candidate_id"].isna().all():
        return frozenset()
    return frozenset(rows.loc[rows["candidate_id"].isna(), "group"].astype(str))


def batches(
    units: list[list[int]], batch_size: int, rng: np.random.Generator | None
) -> list[tuple[Tensor, Tensor]]:
    """Batches of structure indices (S,) and unit numbers (S,), shuffled by ``rng`` if given."""
    order = range(len(units)) if rng is None else rng.permutation(len(units))
    found: list[tuple[Tensor, Tensor]] = []
    indices: list[int] = []
    owners: list[int] = []
    for number, position in enumerate(order):
        unit = units[position]
        indices += unit
        owners += [number] * len(unit)
        if len(indices) >= batch_size or number == len(units) - 1:
            owner = torch.unique(torch.tensor(owners), return_inverse=True)[1]
            found.append((torch.tensor(indices), owner))
            indices, owners = [], []
    return found


def loss_terms(
    energies: Tensor,
    forces: Tensor,
    graph: GraphBatch,
    unit: Tensor,
    stresses: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean squared errors of energy per atom, force component, difference and stress component, in
    their units.

    The difference term of a unit of k structures is the mean over its pairs of the squared error of
    ``E_a - E_b``, which is ``2 k / (k - 1)`` times the variance of the errors; averaged over the
    units with at least two structures, 0 where there are none. The stress term is the mean over
    the structures whose label has a stress, 0 where there are none.

    Args:
        energies: (S,) eV; forces: (N, 3) eV/Å; unit: (S,) as from :func:`batches`.
        stresses: (S, 3, 3) eV/Å³, or None as from ``energies_forces_stresses``.
    """
    assert graph.energy_ev is not None and graph.forces_ev_per_angstrom is not None
    error = (energies - graph.energy_ev).to(forces.dtype)
    atoms = torch.bincount(graph.structure, minlength=len(error))
    energy = (error / atoms / ENERGY_UNIT_EV_PER_ATOM).square().mean()
    force = ((forces - graph.forces_ev_per_angstrom) / FORCE_UNIT_EV_PER_ANGSTROM).square().mean()
    return energy, force, _difference_term(error, unit), _stress_term(stresses, graph, force)


def _difference_term(error: Tensor, unit: Tensor) -> Tensor:
    """Of the errors (S,), eV, of each structure's energy."""
    size = torch.bincount(unit)
    paired = size > 1
    if not bool(paired.any()):
        return error.new_zeros(())
    mean = error.new_zeros(len(size)).index_add(0, unit, error) / size
    deviation = (error - mean.index_select(0, unit)) / DIFFERENCE_UNIT_EV
    squared = error.new_zeros(len(size)).index_add(0, unit, deviation.square())
    return (2 * squared[paired] / (size[paired] - 1)).mean()


def _stress_term(stresses: Tensor | None, graph: GraphBatch, like: Tensor) -> Tensor:
    labels = graph.stress_ev_per_angstrom3
    if stresses is None or labels is None:
        return like.new_zeros(())
    known = labels.isfinite().flatten(1).all(1)
    if not bool(known.any()):
        return like.new_zeros(())
    error = (stresses[known] - labels[known]) / STRESS_UNIT_EV_PER_ANGSTROM3
    return error.square().mean()
