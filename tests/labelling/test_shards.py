import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molsieve.labelling import CostModel, shard_of
from molsieve.labelling.shards import _ANY_LEVEL

sizes = st.lists(st.integers(1, 60), max_size=40)


def structures(atoms):
    return pd.DataFrame(
        {
            "structure_id": [f"s{i:03}" for i in range(len(atoms))],
            "numbers": [[6] * n for n in atoms],
        }
    )


@given(sizes, st.integers(1, 7), st.randoms(use_true_random=False))
def test_shards_are_disjoint_complete_and_independent_of_row_order(atoms, shards, random):
    frame = structures(atoms)
    parts = [shard_of(frame, i, shards, CostModel()) for i in range(shards)]
    ids = [i for part in parts for i in part["structure_id"]]
    assert sorted(ids) == frame["structure_id"].tolist()
    order = list(range(len(frame)))
    random.shuffle(order)
    shuffled = pd.concat([frame.iloc[order], frame.iloc[:3]])  # three rows twice
    for i, part in enumerate(parts):
        assert shard_of(shuffled, i, shards, CostModel())["structure_id"].tolist() == list(
            part["structure_id"]
        )


@given(sizes, st.integers(1, 7))
def test_shards_are_balanced_and_longest_first(atoms, shards):
    frame = structures(atoms)
    loads, largest = [], 0.0
    for i in range(shards):
        costs = CostModel().predicted_costs_s(shard_of(frame, i, shards, CostModel()), _ANY_LEVEL)
        assert list(costs) == sorted(costs, reverse=True)
        loads.append(costs.sum())
        largest = max([largest, *costs])
    assert max(loads) - min(loads) <= largest + 1e-12


def test_shard_out_of_range_is_refused():
    with pytest.raises(ValueError, match="shard 2 of 2"):
        shard_of(structures([1]), 2, 2, CostModel())
