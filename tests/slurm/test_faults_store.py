"""Ctrl-C; no space for labels; the cluster's own controller goes away for a while."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .cluster import Cluster
from .fault_campaign import prepared_copy, reference, sessions_folder
from .faults import Fault, FaultRun, check

pytestmark = pytest.mark.slow

INTERRUPTED, FULL, RESTARTED = FAULTS = [
    "snakemake interrupted",
    "disk full for the journal",
    "slurmctld restarted",
]
SHARDS = [0, 1]
DOWN_S = 15.0


@pytest.fixture(scope="module")
def faults(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Fault]]:
    """One campaign, its label store on a small disk of its own."""
    sessions = sessions_folder(tmp_path_factory)
    space = prepared_copy(
        sessions, tmp_path_factory.mktemp("store") / "campaign", cluster,
        "--retries", "1", "--set-threads", "label_batch=2",
        "--set-resources", "label_batch:mem_mb=3000", "label_batch:runtime=10",
        labels={"shards": len(SHARDS)},
    )  # fmt: skip
    store = space.folder / "results" / "label_store"
    kept = store.rename(store.with_name("kept"))
    store.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", store]).returncode:
        pytest.fail("a small disk needs the right to mount one (root, CAP_SYS_ADMIN)")
    run = None
    try:
        subprocess.run(["cp", "-a", f"{kept}/.", str(store)], check=True)
        run = FaultRun(space, cluster)
        type_and_wait(run)
        run.strike(INTERRUPTED, SHARDS, lambda: os.killpg(run.pid, signal.SIGINT))
        assert run.ended() != 0
        type_and_wait(run)
        filler = run.strike(FULL, SHARDS, lambda: fill(store))
        assert run.ended() != 0, "labels were recorded on a full disk"
        filler.unlink()
        type_and_wait(run)
        run.strike(RESTARTED, SHARDS, lambda: cluster.restart_controller(DOWN_S))
        run.finish()
        yield run.count(reference(sessions))
    finally:
        if run is not None:
            run.close()
        subprocess.run(["umount", "--lazy", str(store)], check=True)


def type_and_wait(run: FaultRun) -> None:
    """The same command, until a label job of its own has journaled a row and computes another."""
    run.type_command()
    run.until_at_work(SHARDS)


def fill(folder: Path) -> Path:
    """A file that takes all space that is left."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                pass
        except OSError as error:
            assert error.errno == errno.ENOSPC
    return filler


@pytest.mark.parametrize("name", FAULTS)
def test_nothing_journaled_is_lost_or_paid_for_twice(name: str, faults: dict[str, Fault]) -> None:
    check(faults[name])


def test_each_stop_of_the_controller_costs_the_same_command_again(
    faults: dict[str, Fault],
) -> None:
    assert [faults[name].again for name in FAULTS] == [1, 1, 0]


def test_running_jobs_do_not_need_slurmctld(faults: dict[str, Fault]) -> None:
    assert faults[RESTARTED].repeated == 0
