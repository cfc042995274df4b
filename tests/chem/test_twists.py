"""Twists about the bonds between conjugated parts: which bonds, which wells, which minima."""

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdMolTransforms

from molsieve.chem import conformers, twists

HALF, QUARTERS = (45.0, -45.0), (45.0, -45.0, 135.0, -135.0)


def molecule(smiles):
    return Chem.AddHs(Chem.MolFromSmiles(smiles))


@pytest.mark.parametrize(
    ("smiles", "wells"),
    [
        ("c1ccc(-c2ccccc2)cc1", [HALF]),
        ("c1ccc(-n2c3ccccc3c3ccccc32)cc1", [HALF]),
        ("c1ccc2c(c1)c1cc(F)ccc1n2-c1cccc(F)c1", [QUARTERS]),
        ("N/C=C/C=O", [QUARTERS]),  # the amine, as the formyl's hydrogen, turns nothing
        ("COc1ccccc1", []),  # a methoxy group's turn is not one of fragments
        ("CCCC", []),
        ("O=S(=O)(c1ccccc1)c1ccccc1", []),
        ("c1ccc(B(c2ccccc2)c2ccccc2)cc1", [HALF, HALF, HALF]),
    ],
)
def test_bonds_that_turn_and_their_wells(smiles, wells):
    assert [twist.starts_degrees for twist in twists.twists(molecule(smiles))] == wells


def test_the_most_central_bond_comes_first():
    whole = molecule("c1ccc(-c2ccc(-n3c4ccccc4c4ccccc43)cc2)cc1")
    first, second = twists.twists(whole)
    ends = [{whole.GetAtomWithIdx(i).GetSymbol() for i in t.atoms[1:3]} for t in (first, second)]
    assert ends == [{"C", "N"}, {"C"}], "carbazole from biphenyl, then phenyl from the rest"


def test_starts_are_every_combination_of_one_hand():
    one = twists.Twist((0, 1, 2, 3), HALF)
    four = twists.Twist((0, 1, 2, 3), QUARTERS)
    assert twists.starts([], 8, 1) == []
    assert twists.starts([one], 0, 1) == []
    assert twists.starts([one], 8, 1) == [(45.0,)]
    assert twists.starts([four], 8, 1) == [(45.0,), (135.0,)]
    every = twists.starts([one, four], 8, 1)
    assert len(set(every)) == len(every) == 4
    mirrored = {tuple(-angle for angle in angles) for angles in every}
    assert not mirrored & set(every), "a start and its mirror image give one minimum"


def test_of_too_many_combinations_distinct_ones_are_drawn_by_the_seed():
    bonds = [twists.Twist((0, 1, 2, 3), QUARTERS)] * 4
    drawn = twists.starts(bonds, 10, 7)
    assert len(set(drawn)) == 10
    assert drawn == twists.starts(bonds, 10, 7) != twists.starts(bonds, 10, 8)


def test_a_missed_rotamer_is_found_from_one_conformer():
    """Acrolein is s-cis or s-trans; of one ETKDG conformer the other follows."""
    one = conformers.embed_conformers(Chem.MolFromSmiles("C=CC=O"), 1, 1)
    found = twists.with_twists(one, 8, 1)
    ranks = twists.distinct_ranks(found, 8)
    assert len(one.order) == 1
    angles = {_dihedral(found, rank) for rank in ranks}
    assert angles == {0, 180}
    assert found.energies_ev == sorted(found.energies_ev)


def test_mirror_images_and_equal_atoms_reordered_are_one_minimum():
    found = conformers.embed_conformers(Chem.MolFromSmiles("c1ccc(-c2ccccc2)cc1"), 6, 1)
    assert twists.distinct_ranks(found, 6) == [0]
    assert twists.distinct_ranks(found, 0) == []


def test_a_molecule_without_such_a_bond_stays_as_it_is():
    found = conformers.embed_conformers(Chem.MolFromSmiles("c1ccccc1"), 2, 1)
    assert twists.with_twists(found, 8, 1) is found


def _dihedral(found, rank):
    conformer = found.molecule.GetConformer(found.order[rank])
    return int(np.round(abs(rdMolTransforms.GetDihedralDeg(conformer, 0, 1, 2, 3))))
