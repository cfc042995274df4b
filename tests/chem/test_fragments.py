"""Fragments: what is read from a file, how they are filled, what is refused."""

import pytest

from molsieve.chem import enumeration, fragments
from molsieve.chem.fragments import FragmentError, parse_fragment

CARBAZOLE = "*n1c2ccc([*:1])cc2c2cc([*:2])ccc21"


def texts(*smiles):
    return [enumeration.substituent_text(entry) for entry in smiles]


def test_a_file_is_read_with_joints_and_sites_counted(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(
        f"name,kind,smiles,note\ncarbazole,donor,{CARBAZOLE},x\nphenylene,bridge,*c1ccc(*)cc1,\n"
    )
    donor, bridge = fragments.read_fragments(path)
    assert (donor.name, donor.joints, donor.sites) == ("carbazole", 1, 2)
    assert (bridge.kind, bridge.joints, bridge.sites) == ("bridge", 2, 0)


def test_a_symmetric_fragment_has_each_form_once():
    carbazole = parse_fragment("donor", "carbazole", CARBAZOLE)
    made = list(fragments.forms(carbazole, texts("*C", "*F"), 2))
    # none; methyl, fluorine on either side; both methyl, both fluorine, one of each
    assert len(made) == len(set(made)) == 1 + 2 + 3
    assert made[0] == "*n1c2ccccc2c2ccccc21"
    assert list(fragments.forms(carbazole, texts("*C"), 0)) == made[:1]


def test_joints_are_told_from_free_sites():
    fragment = parse_fragment("bridge", "phenylene", "*c1c([*:1])c([*:2])c(*)c([*:3])c1[*:4]")
    assert len(list(fragments.forms(fragment, texts("*C"), 1))) == 2
    # 2,3- 2,5- and 2,6-dimethyl; the para positions are joints
    assert len(list(fragments.forms(fragment, texts("*C"), 2))) == 2 + 3


@pytest.mark.parametrize(
    ("kind", "name", "smiles", "said"),
    [
        ("doner", "x", "*C", "kind 'doner' given; allowed: donor, bridge, acceptor"),
        ("donor", "", "*C", "no name"),
        ("donor", "x", "*c1cccc", "cannot read"),
        ("donor", "x", "CC", r"no '\*'"),
        ("donor", "x", "*=C", "exactly one bond"),
        ("bridge", "x", "*C", r"a bridge has two '\*', this one 1"),
        ("donor", "x", "*C([*:1])[*:1]", r"\[\*:1\] occurs twice"),
        ("donor", "x", "*C.C", "several molecules"),
    ],
)
def test_what_is_no_fragment_is_refused_with_the_reason(tmp_path, kind, name, smiles, said):
    with pytest.raises(ValueError, match=said):
        parse_fragment(kind, name, smiles)
    path = tmp_path / "mine.csv"
    path.write_text(f"kind,name,smiles\ndonor,good,*C\n{kind},{name},{smiles}\n")
    with pytest.raises(FragmentError, match=r"mine\.csv, line 3: .*"):
        fragments.read_fragments(path)


def test_files_that_cannot_be_used_are_named(tmp_path):
    with pytest.raises(FragmentError, match="no such file"):
        fragments.read_fragments(tmp_path / "nowhere.csv")
    path = tmp_path / "mine.csv"
    path.write_text("kind,smiles\ndonor,*C\n")
    with pytest.raises(FragmentError, match="no column 'name'; columns found: kind, smiles"):
        fragments.read_fragments(path)
    path.write_text("kind,name,smiles\ndonor,a,*C\ndonor,a,*N\n")
    with pytest.raises(FragmentError, match=r"line 3.*there twice"):
        fragments.read_fragments(path)
