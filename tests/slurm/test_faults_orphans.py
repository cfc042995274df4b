"""Jobs that outlive their controller: one goes on, others die, wake or start late."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from . import processes
from .cluster import WAITING, Cluster, Job
from .fault_campaign import prepared_copy, reference, sessions_folder
from .faults import Fault, FaultRun, check

pytestmark = pytest.mark.slow

GOES_ON, DIES, WAKES, STARTS = FAULTS = [
    "snakemake killed",
    "orphan that dies late",
    "orphan that wakes late",
    "orphan that starts late",
]
SHARDS = [0, 1, 2, 3]


@dataclass
class Outcome:
    """The campaign after its end, and after its orphans' end."""

    faults: dict[str, Fault]
    before: dict[Path, tuple[int, bytes]]
    after: dict[Path, tuple[int, bytes]]
    orphans: dict[str, Job]
    said: dict[str, str]
    """What each orphan printed, in the rule's log and in SLURM's."""
    last_words: str


@pytest.fixture(scope="module")
def outcome(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    """The controller is killed while one label job computes, two hang and one is queued."""
    sessions = sessions_folder(tmp_path_factory)
    space = prepared_copy(
        sessions, tmp_path_factory.mktemp("orphans") / "campaign", cluster,
        "--set-threads", "label_batch=2",
        "--set-resources", "label_batch:mem_mb=3000", "label_batch:runtime=10",
        labels={"shards": len(SHARDS)},
    )  # fmt: skip
    run = FaultRun(space, cluster)
    try:
        blockers = leave_room_for_three(cluster, space.folder)
        run.type_command()
        orphans = lose_the_controller(run)
        for number in blockers:
            cluster.scancel(number)
        run.type_command()
        run.finish()
        before = files(space.results)
        end_orphans(run, orphans)
        run.type_command()
        run.finish()
        jobs = {job.number: job for job in cluster.jobs()}
        now = {name: jobs[job.number] for name, job in orphans.items()}
        yield Outcome(
            run.count(reference(sessions)), before, files(space.results), now,
            {name: said_by(run, job) for name, job in orphans.items()},
            (space.folder / f"command{run.commands}.log").read_text(),
        )  # fmt: skip
    finally:
        run.close()


def leave_room_for_three(cluster: Cluster, folder: Path) -> list[str]:
    """Other people's jobs fill the cluster but for six cores of c2."""
    common = ["-p", "cpu", "--mem=100", "-o", "/dev/null", "-D", folder, "--wrap", "sleep 900"]
    rooms = {"c1": cluster.cpus, "c2": cluster.cpus - 6}
    return [
        cluster.command("sbatch", "--parsable", "-w", node, f"-c{cores}", *map(str, common)).strip()
        for node, cores in rooms.items()
    ]


def lose_the_controller(run: FaultRun) -> dict[str, Job]:
    """One label job waits, three have journaled a row, two of them hang; snakemake is killed."""

    def all_sent() -> bool:
        states = sorted(job.state for s in SHARDS for job in run.label_jobs(s)[:1])
        return states == ["PENDING", *["RUNNING"] * 3]

    run.until(all_sent, "three label jobs that run and one that waits")
    waiting = next(s for s in SHARDS if run.label_jobs(s)[0].state == "PENDING")
    running = [s for s in SHARDS if s != waiting]
    shards = dict(zip(FAULTS, [*running, waiting], strict=True))
    orphans = {name: run.label_jobs(shard)[0] for name, shard in shards.items()}
    run.cluster.command("scontrol", "hold", orphans[STARTS].job_id)
    # A script hangs, its workers end what they were given and wait for more. The third job pauses
    # until the others are at work as well.
    blows = {
        DIES: lambda job: processes.kill([run.script(job)], signal.SIGSTOP),
        WAKES: lambda job: processes.kill([run.script(job)], signal.SIGSTOP),
        GOES_ON: lambda job: processes.kill(label_processes(run, job), signal.SIGSTOP),
    }
    run.strike_at_work({name: (shards[name], blow) for name, blow in blows.items()})
    run.strike(STARTS, [waiting], lambda: processes.kill([run.pid]))
    processes.kill(label_processes(run, orphans[GOES_ON]), signal.SIGCONT)
    run.ended()
    return orphans


def label_processes(run: FaultRun, job: Job) -> list[int]:
    return [run.script(job), *run.workers(job)]


def end_orphans(run: FaultRun, orphans: dict[str, Job]) -> None:
    """After the campaign's end each orphan comes to its own."""
    # The plugin has removed the folder of the shard's logs: without it no job would start at all.
    log_of(run, orphans[STARTS]).parent.mkdir(parents=True, exist_ok=True)
    run.cluster.scancel(orphans[DIES].job_id)
    processes.kill([run.script(orphans[WAKES])], signal.SIGCONT)
    run.cluster.command("scontrol", "release", orphans[STARTS].job_id)
    numbers = {job.number for job in orphans.values()}
    run.until(
        lambda: not {j.number for j in run.cluster.jobs() if j.state in WAITING} & numbers,
        "the end of the orphans", 120,
    )  # fmt: skip


def log_of(run: FaultRun, job: Job) -> Path:
    """SLURM's log of a label job."""
    logs = run.space.folder / ".snakemake" / "slurm_logs" / "rule_label_batch"
    return logs / f"0_{job.comment.rsplit('_', 1)[1]}" / f"{job.number}.log"


def said_by(run: FaultRun, job: Job) -> str:
    shard = job.comment.rsplit("_", 1)[1]
    logs = [log_of(run, job), run.space.results / "logs" / "label_batch" / f"0_{shard}.log"]
    return "\n".join(path.read_text() for path in logs if path.exists())


def files(results: Path) -> dict[Path, tuple[int, bytes]]:
    """Every output of the workflow: time and content."""
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in results.rglob("*")
        if path.is_file() and path.suffix in (".parquet", ".json", ".pt", ".html")
    }


@pytest.mark.parametrize("name", FAULTS)
def test_nothing_journaled_is_lost_or_paid_for_twice(name: str, outcome: Outcome) -> None:
    check(outcome.faults[name], at_work=name != STARTS)


def test_jobs_that_outlive_a_killed_controller_are_not_repeated(outcome: Outcome) -> None:
    assert outcome.faults[GOES_ON].repeated == 0


def test_orphans_end_as_they_should(outcome: Outcome) -> None:
    assert outcome.orphans[DIES].state in ("CANCELLED", "FAILED")
    woken, late = outcome.orphans[WAKES], outcome.orphans[STARTS]
    assert woken.state == "COMPLETED" or "superseded" in outcome.said[WAKES]
    assert late.state == "FAILED"
    assert "superseded: another controller" in outcome.said[STARTS]


def test_no_output_is_touched_by_an_orphan(outcome: Outcome) -> None:
    assert outcome.before.keys() == outcome.after.keys()
    for path, (time, content) in outcome.before.items():
        assert outcome.after[path] == (time, content), path


def test_same_command_after_the_orphans_has_nothing_to_do(outcome: Outcome) -> None:
    assert "Nothing to be done" in outcome.last_words
