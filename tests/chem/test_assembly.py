"""Cores with arms against brute force over every assignment, joined bond by bond."""

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from molsieve.chem import assembly

CORES = [
    "*c1ccc(*)cc1",
    "*c1ccc(*)nc1",
    "*/C=C/*",
    "*/C=C/c1ccc(*)o1",
    "*C1=C(*)C(=O)C=CC1=O",
    "*c1nc(*)nc(*)n1",
    "*c1c(*)c(C#N)c(*)c(C#N)c1*",
]
ARMS = ["*C", "*N(C)C", "*n1c2ccccc2c2ccccc21", "*/C=C/C#N", "*/C=C\\F", "*c1ccc(C2CC2)cc1"]


def canonical(smiles: str) -> str:
    molecule = Chem.MolFromSmiles(smiles)
    assert molecule is not None, smiles
    return Chem.MolToSmiles(molecule)


def joined(core: str, arms: tuple[str, ...]) -> str:
    """The arms bound to the core's joints in order, by RDKit's own molzip."""
    labels = itertools.count(1)
    parts = [re.sub(r"\*", lambda _: f"[*:{next(labels)}]", core)]
    parts += [entry.replace("*", f"[*:{n}]") for n, entry in enumerate(arms, start=1)]
    return canonical(Chem.MolToSmiles(Chem.molzip(Chem.MolFromSmiles(".".join(parts)))))


def core_of(smiles: str):
    return assembly.core(Chem.MolToSmiles(Chem.MolFromSmiles(smiles)))


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(CORES), st.lists(st.sampled_from(ARMS), min_size=1, max_size=5, unique=True))
def test_different_arms_are_all_there_once_and_counted(core, arms):
    template = core_of(core)
    made = [canonical(s) for s in assembly.with_different_arms([template], map(assembly.arm, arms))]
    wanted = {joined(core, chosen) for chosen in itertools.permutations(arms, core.count("*"))}
    assert set(made) == wanted
    assert len(made) == len(wanted) == assembly.count_different_arms(template, len(arms))


@pytest.mark.parametrize("core", CORES)
def test_equal_arms_stand_on_all_joints(core):
    made = assembly.with_equal_arms([core_of(core)], map(assembly.arm, ARMS))
    wanted = [joined(core, (entry,) * core.count("*")) for entry in ARMS]
    assert [canonical(smiles) for smiles in made] == wanted


def test_arms_are_asked_for_one_by_one():
    asked = []

    def arms():
        for entry in ARMS:
            asked.append(entry)
            yield assembly.arm(entry)

    products = assembly.with_different_arms([core_of(CORES[0])], arms())
    next(products)
    assert len(asked) == 2, "a pair needs two arms, not the whole list"


@pytest.mark.parametrize(
    ("bridge", "arm", "behind"),
    [
        ("*c1ccc(*)cc1", "*N", ["*c1ccc(N)cc1"]),
        ("*c1ccc(*)nc1", "*N", ["*c1ccc(N)nc1", "*c1ccc(N)cn1"]),
        ("*/C=C/*", "*/C=C/C#N", ["*/C=C/C=C/C#N"]),
        ("*/C=C\\*", "*/C=C/C#N", ["*/C=C\\C=C\\C#N"]),
    ],
)
def test_a_bridge_goes_both_ways_round_where_its_ends_differ(bridge, arm, behind):
    made = assembly.bridged(core_of(bridge), assembly.arm(arm))
    assert {canonical("*" + text) for text in made} == {canonical(text) for text in behind}
    assert len(made) == len(behind)


def test_ring_labels_of_core_bridge_and_arm_do_not_meet():
    arm = assembly.bridged(core_of("*c1ccc(*)nc1"), assembly.arm("*n1c2ccccc2c2ccccc21"))[0]
    (smiles,) = assembly.with_equal_arms([core_of("*c1ccc(S(=O)(=O)c2ccc(*)cc2)cc1")], [arm])
    assert Chem.MolFromSmiles(smiles).GetRingInfo().NumRings() == 2 + 2 + 2 * 3
