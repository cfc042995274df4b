"""One canonical identity a molecule."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from molsieve.chem.molecules import MoleculeError, canonical_smiles

MOLECULES = ["O=C1C=CC(=O)c2ccccc21", "C[C@H](O)C(F)Cl", "OS(=O)(=O)c1ccc(C#N)cc1", "F/C=C/F"]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(MOLECULES), st.integers(0, 2**31 - 1))
def test_the_order_of_writing_does_not_matter(smiles, seed):
    molecule = Chem.MolFromSmiles(smiles)
    (shuffled,) = Chem.MolToRandomSmilesVect(molecule, 1, randomSeed=seed)
    assert canonical_smiles(shuffled) == canonical_smiles(smiles)


@pytest.mark.parametrize(
    ("labelled", "plain"),
    [("[2H]OC", "CO"), ("[13CH3]O", "CO"), ("[CH3:7]O", "CO"), ("C[C@H]([2H])O", "CCO")],
)
def test_isotopes_and_atom_maps_are_dropped(labelled, plain):
    assert canonical_smiles(labelled) == canonical_smiles(plain)


def test_stereochemistry_and_tautomers_count():
    assert canonical_smiles("C[C@H](O)F") != canonical_smiles("C[C@@H](O)F")
    assert canonical_smiles("O=C1C=C(O)C(=O)c2ccccc21") != canonical_smiles(
        "O=C1C(=O)C=C(O)c2ccccc21"
    )


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "unparsable"),
        ("C1CC", "unparsable"),
        ("C(C)(C)(C)(C)C", "unparsable"),
        ("*C", "unparsable"),
        ("CC.O", "fragments"),
        ("[CH3]", "open_shell"),
    ],
)
def test_what_is_no_molecule_says_why(text, kind):
    with pytest.raises(MoleculeError) as caught:
        canonical_smiles(text)
    assert caught.value.kind == kind
