import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molsieve import tables
from molsieve.labelling import collect_labels
from molsieve.labelling.collect import split_groups
from molsieve.labelling.journal import Journal
from molsieve.section import CampaignError


def selection(rows):
    """(round, structure_id, group, split, reason) tuples as the ``selection`` table."""
    columns = ["round", "structure_id", "group", "split", "reason"]
    return pd.DataFrame(rows, columns=columns).assign(species_id="s", candidate_id="c")


@pytest.fixture
def campaign(tmp_path, folder, level, label_row):
    """Writes rounds and labels as the workflow does, and collects them."""

    class Campaign:
        def select(self, round, rows):
            table = selection([(round, *row) for row in rows])
            tables.write_table(table, "selection", tmp_path / str(round) / "selection.parquet")
            geometries = [
                {
                    "structure_id": i,
                    "species_id": "s",
                    "conformer": 0,
                    "geometry_protocol_id": "p",
                    "numbers": [1],
                    "positions_angstrom": [0.0] * 3,
                    "cell_angstrom": [0.0] * 9,
                    "pbc": [False] * 3,
                    "charge_e": 0,
                    "multiplicity": 2,
                    "origin": "built",
                }
                for i in table["structure_id"]
            ]
            tables.write_table(
                geometries, "structures", tmp_path / str(round) / "structures.parquet"
            )

        def label(self, round, ids, **columns):
            rows = [label_row(i, **columns) for i in ids]
            for row in rows:
                Journal(folder.journals / "job.1.jsonl").append(row)
            columns = tables.SCHEMAS["receipt"].names
            receipt = pd.DataFrame(rows).reindex(columns=columns)
            tables.write_table(receipt, "receipt", tmp_path / str(round) / "receipt.parquet")

        def collect(self, rounds, quorum=1.0, share=0.25):
            summary = collect_labels(
                [tmp_path / str(r) / "selection.parquet" for r in range(rounds)],
                [tmp_path / str(r) / "structures.parquet" for r in range(rounds)],
                [tmp_path / str(rounds - 1) / "receipt.parquet"],
                level,
                folder.path.parent,
                rounds - 1,
                share,
                7,
                quorum,
                dataset_path=tmp_path / "dataset.parquet",
                structures_path=tmp_path / "structures.parquet",
                labels_path=tmp_path / "labels.parquet",
                campaign="test",
            )
            read = {
                name: tables.read_table(tmp_path / f"{name}.parquet", name)
                for name in ("dataset", "structures", "labels")
            }
            return summary, read

    return Campaign()


def test_dataset_of_two_rounds_is_cumulative_and_its_tables_agree(campaign):
    seed = [(f"a{i}", f"g{i // 2}", "train", "seed") for i in range(8)]
    seed += [("r0", "gr0", "calibration", "random"), ("r1", "gr1", "test", "random")]
    campaign.select(0, seed)
    campaign.label(0, [row[0] for row in seed])
    campaign.select(1, [("b1", "h1", None, "acquired"), ("a0", "g0", "train", "attack")])
    campaign.label(1, ["b1"])
    summary, read = campaign.collect(2)
    dataset = read["dataset"].set_index("structure_id")
    assert sorted(dataset.index) == sorted([*(r[0] for r in seed), "b1"])
    for name in ("structures", "labels", "dataset"):
        assert read[name]["structure_id"].tolist() == sorted(dataset.index)
    assert set(dataset["round"]) == {1}
    assert dataset.loc["b1", "why"] == "acquired" and dataset.loc["a0", "why"] == "seed"
    assert dataset.loc["r0", "split"] == "calibration" and dataset.loc["r1", "split"] == "test"
    assert dataset.groupby("group")["split"].nunique().max() == 1
    assert {"train", "validation"} <= set(dataset["split"])
    assert summary["selected"] == 2 and summary["failed"] == {}
    assert sum(summary["dataset"].values()) == 11


def test_failed_labels_are_counted_and_left_out(campaign):
    campaign.select(0, [(f"a{i}", f"g{i}", "train", "seed") for i in range(10)])
    campaign.label(0, [f"a{i}" for i in range(8)])
    campaign.label(0, ["a8"], status="failed", error_kind="timeout", energy_ev=None)
    summary, read = campaign.collect(1, quorum=0.8)
    assert summary["failed"] == {"no_receipt": 1, "timeout": 1}
    assert summary["labelled"] == 8 and len(read["dataset"]) == 8


def test_missed_quorum_is_one_clear_message(campaign, tmp_path):
    campaign.select(0, [(f"a{i}", f"g{i}", "train", "seed") for i in range(10)])
    campaign.label(0, [f"a{i}" for i in range(7)])
    failed = {"status": "failed", "error_kind": "scf_not_converged", "energy_ev": None}
    campaign.label(0, ["a7", "a8", "a9"], **failed)
    with pytest.raises(CampaignError) as error:
        campaign.collect(1, quorum=0.8)
    for part in ("round 0", "7 of 10", "labels.quorum = 0.8", "3 scf_not_converged"):
        assert part in str(error.value)
    assert not (tmp_path / "dataset.parquet").exists()


def test_only_this_round_counts_for_its_quorum(campaign):
    campaign.select(0, [(f"a{i}", f"g{i}", "train", "seed") for i in range(10)])
    campaign.label(0, [f"a{i}" for i in range(5)])
    campaign.select(1, [("b0", "h0", "train", "acquired")])
    campaign.label(1, ["b0"])
    summary, read = campaign.collect(2, quorum=1.0)
    assert summary["labelled"] == 1 and len(read["dataset"]) == 6


groups = st.lists(st.integers(0, 12), min_size=1, max_size=40)
kinds = st.sampled_from(["train", "calibration", "test", None])


@given(groups, st.data(), st.integers(0, 5), st.floats(0.05, 0.45))
def test_a_group_has_one_split_that_later_rounds_do_not_change(numbers, data, seed, share):
    rows = [
        (data.draw(st.integers(0, 3)), f"s{i}", f"g{n}", data.draw(kinds), "seed")
        for i, n in enumerate(numbers)
    ]
    table = selection(rows)
    splits = split_groups(table, table["group"], share, seed)
    shuffled = table.sample(frac=1, random_state=seed)
    assert split_groups(shuffled, shuffled["group"], share, seed) == splits
    training = [g for g, s in splits.items() if s in ("train", "validation")]
    if len(training) >= 2:
        assert {splits[g] for g in training} == {"train", "validation"}
    later = selection([(9, "new", g, "test", "random") for g in splits])
    again = split_groups(pd.concat([table, later]), table["group"], share, seed)
    assert again == splits


def test_share_of_validation_groups_is_as_asked_and_stable():
    table = selection([(0, f"s{i}", f"g{i}", "train", "seed") for i in range(2000)])
    splits = split_groups(table, table["group"], 0.2, 1)
    validation = {g for g, s in splits.items() if s == "validation"}
    assert np.isclose(len(validation) / 2000, 0.2, atol=0.03)
    half = table.iloc[:1000]
    before = split_groups(half, half["group"], 0.2, 1)
    assert {g for g, s in before.items() if s == "validation"} == validation & set(half["group"])
    assert split_groups(table, table["group"], 0.2, 2) != splits
