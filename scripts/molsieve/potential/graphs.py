"""Graphs the network reads, and training sets of them held in memory.

Units: Å, e, eV. Shapes: N atoms, S structures, E edges.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from molsieve.potential.batches import AtomsBatch
from molsieve.potential.neighbours import Edges, neighbour_list

__all__ = ["AtomsBatch", "Edges", "GraphBatch", "GraphSet", "neighbour_list"]


@dataclass(frozen=True)
class GraphBatch:
    """What the network reads, and labels where there are any.

    Attributes:
        numbers: (N,); structure: (N,); charge, multiplicity: (S,).
        centre, neighbour: (E,); vectors: (E, 3) float32, Å.
        energy_ev: (S,) float64, or None; forces_ev_per_angstrom: (N, 3) float32, or None.
        volume_angstrom3: (S,) float32, Å³, NaN where a structure is not periodic in all three
            directions (it has no stress); None where that is so of every structure.
        stress_ev_per_angstrom3: (S, 3, 3) float32, NaN where a label has none; None if none has.
    """

    numbers: Tensor
    structure: Tensor
    charge: Tensor
    multiplicity: Tensor
    centre: Tensor
    neighbour: Tensor
    vectors: Tensor
    energy_ev: Tensor | None = None
    forces_ev_per_angstrom: Tensor | None = None
    volume_angstrom3: Tensor | None = None
    stress_ev_per_angstrom3: Tensor | None = None

    @property
    def n_structures(self) -> int:
        """S."""
        return len(self.charge)

    @classmethod
    def from_batch(cls, batch: AtomsBatch, edges: Edges) -> GraphBatch:
        """Differentiable in ``batch.positions`` and ``batch.cell``; vectors are taken in float64,
        then rounded."""
        precision = torch.get_default_dtype()
        volume = batch.volumes.to(precision)
        return cls(
            numbers=batch.numbers,
            structure=batch.structure,
            charge=batch.charge,
            multiplicity=batch.multiplicity,
            centre=edges.centre,
            neighbour=edges.neighbour,
            vectors=edges.vectors(batch).to(precision),
            volume_angstrom3=None if bool(volume.isnan().all()) else volume,
        )


class GraphSet:
    """Labelled structures and their neighbour lists in memory; batches by index arithmetic."""

    def __init__(
        self,
        batch: AtomsBatch,
        cutoff_angstrom: float,
        energy_ev: Tensor | None = None,
        forces_ev_per_angstrom: Tensor | None = None,
        stress_ev_per_angstrom3: Tensor | None = None,
    ):
        """Build the neighbour lists once.

        Args:
            energy_ev: (S,) float64; None where energies play no part.
            forces_ev_per_angstrom: (N, 3), or None as well.
            stress_ev_per_angstrom3: (S, 3, 3), NaN where there is none; None: none anywhere.
        """
        precision = torch.get_default_dtype()
        stress = stress_ev_per_angstrom3
        if stress is not None:
            stress = None if bool(stress.isnan().all()) else stress.to(precision)
        edges = neighbour_list(batch, cutoff_angstrom)
        self.data = replace(
            GraphBatch.from_batch(batch, edges),
            energy_ev=None if energy_ev is None else energy_ev.double(),
            forces_ev_per_angstrom=None
            if forces_ev_per_angstrom is None
            else forces_ev_per_angstrom.to(precision),
            stress_ev_per_angstrom3=stress,
        )
        self.sizes = batch.sizes
        self.atom_start = torch.cumsum(self.sizes, 0) - self.sizes
        edge_structure = batch.structure[edges.centre]
        self.edge_counts = torch.bincount(edge_structure, minlength=batch.n_structures)
        self.edge_start = torch.cumsum(self.edge_counts, 0) - self.edge_counts

    @classmethod
    def from_tables(
        cls,
        structures: pd.DataFrame,
        labels: pd.DataFrame,
        cutoff_angstrom: float,
        device: str | torch.device = "cpu",
    ) -> GraphSet:
        """Rows of ``structures`` in their order, each with its row of ``labels``.

        A label whose geometry was optimised belongs to its ``final_positions_angstrom``.

        Raises:
            KeyError: a structure without an ok label with energy and forces.
        """
        by_id = labels.drop_duplicates("structure_id").set_index("structure_id")
        usable = (by_id["status"] == "ok") & by_id["energy_ev"].notna()
        usable &= by_id["forces_ev_per_angstrom"].notna()
        missing = set(structures["structure_id"]) - set(by_id.index[usable])
        if missing:
            raise KeyError(f"{len(missing)} structures have no ok label, e.g. {min(missing)}")
        labels = by_id.loc[list(structures["structure_id"])]
        batch = AtomsBatch.from_structures(structures)
        positions = batch.positions.numpy().copy()
        ends = np.cumsum(batch.sizes.numpy())
        if "final_positions_angstrom" in labels:
            for end, final in zip(ends, labels["final_positions_angstrom"], strict=True):
                if final is not None and np.size(final) > 1:
                    place = np.asarray(final, float).reshape(-1, 3)
                    positions[end - len(place) : end] = place
        forces = np.concatenate([np.asarray(f, float) for f in labels["forces_ev_per_angstrom"]])
        return cls(
            batch.with_positions(torch.from_numpy(positions)).to(device),
            cutoff_angstrom,
            torch.tensor(labels["energy_ev"].to_numpy(float), device=device),
            torch.from_numpy(forces.reshape(-1, 3)).to(device),
            label_stresses(labels).to(device),
        )

    def __len__(self) -> int:
        return len(self.sizes)

    def atoms(self, indices: Tensor) -> Tensor:
        """Places of the atoms of the structures of ``indices``, in the order of :meth:`batch`."""
        return _ranges(self.atom_start[indices], self.sizes[indices])[0]

    def batch(self, indices: Tensor) -> GraphBatch:
        """The structures of ``indices`` (any order, repeats allowed) as one batch."""
        sizes, edge_counts = self.sizes[indices], self.edge_counts[indices]
        atoms, structure = _ranges(self.atom_start[indices], sizes)
        edges, edge_structure = _ranges(self.edge_start[indices], edge_counts)
        start = torch.cumsum(sizes, 0) - sizes
        move = (start - self.atom_start[indices]).index_select(0, edge_structure)
        data = self.data
        return GraphBatch(
            numbers=data.numbers.index_select(0, atoms),
            structure=structure,
            charge=data.charge[indices],
            multiplicity=data.multiplicity[indices],
            centre=data.centre.index_select(0, edges) + move,
            neighbour=data.neighbour.index_select(0, edges) + move,
            vectors=data.vectors.index_select(0, edges),
            energy_ev=_rows(data.energy_ev, indices),
            forces_ev_per_angstrom=_rows(data.forces_ev_per_angstrom, atoms),
            volume_angstrom3=_rows(data.volume_angstrom3, indices),
            stress_ev_per_angstrom3=_rows(data.stress_ev_per_angstrom3, indices),
        )


def label_stresses(labels: pd.DataFrame) -> Tensor:
    """(S, 3, 3) float64 stresses of rows of ``labels``, eV/Å³; NaN where a label has none."""
    found = torch.full((len(labels), 3, 3), torch.nan, dtype=torch.float64)
    for row, stress in enumerate(labels.get("stress_ev_per_angstrom3", ())):
        if np.size(stress) == 9:
            found[row] = torch.from_numpy(np.asarray(stress, float).reshape(3, 3))
    return found


def _rows(values: Tensor | None, indices: Tensor) -> Tensor | None:
    return None if values is None else values[indices]


def _ranges(starts: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Concatenated ``arange(start, start + count)`` and, for each entry, which range it is of."""
    which = torch.repeat_interleave(counts)
    first = torch.cumsum(counts, 0) - counts
    inside = torch.arange(len(which), device=counts.device) - first.index_select(0, which)
    return starts.index_select(0, which) + inside, which
