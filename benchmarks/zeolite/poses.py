"""Docked poses of a Parquet file: atoms, which of them are framework, the guests one by one.

The columns are those of the published set (learningmatter-mit/Zeolite-Binding-Benchmark; D.
Schwalbe-Koda, R. Gómez-Bombarelli, J. Chem. Phys. 154, 174109 (2021)). Poses were docked into
frameworks that DFT had relaxed, so the framework of a CIF is the empty reference's minimum.
"""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ase
import numpy as np
import pandas as pd
from ase.neighborlist import natural_cutoffs, neighbor_list
from pymatgen.core import Structure
from rdkit import Chem, rdBase
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

RELAXED, FROZEN = "dft_relaxed_kj_per_mol_guest", "dft_frozen_kj_per_mol_guest"
DREIDING = "dreiding_frozen_kj_per_mol_guest"
SI_O_ANGSTROM = 2.2
HYDROGEN, OXYGEN, SILICON = 1, 8, 14
SAME_PLACE_ANGSTROM = 0.2
BOND_FACTORS = (1.12, 1.06, 1.0, 1.2, 1.3)
"""Of the sum of covalent radii: a bond's length, in the order in which they are tried. Some poses
bring guests as near to each other, or to their own images, as bonds are long."""


@dataclass(frozen=True)
class Pose:
    """One pose in its cell.

    Attributes:
        atoms: n atoms, periodic.
        framework: (n,) True for Si and the O bonded to two of it.
        guests: indices of each guest's atoms.
        images: (n, 3) cells by which an atom is moved so that guests are whole.
        bonds: (i, j, image (3)) of guests' bonds, both directions; the image is j's.
        charge_e: of each guest, by its SMILES.
    """

    atoms: ase.Atoms
    framework: np.ndarray
    guests: list[np.ndarray]
    images: np.ndarray
    bonds: list[tuple[int, int, tuple[int, int, int]]]
    charge_e: int = 0

    def guest(self, number: int, positions: np.ndarray | None = None) -> ase.Atoms:
        """One guest, whole and alone; ``positions`` (n, 3) Å of all atoms, default the pose's."""
        index = self.guests[number]
        places = self.atoms.positions if positions is None else positions
        whole = places[index] + self.images[index] @ self.atoms.cell.array
        return ase.Atoms(self.atoms.numbers[index], whole)


def read_table(path: Path) -> pd.DataFrame:
    """The poses of a Parquet file, one a row, numbered from 0.

    Columns that a name, a count or an energy is missing from are made: ``pose_id`` the row's
    number, ``framework`` and ``guest_smiles`` empty, ``guests_per_cell`` unknown.

    Raises:
        SystemExit: no such file, or no column ``cif``.
    """
    if not path.exists():
        raise SystemExit(f"{path}: no such file of poses; name one, or set MOLSIEVE_DATA")
    try:
        table = pd.read_parquet(path).reset_index(drop=True)
    except (OSError, ValueError) as error:
        raise SystemExit(f"{path}: not a Parquet file: {error}") from None
    if "cif" not in table:
        raise SystemExit(f"{path}: no column cif; there are: {', '.join(map(str, table))}")
    made: dict[str, Any] = {
        "pose_id": table.index,
        "framework": "",
        "guest_smiles": "",
        "guests_per_cell": np.nan,
    }
    for name in made.keys() - set(table):
        table[name] = made[name]
    for name in ("cif", "framework", "guest_smiles"):
        table[name] = table[name].fillna("").astype(str)
    for name in ("guests_per_cell", RELAXED, FROZEN, DREIDING):
        if name in table:
            table[name] = pd.to_numeric(table[name], errors="coerce")
    return table


def pose_of(row: pd.Series) -> Pose:
    """The pose of a row of :func:`read_table`.

    Raises:
        ValueError: see :func:`read_pose`.
    """
    return read_pose(row["cif"], row["guest_smiles"], row["guests_per_cell"])


def read_pose(cif: str, smiles: str = "", guests: float = np.nan) -> Pose:
    """The pose of a P1 CIF; see :func:`pose_of_atoms`.

    Raises:
        ValueError: the text is no CIF that pymatgen reads, or no pose.
    """
    return pose_of_atoms(_atoms(cif), smiles, guests)


