"""Enumeration, filters, shards and what a YAML author is told."""

from collections import Counter

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molsieve import tables
from molsieve.chem.fingerprints import unpack_fingerprints
from molsieve.domains.flow_battery import candidates as module
from molsieve.domains.flow_battery import config
from molsieve.section import CampaignError

BENZOQUINONE = {"name": "benzoquinone", "smiles": "O=C1C([*:1])=C([*:2])C(=O)C([*:3])=C1[*:4]"}
ORTHO = {"name": "ortho", "smiles": "O=C1C([*:1])=C([*:2])C([*:3])=C([*:4])C1=O"}


def enumerated(scaffolds=(BENZOQUINONE,), substituents=("*C", "*O"), most=2, **filters):
    return config.Candidates.model_validate(
        {
            "source": {
                "kind": "enumerate",
                "scaffolds": list(scaffolds),
                "substituents": list(substituents),
                "max_substitutions": most,
            },
            "filters": filters,
        }
    )


def from_file(path, **filters):
    source = {"kind": "file", "path": str(path)}
    return config.Candidates.model_validate({"source": source, "filters": filters})


def smiles_file(tmp_path, *smiles):
    path = tmp_path / "molecules.smi"
    path.write_text("\n".join(smiles))
    return path


def test_chlorobenzoquinones_are_the_seven_that_exist():
    rows = list(module.iterate_candidates(enumerated(substituents=["*Cl"], most=4)))
    assert len(rows) == 7  # none, mono, 2,3- 2,5- 2,6-di, tri, chloranil
    assert {row["status"] for row in rows} == {"accepted"}
    assert {row["source"] for row in rows} == {"benzoquinone"}
    assert all(row["group"] == row["candidate_id"] for row in rows)


def test_rows_keep_the_contract_and_describe_the_molecule():
    rows = list(module.iterate_candidates(enumerated(substituents=["*OC"], most=1)))
    frame = tables.to_frame(tables.to_arrow(pd.DataFrame(rows), "candidates"))
    methoxy = frame.set_index("identifier").loc["COC1=CC(=O)C=CC1=O"]
    assert methoxy["heavy_atoms"] == 10
    assert methoxy["mass_dalton"] == pytest.approx(138.12, abs=0.01)
    assert 0 < methoxy["synthesizability"] < 1
    assert unpack_fingerprints([methoxy["fingerprint"]]).sum() > 5


@pytest.mark.parametrize(
    ("smiles", "filters", "reason"),
    [
        ("O=C1C=CC(=O)C=C", {}, "unparsable"),
        ("O=C1C=CC(=O)C=C1.O", {}, "fragments"),
        ("[O]C1=CC(=O)C=CC1=O", {}, "open_shell"),
        ("O=C1C=CC(=O)C=C1", {"min_heavy_atoms": 9}, "heavy_atoms"),
        ("O=C1C=CC(=O)C=C1", {"max_heavy_atoms": 7}, "heavy_atoms"),
        ("O=C1C=CC(=O)C(I)=C1", {}, "elements"),
        ("O=C1C=CC(=O)C=C1", {"elements": ["C", "O"]}, "elements"),
        ("O=C1C=CC(=O)C(C(=O)[O-])=C1", {}, "charge"),
        (
            "O=C1C=CC(=O)C(OOC)=C1",
            {"alerts": [{"name": "peroxide", "smarts": "[OX2][OX2]"}]},
            "alert:peroxide",
        ),
        ("c1ccccc1", {}, "not_a_quinone"),
        ("O=C1CCC(=O)CC1", {}, "not_a_quinone"),
        ("O=C1C=CC(=O)C=C1", {"max_sa_score": 1.5}, "sa_score"),
        ("O=C1C=CC(=O)C=C1", {"min_log_solubility": 1.0}, "log_solubility"),
        ("O=C1C=CC(=O)C(C(=O)[O-])=C1", {"charges_e": [-1]}, None),
        ("O=C1C=CC(=O)C=C1", {}, None),
    ],
)
def test_every_reason_to_reject(tmp_path, smiles, filters, reason):
    (row,) = module.iterate_candidates(from_file(smiles_file(tmp_path, smiles), **filters))
    assert row["reject_reason"] == reason
    assert row["status"] == ("accepted" if reason is None else "rejected")
    tables.to_arrow(pd.DataFrame([row]), "candidates")


