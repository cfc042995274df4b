"""The cut of prediction jobs: every candidate once, in a job that reads its shard, evenly."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molsieve.prediction import candidates_of_shard
from molsieve.prediction_shards import candidate_shards_read, prediction_shard
from molsieve.tables import write_table

counts = st.integers(1, 300)


@settings(max_examples=200, deadline=None)
@given(shards=counts, candidate_shards=counts, name=st.text(max_size=5), data=st.data())
def test_a_candidates_job_reads_its_shard(shards, candidate_shards, name, data):
    own = data.draw(st.integers(0, candidate_shards - 1))
    job = prediction_shard(name, own, candidate_shards, shards)
    assert 0 <= job < shards
    assert own in candidate_shards_read(job, shards, candidate_shards)


@settings(max_examples=200, deadline=None)
@given(shards=counts, candidate_shards=counts)
def test_all_jobs_together_read_few_files(shards, candidate_shards):
    read = [candidate_shards_read(job, shards, candidate_shards) for job in range(shards)]
    assert {shard for part in read for shard in part} == set(range(candidate_shards))
    assert sum(map(len, read)) < shards + candidate_shards


@pytest.mark.parametrize(("shards", "candidate_shards"), [(3, 1), (3, 4), (4, 2), (2, 5)])
def test_jobs_are_of_like_size(shards, candidate_shards):
    jobs = [
        prediction_shard(f"{n}", n % candidate_shards, candidate_shards, shards)
        for n in range(3000)
    ]
    sizes = pd.Series(jobs).value_counts()
    assert len(sizes) == shards
    assert sizes.max() < 1.2 * sizes.min()


def test_jobs_read_every_candidate_once(tmp_path):
    paths = [tmp_path / f"{shard}.parquet" for shard in range(5)]
    for shard, path in enumerate(paths):
        ids = [f"{shard}-{n}" for n in range(40 if shard else 0)]  # an empty shard is legal
        row = {"identifier": "C", "status": "accepted", "source": "test"}
        write_table([row | {"candidate_id": name} for name in ids], "candidates", path)
    found = []
    for job in range(3):
        read = [paths[shard] for shard in candidate_shards_read(job, 3, 5)]
        assert 0 < len(read) < 5
        found += candidates_of_shard(read, job, 3, 5)["candidate_id"].tolist()
    assert sorted(found) == sorted(f"{shard}-{n}" for shard in range(1, 5) for n in range(40))


def test_a_job_without_candidates_has_an_empty_table(tmp_path):
    write_table([], "candidates", tmp_path / "0.parquet")
    assert "status" in candidates_of_shard([tmp_path / "0.parquet"], 0, 1, 1).columns


def test_parsing_the_rules_imports_nothing_heavy():
    code = (
        "import sys, molsieve.prediction_shards;"
        "print([m for m in ('numpy', 'pandas', 'torch', 'rdkit') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
