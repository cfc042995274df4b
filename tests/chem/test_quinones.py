"""The two-electron, two-proton reduction for every isomer."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem, rdBase
from rdkit.Chem import AllChem

from molsieve.chem.molecules import canonical_smiles
from molsieve.chem.quinones import NotAQuinone, is_quinone, reduce_quinone

COUPLES = {
    "1,4-benzoquinone": ("O=C1C=CC(=O)C=C1", "Oc1ccc(O)cc1"),
    "1,2-benzoquinone": ("O=C1C=CC=CC1=O", "Oc1ccccc1O"),
    "1,4-naphthoquinone": ("O=C1C=CC(=O)c2ccccc21", "Oc1ccc(O)c2ccccc12"),
    "1,2-naphthoquinone": ("O=C1C=Cc2ccccc2C1=O", "Oc1ccc2ccccc2c1O"),
    "2,6-naphthoquinone": ("O=C1C=CC2=CC(=O)C=CC2=C1", "Oc1ccc2cc(O)ccc2c1"),
    "9,10-anthraquinone": ("O=C1c2ccccc2C(=O)c2ccccc21", "Oc1c2ccccc2c(O)c2ccccc12"),
    "1,4-anthraquinone": ("O=C1C=CC(=O)c2cc3ccccc3cc21", "Oc1ccc(O)c2cc3ccccc3cc12"),
    "1,2-anthraquinone": ("O=C1C=Cc2cc3ccccc3cc2C1=O", "Oc1ccc2cc3ccccc3cc2c1O"),
    "9,10-phenanthrenequinone": ("O=C1C(=O)c2ccccc2-c2ccccc21", "Oc1c(O)c2ccccc2c2ccccc12"),
    "4,4'-diphenoquinone": ("O=C1C=CC(=C2C=CC(=O)C=C2)C=C1", "Oc1ccc(-c2ccc(O)cc2)cc1"),
    "stilbenequinone": ("O=C1C=CC(=CC=C2C=CC(=O)C=C2)C=C1", "Oc1ccc(C=Cc2ccc(O)cc2)cc1"),
    "ester": ("COC(=O)C1=CC(=O)C=CC1=O", "COC(=O)c1cc(O)ccc1O"),
    "acid": ("OC(=O)C1=CC(=O)C=CC1=O", "OC(=O)c1cc(O)ccc1O"),
    "amide": ("NC(=O)C1=CC(=O)C=CC1=O", "NC(=O)c1cc(O)ccc1O"),
    "aldehyde": ("O=CC1=CC(=O)C=CC1=O", "O=Cc1cc(O)ccc1O"),
    "phthalimide beside it": (
        "O=C1C=CC(=O)c2cc3c(cc21)C(=O)NC3=O",
        "Oc1ccc(O)c2cc3c(cc12)C(=O)NC3=O",
    ),
}
NOT_QUINONES = [
    "c1ccccc1O",
    "O=C1CCC(=O)CC1",  # cyclohexanedione: nothing conjugated
    "O=C1C=CC(=O)N1",  # maleimide
    "O=C1C=CC(=O)O1",  # maleic anhydride
    "O=C1CC(=O)c2ccccc21",  # indanedione
    "O=C1C=CC=C(C1)C=O",
    "CC(=O)C=CC(C)=O",  # open chain
    "O=C1C=C2CC1=CC2=O",  # bridged across one carbon: its diol is not aromatic
    "O=c1ccc(=O)c(=O)c1=O",  # a tetraone: reduced once, it is a quinone still
    "O=C1C=CC1=O",  # cyclobutenedione: the diol would be antiaromatic
]
# An independent implementation: reaction SMARTS, one pattern for ortho and one for para.
REACTIONS = [
    "[C:1]1(=[O:2])[#6:3]=,:[#6:4][C:5](=[O:6])[#6:7]=,:[#6:8]1>>"
    "[c:1]1([OH:2])[c:3][c:4][c:5]([OH:6])[c:7][c:8]1",
    "[C:1]1(=[O:2])[C:3](=[O:4])[#6:5]=,:[#6:6][#6:7]=,:[#6:8]1>>"
    "[c:1]1([OH:2])[c:3]([OH:4])[c:5][c:6][c:7][c:8]1",
]


@pytest.mark.parametrize("name", list(COUPLES))
def test_every_isomer_becomes_its_diol(name):
    quinone, diol = COUPLES[name]
    reduced = reduce_quinone(Chem.MolFromSmiles(quinone))
    assert Chem.MolToSmiles(reduced) == canonical_smiles(diol)


@pytest.mark.parametrize("smiles", NOT_QUINONES)
def test_what_is_no_quinone_is_refused(smiles):
    molecule = Chem.MolFromSmiles(smiles)
    assert not is_quinone(molecule)
    with pytest.raises(NotAQuinone):
        reduce_quinone(molecule)


def _formula(molecule: Chem.Mol) -> Counter:
    return Counter(atom.GetSymbol() for atom in Chem.AddHs(molecule).GetAtoms())


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([quinone for quinone, _ in COUPLES.values()]),
    st.sampled_from(["C", "OC", "F", "C(=O)O", "S(=O)(=O)O", "N(C)C", "c1ccccc1", "C(C)=O"]),
    st.integers(0, 2**31 - 1),
)
def test_the_product_is_the_quinone_plus_two_hydrogens(smiles, substituent, seed):
    molecule = Chem.RWMol(Chem.MolFromSmiles(smiles))
    sites = [a.GetIdx() for a in molecule.GetAtoms() if a.GetSymbol() == "C" and a.GetTotalNumHs()]
    fragment = Chem.MolFromSmiles(substituent)
    first = molecule.GetNumAtoms()
    molecule.InsertMol(fragment)
    molecule.AddBond(sites[seed % len(sites)], first, Chem.BondType.SINGLE)
    Chem.SanitizeMol(molecule)
    reduced = reduce_quinone(molecule.GetMol())
    assert is_quinone(molecule.GetMol())
    assert _formula(reduced) - _formula(molecule) == Counter(H=2)
    assert _formula(molecule) - _formula(reduced) == Counter()
    assert Chem.GetFormalCharge(reduced) == Chem.GetFormalCharge(molecule)
    # Written in another order, it is the same couple.
    (shuffled,) = Chem.MolToRandomSmilesVect(molecule.GetMol(), 1, randomSeed=seed)
    again = reduce_quinone(Chem.MolFromSmiles(shuffled))
    assert Chem.MolToSmiles(again) == Chem.MolToSmiles(reduced)


@pytest.mark.parametrize("name", [n for n in COUPLES if n[0] in "19" and n[-1] == "e"])
def test_agrees_with_reaction_smarts_for_ortho_and_para(name):
    molecule = Chem.MolFromSmiles(COUPLES[name][0])
    products = set()
    for smarts in REACTIONS:
        for (product,) in AllChem.ReactionFromSmarts(smarts).RunReactants((molecule,)):
            products.add(canonical_smiles(Chem.MolToSmiles(product)))
    assert products == {Chem.MolToSmiles(reduce_quinone(molecule))}


FRAGMENTS = ["C(=O)", "C(=O)", "C=C", "C=C", "C1", "C=C1", "=C", "=CC2", "C2=C", "c2ccccc21", "C2"]


def test_to_be_a_quinone_is_to_be_reducible():
    """The quick test and the reaction agree on whatever random text happens to be a molecule."""
    rng, seen = random.Random(1), set()
    with rdBase.BlockLogs():
        for _ in range(8000):
            text = "O=C1" + "".join(rng.choice(FRAGMENTS) for _ in range(rng.randint(1, 9)))
            molecule = Chem.MolFromSmiles(text)
            if molecule is None:
                continue
            try:
                reduce_quinone(molecule)
                reducible = True
            except NotAQuinone:
                reducible = False
            assert is_quinone(molecule) == reducible, text
            seen.add(reducible)
    assert seen == {True, False}


def test_of_two_pairs_the_one_that_leaves_more_aromatic_atoms_is_reduced():
    # Anthracene-1,4,9,10-tetrone: the outer pair gives quinizarin (12 aromatic atoms), the middle
    # one 9,10-dihydroxy-1,4-anthraquinone (10).
    reduced = reduce_quinone(Chem.MolFromSmiles("O=C1C=CC(=O)C2=C1C(=O)c1ccccc1C2=O"))
    assert Chem.MolToSmiles(reduced) == canonical_smiles("O=C1c2ccccc2C(=O)c2c(O)ccc(O)c21")