def pose_of_atoms(atoms: ase.Atoms, smiles: str = "", guests: float = np.nan) -> Pose:
    """Tell the framework from the guests.

    Args:
        smiles: of the guest, ``guests``: how many a cell; where known, bonds are told from contacts
            by them.

    Raises:
        ValueError: no whole framework of silica, no guest, or two atoms in one place.
    """
    i, j = neighbor_list("ij", atoms, SAME_PLACE_ANGSTROM)
    if len(i):
        raise ValueError(f"atoms {i[0] + 1} and {j[0] + 1} are in one place")
    framework = _framework(atoms)
    if framework.all() or not framework.any():
        raise ValueError("a pose needs a framework of Si and O, and a guest")
    molecule = _molecule(smiles)
    tried = []
    for factor in BOND_FACTORS:
        tried.append(Pose(atoms, framework, *_guests(atoms, framework, factor)))
        if _as_said(tried[-1], molecule, guests):
            break
    else:
        tried = tried[:1]
    return replace(tried[-1], charge_e=_charge_e(tried[-1], molecule))


def _atoms(cif: str) -> ase.Atoms:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pymatgen: rounded coordinates
        try:
            structure = Structure.from_str(cif, fmt="cif")
            numbers = [site.specie.Z for site in structure]
        except Exception as error:  # pymatgen raises what its many readers happen to raise
            raise ValueError(f"not a CIF that pymatgen reads: {error!r}") from error
    return ase.Atoms(numbers, structure.cart_coords, cell=structure.lattice.matrix, pbc=True)


def _framework(atoms: ase.Atoms) -> np.ndarray:
    """(n,) True for Si with oxygens and for O between two Si.

    Raises:
        ValueError: a Si has other than four such oxygens.
    """
    i, j = neighbor_list("ij", atoms, {(SILICON, OXYGEN): SI_O_ANGSTROM})
    of_silicon = atoms.numbers[i] == SILICON
    on_oxygen = np.bincount(j[of_silicon], minlength=len(atoms))
    oxygen = (atoms.numbers == OXYGEN) & (on_oxygen >= 2)
    around = np.bincount(i[of_silicon & oxygen[j]], minlength=len(atoms))
    silicon = (atoms.numbers == SILICON) & (around > 0)
    wrong = np.flatnonzero(silicon & (around != 4))
    if len(wrong):
        raise ValueError(
            f"Si {wrong[0] + 1} has {around[wrong[0]]} oxygens of the framework, not 4"
        )
    return silicon | oxygen


def _molecule(smiles: str) -> Chem.Mol | None:
    """With hydrogens; None for what is no SMILES."""
    with rdBase.BlockLogs():
        found = Chem.MolFromSmiles(smiles) if smiles else None
    return None if found is None else Chem.AddHs(found)


def _as_said(pose: Pose, molecule: Chem.Mol | None, guests: float) -> bool:
    """As many guests as said, each of the molecule's formula and bonded to no image of itself."""
    if np.isfinite(guests) and len(pose.guests) != guests:
        return False
    if molecule is not None:
        formula = Counter(atom.GetAtomicNum() for atom in molecule.GetAtoms())
        if any(Counter(pose.atoms.numbers[index].tolist()) != formula for index in pose.guests):
            return False
    return all(
        tuple(image) == tuple((pose.images[j] - pose.images[i]).astype(int))
        for i, j, image in pose.bonds
    )


def _charge_e(pose: Pose, molecule: Chem.Mol | None) -> int:
    """The molecule's formal charge; without one, a cation's if the electrons are odd in number."""
    if molecule is not None:
        return Chem.GetFormalCharge(molecule)
    return int(pose.atoms.numbers[pose.guests[0]].sum() % 2)


def _guests(atoms: ase.Atoms, framework: np.ndarray, factor: float) -> tuple:
    """Guests, images and bonds as :class:`Pose` has them."""
    index = np.flatnonzero(~framework)
    part = atoms[index]
    i, j, image = _bonds(part, factor)
    graph = coo_matrix((np.ones(len(i)), (i, j)), shape=(len(part), len(part)))
    _, label = connected_components(graph, directed=False)
    images = np.zeros((len(atoms), 3))
    for number in range(label.max() + 1):
        _make_whole(int(np.flatnonzero(label == number)[0]), i, j, image, index, images)
    bonds = [(int(index[a]), int(index[b]), tuple(s)) for a, b, s in zip(i, j, image, strict=True)]
    return [index[label == k] for k in range(label.max() + 1)], images, bonds


def _bonds(part: ase.Atoms, factor: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both directions of each, the image the second's; a hydrogen has its nearest atom only."""
    i, j, image, length = neighbor_list("ijSd", part, natural_cutoffs(part, mult=factor))
    nearest = np.full(len(part), np.inf)
    np.minimum.at(nearest, i, length)
    nearest[part.numbers != HYDROGEN] = np.inf
    kept = (length <= nearest[i] + 1e-9) & (length <= nearest[j] + 1e-9)
    return i[kept], j[kept], image[kept]


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
