"""Patterns, filters, shards and what a YAML author is told."""

import itertools
import os
import random
import resource
from collections import Counter

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from molsieve import tables
from molsieve.chem import fragments
from molsieve.chem.molecules import canonical_smiles
from molsieve.domains.oled import candidates as module
from molsieve.domains.oled import config, filters, sample, spool
from molsieve.domains.oled.patterns import Parts
from molsieve.section import CampaignError
from tests.chem.test_assembly import joined

CZ, AC, ME2N = "*n1c2ccccc2c2ccccc21", "*N1c2ccccc2C(C)(C)c2ccccc21", "*N(C)C"
LIST = f"""kind,name,smiles
donor,carbazole,{CZ}
donor,acridine,{AC}
donor,dimethylamine,{ME2N}
donor,phenazinediyl,*N1c2ccccc2N(*)c2ccccc21
bridge,phenylene,*c1ccc(*)cc1
bridge,pyridylene,*c1ccc(*)nc1
acceptor,cyanophenyl,*c1ccc(C#N)cc1
acceptor,cyano,*C#N
acceptor,sulfone,*c1ccc(S(=O)(=O)c2ccc(*)cc2)cc1
acceptor,pyrimidinediyl,*c1cc(*)nc(C)n1
acceptor,triazinetriyl,*c1nc(*)nc(*)n1
"""
DONORS, ONE, TWO = [CZ, AC, ME2N], ["*c1ccc(C#N)cc1", "*C#N"], ["*N1c2ccccc2N(*)c2ccccc21"]
SULFONE, PYRIMIDINE = "*c1ccc(S(=O)(=O)c2ccc(*)cc2)cc1", "*c1cc(*)nc(C)n1"
BRIDGES = ["*c1ccc(*)cc1", "*c1ccc(*)nc1"]
ALL = list(config.Pattern.__args__)


