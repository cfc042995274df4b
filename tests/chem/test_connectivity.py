"""Bonds of a geometry are the bonds of the graph it was made from."""

import pytest
from rdkit import Chem

from molsieve.chem.conformers import embed_conformers
from molsieve.chem.connectivity import bonds_of_geometry, describe_change


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
