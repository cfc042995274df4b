"""Limits of single label jobs: memory, wall time, preemption; and a fragment cut short."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from molsieve import tables
from molsieve.labelling.journal import read_journal
from molsieve.labelling.store import rows_frame

from . import processes
from .cluster import Cluster, Job
from .fault_campaign import prepared_copy, reference, sessions_folder
from .faults import Fault, FaultRun, check

pytestmark = pytest.mark.slow

FAULTS = [
    "out of memory",
    "stops by itself before the wall time",
    "SLURM's time limit",
    "truncated Parquet fragment",
    "preempted, with a signal before",
]
WALL, PREEMPTED = 1, 4
MARGIN_S = 60


@pytest.fixture(scope="module")
def faults(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Fault]]:
    """One run of the campaign; each fault strikes the label job of a shard of its own."""
    sessions = sessions_folder(tmp_path_factory)
    first = "wildcards.shard == '{}' and attempt == 1".format
    space = prepared_copy(
        sessions, tmp_path_factory.mktemp("limits") / "campaign", cluster,
        "--set-threads", "label_batch=2",
        "--set-resources",
        "label_batch:mem_mb=3000",
        f"label_batch:runtime=3 if {first(WALL)} else 10",
        f"label_batch:slurm_partition='spare' if {first(PREEMPTED)} else 'cpu'",
        f"label_batch:slurm_extra='--signal=TERM@30' if {first(PREEMPTED)} else ''",
        labels={"shards": len(FAULTS)}, run={"wall_margin_s": MARGIN_S},
    )  # fmt: skip
    hogs = space.folder / "hogs"
    hogs.mkdir()
    space.variables["MOLSIEVE_TEST_HOG"] = str(hogs)
    space.variables["PYTHONPATH"] = str(Path(__file__).with_name("memory_hog"))
    run = FaultRun(space, cluster)
    blows = [
        lambda job: (hogs / job.number).touch(),
        lambda job: processes.kill(run.workers(job), signal.SIGSTOP),
        partial(hang_until_the_limit, run),
        partial(die_in_the_middle_of_compaction, run),
        partial(preempt, cluster),
    ]
    try:
        run.type_command()
        run.strike_at_work({name: (i, blows[i]) for i, name in enumerate(FAULTS)})
        thaw_when_it_stops(run, WALL)
        run.finish()
        yield run.count(reference(sessions))
    finally:
        run.close()


def hang_until_the_limit(run: FaultRun, job: Job) -> None:
    """The node hangs, and SLURM ends the job earlier than the job was told when it began."""
    script = run.script(job)
    processes.kill([script, *run.workers(job)], signal.SIGSTOP)
    run.cluster.update_job(job.job_id, TimeLimit="00:01:00")


def die_in_the_middle_of_compaction(run: FaultRun, job: Job) -> None:
    """All processes die; the file system kept a fragment's name and half of its content."""
    doomed = run.cluster.job_processes(job.number)
    processes.kill(doomed, signal.SIGSTOP)
    shard = job.comment.rsplit("_", 1)[1]
    journals = sorted(run.store.glob(f"*/journals/faults-0-{shard}-*.jsonl"))
    records = [record for path in journals for record in read_journal(path).records]
    whole = run.space.folder / "whole.parquet"
    tables.write_table(rows_frame(records), "labels", whole)
    content = whole.read_bytes()
    fragment = journals[0].parents[1] / "fragments" / "truncated.parquet"
    fragment.write_bytes(content[: len(content) // 2])
    processes.kill(doomed)


def preempt(cluster: Cluster, job: Job) -> None:
    """A job of a partition with priority wants more of the node than is free."""
    beside = [j for j in cluster.jobs() if (j.node, j.state) == (job.node, "RUNNING") and j != job]
    cores = cluster.cpus - 2 * len(beside)
    cluster.command(
        "sbatch", "-p", "cpu", "-w", job.node, f"-c{cores}", "--mem=100", "-o", "/dev/null",
        "-D", "/", "--wrap", "sleep 1",
    )  # fmt: skip


def thaw_when_it_stops(run: FaultRun, shard: int) -> None:
    """Once the job takes no more work, let its calculations go on."""
    job = run.label_jobs(shard)[0]
    assert job.state == "RUNNING", "it had stopped by itself before it had journaled anything"
    end = run.cluster.command("squeue", "-h", "-t", "all", "-j", job.number, "-o", "%e").strip()
    stops_at = time.mktime(time.strptime(end, "%Y-%m-%dT%H:%M:%S")) - MARGIN_S
    run.until(lambda: time.time() > stops_at + 1, "the margin before the wall time")
    processes.kill(run.workers(job), signal.SIGCONT)


@pytest.mark.parametrize("name", FAULTS)
def test_nothing_journaled_is_lost_or_paid_for_twice(name: str, faults: dict[str, Fault]) -> None:
    check(faults[name])
    assert faults[name].again == 0


def test_job_that_stops_by_itself_hands_in_what_runs(faults: dict[str, Fault]) -> None:
    fault = faults[FAULTS[WALL]]
    assert fault.ended[0] == "FAILED"
    assert fault.repeated == 0


def test_states_are_those_of_the_faults(faults: dict[str, Fault]) -> None:
    first = [faults[name].ended[0] for name in FAULTS]
    assert first[0] in ("FAILED", "OUT_OF_MEMORY")
    assert first[2] == "TIMEOUT"
    assert first[PREEMPTED] in ("PREEMPTED", "CANCELLED", "FAILED")
    assert all(faults[name].ended[-1] == "COMPLETED" for name in FAULTS)