@pytest.fixture
def listed(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(LIST)
    return str(path)


def space(lists, patterns, filters=None, **source):
    source = {"kind": "fragments", "lists": [lists], "patterns": patterns} | source
    return config.Candidates.model_validate({"source": source, "filters": filters or {}})


def from_file(path, **filters):
    source = {"kind": "file", "path": str(path)}
    return config.Candidates.model_validate({"source": source, "filters": filters})


def smiles_file(tmp_path, *smiles):
    path = tmp_path / "molecules.smi"
    path.write_text("\n".join(smiles))
    return path


def behind(bridges, arms):
    """Arms behind bridges, both ways round, by brute force: SMILES with one joint."""
    made = set()
    for bridge, arm in itertools.product(bridges, arms):
        made |= {joined(bridge, pair) for pair in (("*[Po]", arm), (arm, "*[Po]"))}
    return [smiles.replace("[Po]", "*") for smiles in made]


def brute_force(pattern):
    """Every assignment of the list above, joined bond by bond."""
    from_donor = pattern.startswith("A")
    arms = ONE if from_donor else DONORS
    if "B" in pattern:
        arms = behind(BRIDGES, arms)
    if pattern in ("D-A", "D-B-A"):
        cores, alike = ONE, True
    elif "n" in pattern:
        cores, alike = ["*c1nc(*)nc(*)n1"], True
    else:
        cores, alike = (TWO if from_donor else [SULFONE, PYRIMIDINE]), "'" not in pattern
    found = set()
    for core in cores:
        joints = core.count("*")
        chosen = (
            [(arm,) * joints for arm in arms] if alike else itertools.permutations(arms, joints)
        )
        found |= {joined(core, arms) for arms in chosen}
    return found


@pytest.mark.parametrize("pattern", ALL)
def test_a_pattern_holds_what_brute_force_finds_and_its_count(listed, pattern):
    candidates = space(listed, [pattern], {"alerts": []})
    rows = list(module.iterate_candidates(candidates))
    assert {row["identifier"] for row in rows} == brute_force(pattern)
    assert {row["source"] for row in rows} == {pattern}
    raw = list(Parts(candidates.source).products())
    assert len(raw) == module.count_candidates(candidates)[0]
    assert len(rows) == len({canonical_smiles(text) for text, _ in raw}) <= len(raw)
    assert len(raw) <= config.raw_candidates(candidates.source)


def test_symmetric_equivalents_are_counted_once(listed):
    """Of three donors two different ones stand on a symmetric core in 3 ways, on another in 6."""
    names = {"donors": ["carbazole", "acridine", "dimethylamine"]}
    symmetric = space(listed, ["D-A-D'"], acceptors=["sulfone"], **names)
    assert module.count_candidates(symmetric)[0] == 3
    tilted = space(listed, ["D-B-A"], bridges=["pyridylene"], acceptors=["cyano"], **names)
    assert module.count_candidates(tilted)[0] == 6


@settings(max_examples=5, deadline=None)
@given(st.lists(st.sampled_from(["*C", "*F", "*OC", "*C#N"]), unique=True), st.integers(0, 2))
def test_substituents_stand_on_every_free_site(substituents, most):
    source = {"acceptors": ["4-cyanophenyl"], "donors": ["carbazole"], "patterns": ["D-A"]}
    candidates = config.Candidates.model_validate(
        {
            "source": {"kind": "fragments", "substituents": substituents, "max_substitutions": most}
            | source
        }
    )
    s = len(substituents)
    one_side = 1 + (s if most else 0) + (s * (s + 1) // 2 if most == 2 else 0)
    rows = list(module.iterate_candidates(candidates))
    assert len(rows) == module.count_candidates(candidates)[0] == one_side**2


def test_4czipn_is_among_the_shipped():
    candidates = config.Candidates.model_validate(
        {
            "source": {"kind": "fragments", "patterns": ["(D)n-A"], "donors": ["carbazole"]},
            "filters": {"max_heavy_atoms": 80},
        }
    )
    found = {row["identifier"] for row in module.iterate_candidates(candidates)}
    cz = "n5c6ccccc6c6ccccc65"
    assert canonical_smiles(f"N#Cc1c(-{cz})c(C#N)c(-{cz})c(-{cz})c1-{cz}") in found


@pytest.mark.parametrize("name", config.shipped_lists())
def test_every_shipped_fragment_is_sound(name):
    listed = fragments.read_fragments(config.list_path(name))
    assert {fragment.kind for fragment in listed} == set(fragments.KINDS)
    for fragment in listed:
        form = next(fragments.forms(fragment, [], 0))
        capped = Chem.MolFromSmiles(form.replace("*", "[H]", 1) if form == "*" else form)
        assert Chem.GetFormalCharge(capped) == 0, fragment
        assert not any(atom.GetNumRadicalElectrons() for atom in capped.GetAtoms()), fragment


@pytest.mark.parametrize(
    ("smiles", "limits", "reason"),
    [
        ("CC(C)(C)(C)C", {}, "valence"),
        ("c1ccccc", {}, "unparsable"),
        ("c1ccccc1.O", {}, "fragments"),
        ("[CH2]c1ccccc1", {}, "open_shell"),
        ("C[N+](C)(C)c1ccccc1", {}, "charge"),
        ("c1ccccc1", {"min_heavy_atoms": 7}, "heavy_atoms"),
        ("c1ccccc1", {"max_heavy_atoms": 5}, "heavy_atoms"),
        ("c1ccccc1", {"min_atoms": 13}, "atoms"),
        ("c1ccccc1", {"max_atoms": 11}, "atoms"),
        ("c1ccccc1", {"max_mass_dalton": 78.0}, "mass"),
        ("Clc1ccccc1", {}, "elements"),
        ("c1ccccc1", {"elements": ["C"]}, "elements"),
        ("c1ccccc1", {"alerts": [{"name": "arene", "smarts": "c1ccccc1"}]}, "alert:arene"),
        ("c1ccc(-c2ccoc2)cc1", {"max_sa_score": 1.5}, "sa_score"),
        ("c1ccccc1", {}, None),
        ("N#Cc1ccc(-n2c3ccccc3c3ccccc32)cc1", {}, None),
    ],
)
def test_every_reason_to_reject(tmp_path, smiles, limits, reason):
    (row,) = module.iterate_candidates(from_file(smiles_file(tmp_path, smiles), **limits))
    assert row["reject_reason"] == reason
    assert row["status"] == ("accepted" if reason is None else "rejected")
    tables.to_arrow(pd.DataFrame([row]), "candidates")


REFUSED_BY = {
    "N-N single bond": "CN(C)N(C)C",
    "N-O single bond": "CN(C)OC",
    "peroxide": "COOC",
    "disulfide": "CSSC",
    "S-N single bond": "CSN(C)C",
    "P-N single bond": "CP(C)N(C)C",
    "B-N or B-O single bond outside a ring": "CB(C)N(C)C",
    "N-halogen": "CN(C)Cl",
    "O-halogen": "COCl",
    "nitro": "O=[N+]([O-])c1ccccc1",
    "nitroso": "O=Nc1ccccc1",
    "aldehyde": "O=Cc1ccccc1",
    "acyl halide": "O=C(Cl)c1ccccc1",
    "acid": "O=C(O)c1ccccc1",
    "O-H or S-H": "Oc1ccccc1",
    "primary or secondary amine": "CNC",
    "aromatic amine with N-H": "Nc1ccccc1",
    "thiocarbonyl": "S=C(c1ccccc1)c1ccccc1",
    "azo": "c1ccc(N=Nc2ccccc2)cc1",
    "imine": "C(=Nc1ccccc1)c1ccccc1",
    "alkene outside a ring": "C(=Cc1ccccc1)c1ccccc1",
    "terminal alkyne": "C#Cc1ccccc1",
    "cumulated double bonds": "C=C=C",
    "aliphatic bromide or iodide": "CCBr",
    "aromatic iodide": "Ic1ccccc1",
    "small strained ring": "C1CC1",
    "aliphatic chloride": "CCCl",
    "diazo or azide": "CN=[N+]=[N-]",
    "carbon acid between two cyano groups": "CC(C#N)C#N",
}


def test_every_shipped_alert_refuses_its_group_and_spares_emitters():
    alerts = dict(filters.compile_alerts(config.Filters()))
    assert set(alerts) == set(REFUSED_BY)
    for name, smiles in REFUSED_BY.items():
        assert Chem.MolFromSmiles(smiles).HasSubstructMatch(alerts[name]), name
    emitters = [
        "CC1(C)c2ccccc2N(c2ccc(-c3nc(-c4ccccc4)nc(-c4ccccc4)n3)cc2)c2ccccc21",
        "O=S(=O)(c1ccc(-n2c3ccccc3c3ccccc32)cc1)c1ccc(-n2c3ccccc3c3ccccc32)cc1",
        "c1ccc(-c2nnc(-c3ccc(N4c5ccccc5Oc5ccccc54)cc3)o2)cc1",
        "O=C1c2ccccc2C(=O)c2cc(N(c3ccccc3)c3ccccc3)ccc21",
        "Cc1cc(C)c(B(c2ccc(N(C)C)cc2)c2c(C)cc(C)cc2C)c(C)c1",
        "c1ccc2c(c1)Oc1cc(-n3c4ccccc4c4ccccc43)cc3c1B2c1ccccc1O3",
    ]
    for smiles in emitters:
        molecule = Chem.MolFromSmiles(smiles)
        assert [name for name, p in alerts.items() if molecule.HasSubstructMatch(p)] == [], smiles


@pytest.mark.slow
def test_shards_partition_the_candidates_and_do_not_depend_on_workers(listed, tmp_path):
    candidates = space(listed, ["D-A", "D-B-A", "D-A-D'"], {"max_heavy_atoms": 25})
    rows = list(module.iterate_candidates(candidates))
    frames = []
    for workers in (1, 2):
        outputs = [tmp_path / f"{workers}" / f"{shard}.parquet" for shard in range(3)]
        counts = module.enumerate_candidates(candidates, outputs, workers, "demo")
        reasons = Counter(row["reject_reason"] or "accepted" for row in rows)
        assert counts == dict(sorted(reasons.items()))
        assert sorted(p.name for p in outputs[0].parent.iterdir()) == [p.name for p in outputs]
        frames.append([tables.read_table(output, "candidates") for output in outputs])
    for one, two in zip(*frames, strict=True):
        pd.testing.assert_frame_equal(one, two)
        assert one["candidate_id"].is_monotonic_increasing
    identities = pd.concat(frames[0])["candidate_id"]
    assert sorted(identities) == sorted(row["candidate_id"] for row in rows)


def test_duplicates_far_apart_are_told_apart_on_disk(tmp_path):
    """Of equal molecules the first is kept, though a whole stream lies between them."""
    smiles = ["c1ccccc1", *("C" * n + "c1ccccc1" for n in range(1, 40)), "C1=CC=CC=C1", "Cc1ccccc1"]
    output = tmp_path / "out" / "0.parquet"
    counts = module.enumerate_candidates(
        from_file(smiles_file(tmp_path, *smiles)), [output], 1, "x"
    )
    assert counts == {"accepted": 40}
    assert tables.read_table(output, "candidates")["candidate_id"].is_unique


def test_more_shards_than_a_process_may_open_files(tmp_path, monkeypatch):
    monkeypatch.setattr(spool, "HELD_ROWS", 7)
    rows = [
        {"candidate_id": f"{n:032x}", "identifier": str(n), "status": "accepted", "source": "x"}
        for n in range(40)
    ]
    abandoned = tmp_path / ".candidates-of-a-killed-attempt"
    (abandoned / "0").mkdir(parents=True)
    outputs = [tmp_path / f"{shard}.parquet" for shard in range(50)]
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 30, limits[1]))
    try:
        counts = spool.write_shards(iter(rows + rows[:9]), outputs, "test")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert counts == {"accepted": 40}
    found = tables.read_table(outputs, "candidates")
    assert found["candidate_id"].tolist() == [row["candidate_id"] for row in rows]
    assert not list(tmp_path.glob(".candidates-*"))


