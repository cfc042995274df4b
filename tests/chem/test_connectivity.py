"""Bonds of a geometry are the bonds of the graph it was made from."""

import ase
import pytest
from rdkit import Chem

from molsieve.chem.conformers import embed_conformers
from molsieve.chem.connectivity import bonds_of_atoms, bonds_of_geometry, describe_change


@pytest.mark.parametrize(
    "smiles",
    [
        "O=C1C=C(S(=O)(=O)O)C(Br)=C(O)C1=O",
        "O=C1c2c(O)cccc2C(=O)c2c(O)cccc21",  # strong internal hydrogen bonds
        "FC(F)(F)C1CC1C#N",
        "C1CC2CC1C2",  # a bicycle with short diagonals
        "CP(=O)(O)O",
        "CSSC",
        "IC1=CC(=O)C=CC1=O",
    ],
)
def test_bonds_are_found_from_distances(smiles):
    found = embed_conformers(Chem.MolFromSmiles(smiles), 1, 1)
    atoms = found.atoms(0)
    assert bonds_of_geometry(atoms.numbers, atoms.positions) == found.bonds()


def test_a_moved_atom_is_reported():
    found = embed_conformers(Chem.MolFromSmiles("CO"), 1, 1)
    atoms = found.atoms(0)
    hydrogen = next(j for i, j in found.bonds() if atoms.symbols[i] == "O" and j > 1)
    atoms.positions[hydrogen] += 5.0
    seen = bonds_of_geometry(atoms.numbers, atoms.positions)
    change = describe_change(found.bonds(), seen, atoms.get_chemical_symbols())
    assert change == f"O1-H{hydrogen} broken"
    assert describe_change(seen, seen, atoms.get_chemical_symbols()) is None
    assert describe_change(seen, found.bonds(), atoms.get_chemical_symbols()).endswith("formed")


def test_bonds_of_a_cell_cross_its_walls():
    water = ase.Atoms("OH2", [[0.1, 5, 5], [-0.86, 5, 5], [0.3, 5.94, 5]])
    plain = bonds_of_atoms(water)
    assert plain == {(0, 1), (0, 2)}
    water.set_cell([10, 10, 10])
    water.pbc = True
    water.wrap()
    assert water.positions[1, 0] > 9, "one hydrogen is at the other wall"
    assert bonds_of_atoms(water) == plain
    water.pbc = False
    assert bonds_of_atoms(water) == {(0, 2)}
