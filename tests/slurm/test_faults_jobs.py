"""Faults of single label jobs, and of the nodes under them."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from . import processes
from .cluster import Cluster, Job
from .fault_campaign import prepared_copy, reference, sessions_folder
from .faults import Fault, FaultRun, check

pytestmark = pytest.mark.slow

FAULTS = [
    "scancel",
    "label worker killed",
    "slurmstepd killed",
    "half-written journal record",
    "node killed, no requeue",
    "node killed, requeue",
]
SCANCEL, WORKER, STEPD, TORN, LOST, REQUEUED = range(len(FAULTS))


def settings() -> list[str]:
    """What the jobs ask for: nodes c1 and c2 die under one job each, the others are on g1."""
    shard = "wildcards.shard == '{}' and attempt == 1".format
    return [
        "--set-threads", "label_batch=2",
        "--set-resources", "label_batch:mem_mb=3000",
        # SLURM learns of the death of a step daemon by the time limit only.
        f"label_batch:runtime=2 if {shard(STEPD)} else 10",
        f"label_batch:slurm_partition='cpu' if int(wildcards.shard) >= {LOST} else 'gpu'",
        f"label_batch:slurm_extra='--nodelist=c1' if {shard(LOST)}"
        f" else '--nodelist=c2 --requeue' if {shard(REQUEUED)} else ''",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def faults(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Fault]]:
    """One run of the campaign; each fault strikes the label job of a shard of its own."""
    sessions = sessions_folder(tmp_path_factory)
    space = prepared_copy(
        sessions, tmp_path_factory.mktemp("jobs") / "campaign", cluster, *settings(),
        labels={"shards": len(FAULTS)}, run={"wall_margin_s": 30},
    )  # fmt: skip
    run = FaultRun(space, cluster)
    blows = [
        lambda job: cluster.scancel(job.job_id),
        lambda job: kill_worker(run, job),
        lambda job: processes.kill(cluster.slurmstepd_pids(job.number)),
        lambda job: kill_in_the_middle_of_a_record(run, job),
        lambda job: cluster.kill_node(job.node),
        lambda job: cluster.kill_node(job.node),
    ]
    try:
        run.type_command()
        run.strike_at_work({name: (i, blows[i]) for i, name in enumerate(FAULTS)})
        bring_back_for_requeue(run)
        run.finish()
        yield run.count(reference(sessions))
    finally:
        for node in ("c1", "c2"):
            cluster.start_node(node)
        run.close()


def kill_worker(run: FaultRun, job: Job) -> None:
    busy = set(run.ledger.moment().claims.values())
    processes.kill([next(pid for pid in run.workers(job) if pid in busy)])


def kill_in_the_middle_of_a_record(run: FaultRun, job: Job) -> None:
    """All processes of the job die, one of them half-way through writing a record."""
    doomed = run.cluster.job_processes(job.number)
    processes.kill(doomed, signal.SIGSTOP)
    # Each worker has a journal; that of one which has finished nothing yet is empty.
    journals = run.store.glob(f"*/journals/faults-0-{TORN}-*.jsonl")
    journal = max(journals, key=lambda path: path.stat().st_size)
    line = journal.read_bytes().splitlines()[-1]
    with journal.open("ab") as file:
        file.write(line[: len(line) // 2])
    processes.kill(doomed)


def bring_back_for_requeue(run: FaultRun) -> None:
    """SLURM sends the job of c2 again by itself; the node comes back for it, c1 stays lost."""
    name = FAULTS[REQUEUED]
    job = run.label_jobs(REQUEUED)[0]
    run.until(lambda: run.cluster.state(job.number) == "PENDING", "the requeue")
    run.faults[name].noticed_s = time.time() - run.moments[name].at
    # SLURM itself lets two minutes pass, until the credentials of the lost run have expired.
    run.cluster.start_node("c2")


@pytest.mark.parametrize("name", FAULTS)
def test_nothing_journaled_is_lost_or_paid_for_twice(name: str, faults: dict[str, Fault]) -> None:
    check(faults[name])
    assert faults[name].again == 0


def test_a_worker_s_death_is_mended_inside_its_job(faults: dict[str, Fault]) -> None:
    assert faults[FAULTS[WORKER]].ended == ["COMPLETED"]
    assert faults[FAULTS[WORKER]].repeated <= 1


def test_lost_node_without_requeue_needs_another_job_with_it_the_same(
    faults: dict[str, Fault],
) -> None:
    assert faults[FAULTS[LOST]].ended == ["NODE_FAIL", "COMPLETED"]
    assert faults[FAULTS[REQUEUED]].ended == ["COMPLETED"]
