"""One campaign file, unchanged, on a laptop and on a cluster: one answer, nothing left over."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.workflow.conftest import Workspace, attempts
from tests.workflow.conftest import workspace as local_workspace

from .cluster import Cluster, Job
from .conftest import (
    active_jobs,
    end_all,
    processes_in,
    rule_of,
    rules_kept,
    rules_sent,
    workspace,
)

pytestmark = pytest.mark.slow

HEAVY = {
    "label_references",
    "label_batch",
    "train_member",
    "predict_candidates",
    "propose_geometries",
    "confirm_hits",
}
"""Rules whose work grows with the campaign: never beside the controller, on the login node."""


@dataclass
class Finished:
    """A campaign that ran to its end on the cluster, and once more on the laptop."""

    space: Workspace
    laptop: Workspace
    printed: str
    jobs: list[Job]


@pytest.fixture(scope="module")
def finished(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    """One campaign file through both shipped profiles."""
    space = workspace(tmp_path_factory.mktemp("cluster") / "campaign", cluster)
    laptop = local_workspace(tmp_path_factory.mktemp("laptop"))
    try:
        # At once: the cluster's run waits for the queue more than it computes.
        with ThreadPoolExecutor() as pool:
            done, _ = pool.map(Workspace.run, (space, laptop))
        yield Finished(space, laptop, done.stdout + done.stderr, cluster.jobs(space.folder))
    finally:
        end_all(space.folder, cluster)


def ranking(space: Workspace) -> pd.DataFrame:
    return pd.read_parquet(space.results / "rounds" / "1" / "ranking.parquet")


def test_every_job_of_the_cluster_went_through_sbatch(finished: Finished) -> None:
    sent = rules_sent(finished.printed)
    assert Counter(map(rule_of, finished.jobs)) == sent
    assert {job.state for job in finished.jobs} == {"COMPLETED"}
    assert set(sent) >= HEAVY
    assert not set(rules_kept(finished.printed)) & HEAVY


def test_without_a_gpu_in_the_campaign_every_job_is_in_the_cpu_partition(
    finished: Finished,
) -> None:
    assert {job.partition for job in finished.jobs} == {"cpu"}
    assert {job.node for job in finished.jobs} <= {"c1", "c2"}


def test_ranking_is_the_laptops(finished: Finished) -> None:
    pd.testing.assert_frame_equal(ranking(finished.space), ranking(finished.laptop))


def test_labels_are_the_laptops_and_none_was_computed_twice(finished: Finished) -> None:
    columns = ["structure_id", "level_id", "status", "energy_ev"]
    tables = [attempts(space)[columns] for space in (finished.space, finished.laptop)]
    for table in tables:
        assert not table.duplicated(["structure_id", "level_id"]).any()
    ours, theirs = (table.sort_values(columns[:2], ignore_index=True) for table in tables)
    pd.testing.assert_frame_equal(ours, theirs)


@pytest.mark.parametrize("kind", ["output", "log"])
def test_every_declared_file_is_there(finished: Finished, kind: str) -> None:
    lines = re.findall(rf"^    {kind}: (.+)$", finished.printed, re.MULTILINE)
    declared = {path.split(" (")[0] for line in lines for path in line.split(", ")}
    assert len(declared) > 20
    missing = sorted(path for path in declared if not (finished.space.folder / path).exists())
    assert not missing


def test_nothing_is_left_behind(finished: Finished, cluster: Cluster) -> None:
    folder = finished.space.folder
    assert leftovers(folder / "node_scratch") == []
    store = folder / "results" / "label_store"
    for level in store.glob("*"):
        assert leftovers(level / "journals") == leftovers(level / "claims") == []
    assert not active_jobs(folder, cluster)
    assert not processes_in(folder)


def leftovers(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_same_command_again_sends_nothing(finished: Finished, cluster: Cluster) -> None:
    done = finished.space.run()
    assert "Nothing to be done" in done.stdout + done.stderr
    assert len(cluster.jobs(finished.space.folder)) == len(finished.jobs)


def test_device_auto_goes_to_the_gpu_node_and_takes_what_is_there(
    finished: Finished, cluster: Cluster
) -> None:
    """Last, as it rewrites a member. The node's GPUs are pretended, so the CPU does the work."""
    space = finished.space
    member = space.results / "rounds" / "0" / "committee" / "0" / "model.pt"
    before = torch.load(member, weights_only=True)
    member.unlink()
    space.edit(potential={"device": "auto"})
    try:
        space.run(str(member.relative_to(space.folder)))
    finally:
        space.edit(potential={"device": "cpu"})
    new = cluster.jobs(space.folder)[len(finished.jobs) :]
    assert [(rule_of(job), job.partition, job.node) for job in new] == [
        ("train_member", "gpu", "g1")
    ]
    log = (space.results / "logs" / "train_member" / "0_0.log").read_text()
    assert "potential.device: auto, and torch sees no GPU" in log
    after = torch.load(member, weights_only=True)
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