def test_equal_molecules_of_two_scaffolds_and_of_a_file_are_one(tmp_path):
    twice = [BENZOQUINONE, BENZOQUINONE | {"name": "again"}]
    once = list(module.iterate_candidates(enumerated()))
    assert list(module.iterate_candidates(enumerated(twice))) == once
    path = smiles_file(tmp_path, "O=C1C=CC(=O)C=C1", "C1=CC(=O)C=CC1=O", "bad", "bad")
    assert len(list(module.iterate_candidates(from_file(path)))) == 2


def test_shards_partition_the_candidates_and_do_not_depend_on_workers(tmp_path):
    space = enumerated([BENZOQUINONE, ORTHO], ["*C", "*O", "*Cl"], max_heavy_atoms=9)
    rows = list(module.iterate_candidates(space))
    frames = []
    for workers in (1, 2):
        outputs = [tmp_path / f"{workers}" / f"{shard}.parquet" for shard in range(3)]
        counts = module.enumerate_candidates(space, outputs, workers, "demo")
        assert counts == dict(
            sorted(Counter(r["reject_reason"] or "accepted" for r in rows).items())
        )
        frames.append([tables.read_table(output, "candidates") for output in outputs])
    for one, two in zip(*frames, strict=True):
        pd.testing.assert_frame_equal(one, two)
        assert one["candidate_id"].is_monotonic_increasing
    identities = pd.concat(frames[0])["candidate_id"]
    assert sorted(identities) == sorted(row["candidate_id"] for row in rows)
    assert "heavy_atoms" in counts and counts["accepted"] > 10


def test_a_shard_without_candidates_is_a_legal_empty_table(tmp_path):
    outputs = [tmp_path / f"{shard}.parquet" for shard in range(4)]
    module.enumerate_candidates(enumerated(most=0), outputs, 1, "demo")
    assert sorted(len(tables.read_table(output, "candidates")) for output in outputs) == [
        0,
        0,
        0,
        1,
    ]


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.sampled_from(["*C", "*O", "*F", "*c1ccccc1"]), min_size=1, unique=True),
    st.integers(0, 4),
)
def test_the_count_is_an_upper_bound(substituents, most):
    space = enumerated([BENZOQUINONE, ORTHO], substituents, most, max_heavy_atoms=20)
    bound, exact = module.count_candidates(space)
    assert not exact
    assert len(list(module.iterate_candidates(space))) <= bound


def test_no_accepted_candidate_is_an_error_with_the_counts(tmp_path):
    space = enumerated(max_heavy_atoms=3)
    with pytest.raises(CampaignError, match=r"none of \d+ candidates .*heavy_atoms \d+"):
        module.enumerate_candidates(space, [tmp_path / "0.parquet"], 1, "demo")
    assert not list(tmp_path.iterdir())


def test_first_accepted_answers_yes_no_and_not_yet(tmp_path):
    assert module.first_accepted(enumerated()) is True
    assert module.first_accepted(enumerated(max_heavy_atoms=3)) is False
    assert module.first_accepted(enumerated(max_heavy_atoms=3), tries=2) is None
    assert module.first_accepted(from_file(smiles_file(tmp_path))) is False


@pytest.mark.parametrize(
    ("space", "said"),
    [
        (enumerated(substituents=["*C", "OC"]), r"source\.substituents\[1\]: 'OC'.*one '\*'"),
        (enumerated([{"name": "x", "smiles": "O=C1C=C"}]), r"source\.scaffolds\[0\]\.smiles"),
        (
            enumerated([BENZOQUINONE, {"name": "x", "smiles": "c1ccccc1[*:1]"}]),
            r"source\.scaffolds\[1\]\.smiles: .*not a quinone",
        ),
        (enumerated(elements=["C", "Xx"]), r"filters\.elements\[1\]: 'Xx'"),
        (
            enumerated(alerts=[{"name": "a", "smarts": "[OX2"}]),
            r"filters\.alerts\[0\]\.smarts: '\[OX2'",
        ),
        (from_file("nowhere.smi"), r"source\.path: nowhere\.smi: no such file"),
    ],
)
def test_a_mistake_is_named_by_key_value_and_what_is_allowed(space, said):
    for look in (module.check_candidates, module.first_accepted, module.iterate_candidates):
        with pytest.raises(CampaignError, match=said):
            list(look(space) or [])


def test_a_missing_column_names_the_file_and_the_columns_found(tmp_path):
    path = tmp_path / "molecules.csv"
    path.write_text("name,SMILES\na,CCO\n")
    with pytest.raises(CampaignError, match=r"molecules\.csv: no column 'smiles'.*name, SMILES"):
        module.check_candidates(from_file(path))
