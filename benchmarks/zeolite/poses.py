"""Docked poses of a Parquet file: atoms, which of them are framework, the guests one by one.

The columns are those of the published set (learningmatter-mit/Zeolite-Binding-Benchmark; D.
Schwalbe-Koda, R. Gómez-Bombarelli, J. Chem. Phys. 154, 174109 (2021)). Poses were docked into
frameworks that DFT had relaxed, so the framework of a CIF is the empty reference's minimum.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import ase
import numpy as np
import pandas as pd
from ase.neighborlist import natural_cutoffs, neighbor_list
from pymatgen.core import Structure
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

NEEDED = ("pose_id", "framework", "guest_smiles", "guests_per_cell", "cif")
RELAXED, FROZEN = "dft_relaxed_kj_per_mol_guest", "dft_frozen_kj_per_mol_guest"
DREIDING = "dreiding_frozen_kj_per_mol_guest"
SI_O_ANGSTROM = 2.2


@dataclass(frozen=True)
class Pose:
    """One pose in its cell.

    Attributes:
        atoms: n atoms, periodic.
        framework: (n,) True for Si and the O bonded to it.
        guests: indices of each guest's atoms.
        images: (n, 3) cells by which an atom is moved so that guests are whole.
        bonds: (i, j, image (3)) of guests' bonds, both directions; the image is j's.
    """

    atoms: ase.Atoms
    framework: np.ndarray
    guests: list[np.ndarray]
    images: np.ndarray
    bonds: list[tuple[int, int, tuple[int, int, int]]]

    def guest(self, number: int, positions: np.ndarray | None = None) -> ase.Atoms:
        """One guest, whole and alone; ``positions`` (n, 3) Å of all atoms, default the pose's."""
        index = self.guests[number]
        places = self.atoms.positions if positions is None else positions
        whole = places[index] + self.images[index] @ self.atoms.cell.array
        return ase.Atoms(self.atoms.numbers[index], whole)


def read_table(path: Path) -> pd.DataFrame:
    """The poses of a Parquet file, one a row.

    Raises:
        SystemExit: no such file, or columns missing.
    """
    if not path.exists():
        raise SystemExit(f"{path}: no such file of poses; name one, or set MOLSIEVE_DATA")
    table = pd.read_parquet(path)
    missing = [name for name in NEEDED if name not in table]
    if missing:
        raise SystemExit(f"{path}: columns missing: {', '.join(missing)}")
    return table.reset_index(drop=True)


def read_pose(cif: str) -> Pose:
    """Tell the framework from the guests of a P1 CIF.

    Raises:
        ValueError: the text is no CIF, or holds no framework or no guest.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pymatgen: rounded coordinates
        structure = Structure.from_str(cif, fmt="cif")
    numbers = [site.specie.Z for site in structure]
    atoms = ase.Atoms(numbers, structure.cart_coords, cell=structure.lattice.matrix, pbc=True)
    framework = _framework(atoms)
    if framework.all() or not framework.any():
        raise ValueError("a pose needs a framework of Si and O, and a guest")
    guests, images, bonds = _guests(atoms, framework)
    return Pose(atoms, framework, guests, images, bonds)


def _framework(atoms: ase.Atoms) -> np.ndarray:
    """(n,) True for Si and for O within 2.2 Å of it."""
    i, j = neighbor_list("ij", atoms, {(14, 8): SI_O_ANGSTROM})
    found = atoms.numbers == 14
    found[j[(atoms.numbers[i] == 14) & (atoms.numbers[j] == 8)]] = True
    return found


def _guests(atoms: ase.Atoms, framework: np.ndarray) -> tuple:
    """Guests, images and bonds as :class:`Pose` has them."""
    index = np.flatnonzero(~framework)
    part = atoms[index]
    i, j, image = neighbor_list("ijS", part, natural_cutoffs(part, mult=1.12))
    graph = coo_matrix((np.ones(len(i)), (i, j)), shape=(len(part), len(part)))
    _, label = connected_components(graph, directed=False)
    images = np.zeros((len(atoms), 3))
    for number in range(label.max() + 1):
        _make_whole(int(np.flatnonzero(label == number)[0]), i, j, image, index, images)
    bonds = [(int(index[a]), int(index[b]), tuple(s)) for a, b, s in zip(i, j, image, strict=True)]
    return [index[label == k] for k in range(label.max() + 1)], images, bonds


def _make_whole(
    first: int, i: np.ndarray, j: np.ndarray, image: np.ndarray, index: np.ndarray, out: np.ndarray
) -> None:
    """Walk the bonds from ``first`` and note in ``out`` the cell each atom belongs in."""
    seen, front = {first}, [first]
    while front:
        here = front.pop()
        for bond in np.flatnonzero(i == here):
            there = int(j[bond])
            if there not in seen:
                out[index[there]] = out[index[here]] + image[bond]
                seen.add(there)
                front.append(there)
