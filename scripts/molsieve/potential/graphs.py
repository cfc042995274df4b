"""Batches of structures, their neighbour lists, and training sets held in memory.

Units: Å, e. Shapes: N atoms, S structures, E edges (ordered pairs within the cutoff). An edge goes
from its centre i to its neighbour j; ``r_ij = position_j + cell shift - position_i``. Edges are
sorted by centre.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import ase
import numpy as np
import pandas as pd
import torch
from torch import Tensor

from molsieve.chem.identities import atoms_from_row

PAIR_BLOCK = 4_000_000
"""Largest number of distances computed at once for molecules (32 MB in float64)."""


@dataclass(frozen=True)
class AtomsBatch:
    """Structures side by side.

    Attributes:
        numbers: (N,) int64 atomic numbers.
        positions: (N, 3) float64, Å.
        structure: (N,) int64, index of the structure, ascending.
        cell: (S, 3, 3) float64, Å, rows are lattice vectors; zero where not periodic.
        pbc: (S, 3) bool.
        charge: (S,) int64, e.
        multiplicity: (S,) int64, 2S+1.
    """

    numbers: Tensor
    positions: Tensor
    structure: Tensor
    cell: Tensor
    pbc: Tensor
    charge: Tensor
    multiplicity: Tensor

    @classmethod
    def from_atoms(cls, structures: Sequence[ase.Atoms]) -> AtomsBatch:
        """Charge and multiplicity from ``info["charge_e"]`` and ``info["multiplicity"]`` (0, 1)."""
        if not structures:
            raise ValueError("a batch needs at least one structure")
        sizes = [len(a) for a in structures]
        return cls(
            numbers=torch.from_numpy(np.concatenate([a.numbers for a in structures]).astype("i8")),
            positions=torch.from_numpy(np.concatenate([a.positions for a in structures])),
            structure=torch.repeat_interleave(torch.tensor(sizes)),
            cell=torch.from_numpy(np.stack([a.cell.array for a in structures])),
            pbc=torch.from_numpy(np.stack([a.pbc for a in structures])),
            charge=torch.tensor([int(a.info.get("charge_e", 0)) for a in structures]),
            multiplicity=torch.tensor([int(a.info.get("multiplicity", 1)) for a in structures]),
        )

    @classmethod
    def from_structures(cls, structures: pd.DataFrame) -> AtomsBatch:
        """From rows of the ``structures`` table, in their order."""
        return cls.from_atoms([atoms_from_row(row) for row in structures.to_dict("records")])

    @property
    def n_structures(self) -> int:
        """S."""
        return len(self.charge)

    @property
    def sizes(self) -> Tensor:
        """(S,) atoms a structure."""
        return torch.bincount(self.structure, minlength=self.n_structures)

    def with_positions(self, positions: Tensor) -> AtomsBatch:
        """The same structures elsewhere; ``positions`` (N, 3), Å."""
        return replace(self, positions=positions)

    def to(self, device: str | torch.device) -> AtomsBatch:
        """The batch on another device."""
        return AtomsBatch(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


@dataclass(frozen=True)
class Edges:
    """Ordered pairs within the cutoff, sorted by centre.

    Attributes:
        centre, neighbour: (E,) int64 atom indices i and j.
        shift: (E, 3) float64, Å, lattice translation of j; None when nothing is periodic.
    """

    centre: Tensor
    neighbour: Tensor
    shift: Tensor | None

    def vectors(self, positions: Tensor) -> Tensor:
        """``r_ij`` (E, 3), Å, in the precision of ``positions``."""
        vectors = positions.index_select(0, self.neighbour) - positions.index_select(0, self.centre)
        return vectors if self.shift is None else vectors + self.shift


def neighbour_list(batch: AtomsBatch, cutoff_angstrom: float) -> Edges:
    """All ordered pairs closer than the cutoff, periodic images included, none with itself."""
    positions = batch.positions.detach()
    if not bool(batch.pbc.any()):
        centre, neighbour = _molecular_pairs(positions, batch.sizes, cutoff_angstrom)
        return Edges(centre, neighbour, None)
    return _periodic_pairs(batch, positions, cutoff_angstrom)


def _molecular_pairs(positions: Tensor, sizes: Tensor, cutoff: float) -> tuple[Tensor, Tensor]:
    """Pairs from dense blocks of distances, several molecules at once, padded to the largest."""
    largest = int(sizes.max())
    starts = torch.cumsum(sizes, 0) - sizes
    slots = torch.arange(largest, device=sizes.device)
    step = max(1, PAIR_BLOCK // largest**2)
    centres, neighbours = [], []
    for first in range(0, len(sizes), step):
        size, start = sizes[first : first + step], starts[first : first + step]
        real = slots < size[:, None]
        atom = torch.where(real, start[:, None] + slots, 0)
        block = positions[atom]
        squared = (block[:, :, None] - block[:, None, :]).square().sum(-1)
        near = (squared < cutoff**2) & real[:, :, None] & real[:, None, :]
        near &= slots[:, None] != slots
        molecule, i, j = near.nonzero(as_tuple=True)
        centres.append(start[molecule] + i)
        neighbours.append(start[molecule] + j)
    return torch.cat(centres), torch.cat(neighbours)


def _periodic_pairs(batch: AtomsBatch, positions: Tensor, cutoff: float) -> Edges:
    """Pairs structure by structure with matscipy's linear-scaling cell list."""
    from matscipy.neighbours import neighbour_list as matscipy_pairs

    centres, neighbours, shifts = [], [], []
    start = 0
    for s, size in enumerate(batch.sizes.tolist()):
        cell, pbc = batch.cell[s].cpu().numpy(), batch.pbc[s].cpu().numpy()
        place = positions[start : start + size].cpu().numpy()
        i, j, images = matscipy_pairs(
            "ijS",
            positions=place,
            cell=_spanning_cell(cell, pbc, place, cutoff),
            pbc=pbc,
            cutoff=cutoff,
        )
        order = np.lexsort((j, i))
        centres.append(i[order].astype("i8") + start)
        neighbours.append(j[order].astype("i8") + start)
        shifts.append(images[order] @ cell)
        start += size
    device = positions.device
    return Edges(
        torch.from_numpy(np.concatenate(centres)).to(device),
        torch.from_numpy(np.concatenate(neighbours)).to(device),
        torch.from_numpy(np.concatenate(shifts)).to(positions),
    )