def test_no_accepted_candidate_is_an_error_with_the_counts(listed, tmp_path):
    candidates = space(listed, ["D-A"], {"max_heavy_atoms": 3})
    with pytest.raises(CampaignError, match=r"none of 6 candidates .*heavy_atoms 6"):
        module.enumerate_candidates(candidates, [tmp_path / "out" / "0.parquet"], 1, "demo")
    assert not list((tmp_path / "out").iterdir())


def test_first_accepted_answers_yes_no_and_not_yet(listed, tmp_path):
    assert module.first_accepted(space(listed, ["D-A"])) is True
    assert module.first_accepted(space(listed, ["D-A"], {"max_heavy_atoms": 3})) is False
    assert module.first_accepted(space(listed, ["D-A"], {"max_heavy_atoms": 3}), tries=2) is None
    assert module.first_accepted(from_file(smiles_file(tmp_path))) is False


def test_a_sample_is_drawn_from_the_patterns_evenly(listed):
    candidates = space(listed, ["D-A", "D-B-A", "D-A-D'", "(D)n-A"], {"max_heavy_atoms": 24})
    everything = Counter(row["status"] for row in module.iterate_candidates(candidates))
    drawn = sample.sample_species(candidates, 300, 1)
    share = everything["accepted"] / everything.total()
    assert drawn.kept_share == pytest.approx(share, abs=0.08)
    assert max(sum(z > 1 for z in numbers) for numbers in drawn.numbers) <= 24
    draw = sample.drawer(candidates.source)
    products = {canonical_smiles(text) for text, _ in Parts(candidates.source).products()}
    rng = random.Random(3)
    assert {canonical_smiles(draw(rng)) for _ in range(500)} == products


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ({"lists": ["nowhere.csv"]}, r"source\.lists\[0\]: nowhere\.csv: no such file.*push_pull"),
        ({"donors": ["carbazol"]}, r"source\.donors\[0\]: .*carbazol.*did you mean carbazole"),
        ({"substituents": ["*C", "OC"]}, r"source\.substituents\[1\]: 'OC'.*one '\*'"),
        (
            {"patterns": ["D-A", "D-A-D"], "acceptors": ["4-cyanophenyl"]},
            r"source\.patterns\[1\]: 'D-A-D' needs a acceptor with two '\*'",
        ),
        (
            {"patterns": ["(D-B)n-A"], "bridges": []},
            r"source\.patterns\[0\]: '\(D-B\)n-A' needs a bridge",
        ),
    ],
)
def test_a_mistake_is_named_by_key_value_and_what_is_allowed(edit, said):
    source = {"kind": "fragments"} | edit
    candidates = config.Candidates.model_validate({"source": source})
    for look in (module.check_candidates, module.first_accepted, module.count_candidates):
        with pytest.raises(CampaignError, match=said):
            look(candidates)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"elements": ["C", "Xx"]}, r"filters\.elements\[1\]: 'Xx'"),
        ({"alerts": [{"name": "a", "smarts": "[OX2"}]}, r"filters\.alerts\[0\]\.smarts: '\[OX2'"),
    ],
)
def test_a_mistake_in_the_filters_is_named(limits, said):
    candidates = config.Candidates.model_validate(
        {"source": {"kind": "fragments"}, "filters": limits}
    )
    with pytest.raises(CampaignError, match=said):
        module.check_candidates(candidates)
