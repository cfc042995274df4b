"""Geometries of QUEST's molecules: found in a folder of xyz files, or made here."""

from __future__ import annotations

import difflib
from pathlib import Path

import ase
import ase.io
import numpy as np
from ase.data import covalent_radii
from ase.units import Bohr
from rdkit import Chem
from rdkit.Chem import AllChem
from rdkit.Chem.rdMolDescriptors import CalcMolFormula

from molsieve.engines import compute_label
from molsieve.levels import parse_level

BOND_STRETCH = 1.4
"""Nearest neighbours further apart than this times their radii: the numbers are bohr, not Å."""


def geometry_file(name: str, smiles: str, folder: Path) -> Path | None:
    """The file of ``name`` in ``folder``: by name, else the likest name of the same formula.

    QUEST numbers geometries of one molecule (``_1`` is the ground state) and spells some otherwise;
    what a name says beyond the molecule (``_twisted``) must stand in the file's comment.
    """
    if (folder / f"{name}.xyz").exists():
        return folder / f"{name}.xyz"
    stem, _, said = name.partition("_")
    formula = CalcMolFormula(Chem.MolFromSmiles(smiles))
    likest: list[tuple[float, str, Path]] = []
    for path in sorted(folder.glob("*.xyz")):
        lines = path.read_text().splitlines()
        likeness = difflib.SequenceMatcher(None, stem.lower(), path.stem.split("_")[0].lower())
        if likeness.ratio() < 0.85 or formula_of(lines) != formula:
            continue
        if said.lower() in lines[1].lower():
            likest.append((-likeness.ratio(), path.stem, path))
    return min(likest)[2] if likest else None


def formula_of(lines: list[str]) -> str:
    """Hill formula of the atoms of an xyz file, as RDKit writes it."""
    symbols = [line.split()[0] for line in lines[2 : 2 + int(lines[0])]]
    return str(ase.Atoms(symbols).get_chemical_formula("hill"))


def read_geometry(path: Path) -> ase.Atoms:
    """Atoms in Å of an xyz file in Å or bohr."""
    atoms = ase.io.read(path)
    radii = covalent_radii[atoms.numbers]
    stretch = atoms.get_all_distances() / (radii[:, None] + radii)
    np.fill_diagonal(stretch, np.inf)
    if np.median(stretch.min(axis=1)) > BOND_STRETCH:
        atoms.positions *= Bohr
    return atoms


def atoms_of(smiles: str) -> int:
    """Number of atoms, hydrogens included."""
    return int(Chem.AddHs(Chem.MolFromSmiles(smiles)).GetNumAtoms())


def own_geometry(smiles: str) -> ase.Atoms:
    """A minimum at PBE0/def2-SVP, from GFN2-xTB's."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    AllChem.MMFFOptimizeMolecule(mol)
    atoms = ase.Atoms(
        [atom.GetSymbol() for atom in mol.GetAtoms()], mol.GetConformer().GetPositions()
    )
    for settings in (
        {"engine": "tblite"},
        {"engine": "pyscf", "functional": "PBE0", "basis": "def2-SVP", "grid_level": 1},
    ):
        loose = {"geometry": "optimised", "fmax_ev_per_angstrom": 0.05}  # 0.1 pm
        label = compute_label(atoms, parse_level({**settings, **loose}))
        atoms.positions[:] = label.final_positions_angstrom
    return atoms