def _spanning_cell(
    cell: np.ndarray, pbc: np.ndarray, positions: np.ndarray, cutoff: float
) -> np.ndarray:
    """The cell with an orthogonal vector along each direction that is not periodic."""
    full = ase.geometry.complete_cell(np.where(pbc[:, None], cell, 0.0))
    extent = np.ptp(positions, axis=0).max() + 2 * cutoff
    return np.where(pbc[:, None], full, full * extent)


@dataclass(frozen=True)
class GraphBatch:
    """What the network reads, and labels where there are any.

    Attributes:
        numbers: (N,); structure: (N,); charge, multiplicity: (S,).
        centre, neighbour: (E,); vectors: (E, 3) float32, Å.
        energy_ev: (S,) float64, or None; forces_ev_per_angstrom: (N, 3) float32, or None.
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

    @property
    def n_structures(self) -> int:
        """S."""
        return len(self.charge)

    @classmethod
    def from_batch(cls, batch: AtomsBatch, edges: Edges) -> GraphBatch:
        """Differentiable in ``batch.positions``; vectors are taken in float64, then rounded."""
        return cls(
            numbers=batch.numbers,
            structure=batch.structure,
            charge=batch.charge,
            multiplicity=batch.multiplicity,
            centre=edges.centre,
            neighbour=edges.neighbour,
            vectors=edges.vectors(batch.positions).to(torch.get_default_dtype()),
        )


class GraphSet:
    """Labelled structures and their neighbour lists in memory; batches by index arithmetic."""

    def __init__(
        self,
        batch: AtomsBatch,
        cutoff_angstrom: float,
        energy_ev: Tensor,
        forces_ev_per_angstrom: Tensor,
    ):
        """Build the neighbour lists once.

        Args:
            energy_ev: (S,) float64.
            forces_ev_per_angstrom: (N, 3).
        """
        edges = neighbour_list(batch, cutoff_angstrom)
        self.data = replace(
            GraphBatch.from_batch(batch, edges),
            energy_ev=energy_ev.double(),
            forces_ev_per_angstrom=forces_ev_per_angstrom.to(torch.get_default_dtype()),
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
        by_id = labels.set_index("structure_id")
        missing = set(structures["structure_id"]) - set(by_id.index[by_id["status"] == "ok"])
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
        )

    def __len__(self) -> int:
        return len(self.sizes)

    def batch(self, indices: Tensor) -> GraphBatch:
        """The structures of ``indices`` (any order, repeats allowed) as one batch."""
        sizes, edge_counts = self.sizes[indices], self.edge_counts[indices]
        atoms, structure = _ranges(self.atom_start[indices], sizes)
        edges, edge_structure = _ranges(self.edge_start[indices], edge_counts)
        start = torch.cumsum(sizes, 0) - sizes
        move = (start - self.atom_start[indices]).index_select(0, edge_structure)
        data = self.data
        assert data.energy_ev is not None and data.forces_ev_per_angstrom is not None
        return GraphBatch(
            numbers=data.numbers.index_select(0, atoms),
            structure=structure,
            charge=data.charge[indices],
            multiplicity=data.multiplicity[indices],
            centre=data.centre.index_select(0, edges) + move,
            neighbour=data.neighbour.index_select(0, edges) + move,
            vectors=data.vectors.index_select(0, edges),
            energy_ev=data.energy_ev[indices],
            forces_ev_per_angstrom=data.forces_ev_per_angstrom.index_select(0, atoms),
        )


def _ranges(starts: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Concatenated ``arange(start, start + count)`` and, for each entry, which range it is of."""
    which = torch.repeat_interleave(counts)
    first = torch.cumsum(counts, 0) - counts
    inside = torch.arange(len(which), device=counts.device) - first.index_select(0, which)
    return starts.index_select(0, which) + inside, which
