"""Products against brute force over every assignment."""

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from molsieve.chem import enumeration

SCAFFOLDS = [
    "O=C1C([*:1])=C([*:2])C(=O)C([*:3])=C1[*:4]",
    "[*:2]C1=C([*:1])C(=O)c2c([*:3])cccc2C1=O",
    "O=C1C([*:1])=CC(=O)C=C1",
    "O=C1C=CC(=O)C=C1",
    "Cn1cc([*:3])c([*:1])c1",
    "C[C@]([*:1])([*:2])c1ccn([*:3])c1",
    "F/C([*:1])=C([*:2])/F",
]
# All its free sites are attachment points, so its symmetry alone removes every duplicate; where
# only some are, what the bare scaffold's symmetry makes equal is left to canonical identity.
SYMMETRIC = SCAFFOLDS[0]
SUBSTITUENTS = ["*C", "*OC", "*c1ccccc1", "*C1CC1", "*[C@H](F)Cl", "*Cl"]


def brute_force(scaffold: str, substituents: list[str], max_substitutions: int) -> set[str]:
    """Every assignment, joined bond by bond as molecules."""
    numbers = sorted(int(n) for n in re.findall(r"\[\*:(\d+)\]", scaffold))
    found = set()
    for choice in itertools.product([None, *substituents], repeat=len(numbers)):
        if sum(entry is not None for entry in choice) > max_substitutions:
            continue
        parts = [scaffold]
        for number, entry in zip(numbers, choice, strict=True):
            parts.append((entry or "*[H]").replace("*", f"[*:{number}]", 1))
        joined = Chem.molzip(Chem.MolFromSmiles(".".join(parts), _keep_hydrogens()))
        found.add(Chem.MolToSmiles(Chem.MolFromSmiles(Chem.MolToSmiles(Chem.RemoveHs(joined)))))
    return found


def _keep_hydrogens() -> Chem.SmilesParserParams:
    parameters = Chem.SmilesParserParams()
    parameters.removeHs = False
    return parameters


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(SCAFFOLDS),
    st.lists(st.sampled_from(SUBSTITUENTS), min_size=1, max_size=3, unique=True),
    st.integers(0, 4),
)
def test_every_product_once_and_no_other(scaffold, substituents, max_substitutions):
    template = enumeration.scaffold_template(scaffold)
    texts = [enumeration.substituent_text(entry) for entry in substituents]
    made = list(enumeration.products(template, texts, max_substitutions))
    canonical = [Chem.MolToSmiles(Chem.MolFromSmiles(text)) for text in made]
    assert set(canonical) == brute_force(scaffold, substituents, max_substitutions)
    assert len(made) == enumeration.count_products(template, len(texts), max_substitutions)
    if scaffold == SYMMETRIC:
        assert len(canonical) == len(set(canonical))


def test_fewest_substitutions_come_first():
    template = enumeration.scaffold_template(SCAFFOLDS[0])
    made = list(enumeration.products(template, ["F"], 4))
    assert [text.count("F") for text in made] == sorted(text.count("F") for text in made)


def test_ring_labels_of_substituents_do_not_meet_the_scaffolds():
    template = enumeration.scaffold_template("O=C1C([*:1])=CC(=O)c2ccccc12")
    text = enumeration.substituent_text("*C1CC2CCC1C2")
    *_, product = enumeration.products(template, [text], 1)
    assert Chem.MolFromSmiles(product).GetRingInfo().NumRings() == 4


@pytest.mark.parametrize(
    ("scaffold", "said"),
    [
        ("O=C1C(*)=CC(=O)C=C1", "no number"),
        ("O=C1C([*:1])=C([*:1])C(=O)C=C1", "twice"),
        ("O=C1C(=[*:1])CC(=O)C=C1", "single"),
        ("O=C1C([*:1]C)=CC(=O)C=C1", "exactly one bond"),
        ("O=C1C=CC(=O", "cannot read"),
        ("C.[*:1]C", "several molecules"),
        ("[*:1][*:2]", "no atom"),
    ],
)
def test_scaffolds_that_make_no_sense(scaffold, said):
    with pytest.raises(ValueError, match=said):
        enumeration.scaffold_template(scaffold)


@pytest.mark.parametrize(
    ("substituent", "said"),
    [("OC", "0 '\\*'"), ("*C*", "2 '\\*'"), ("*=O", "single"), ("*C(", "cannot"), ("*", "no atom")],
)
def test_substituents_that_make_no_sense(substituent, said):
    with pytest.raises(ValueError, match=said):
        enumeration.substituent_text(substituent)
