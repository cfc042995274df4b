"""The private cluster itself: what the other tests take for granted."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from . import cluster as cluster_module
from . import daemons, processes
from .cluster import Cluster, ClusterError
from .conftest import cluster_folder


def submit(cluster: Cluster, folder: Path, script: str, *options: str) -> str:
    """sbatch of a one-line script; returns the job's number."""
    return cluster.command(
        "sbatch", "--parsable", f"--chdir={folder}", "--output=%j.out", *options, f"--wrap={script}"
    ).strip()


def wait_for(true: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.1)


def test_srun_inside_a_job_finds_its_cluster_without_slurm_conf(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Snakemake's jobstep plugin takes SLURM_CONF away; the shim in PATH gives it back."""
    inside = f"unset SLURM_CONF; export PATH={cluster.environment()['PATH']}; srun -n1 printenv"
    number = submit(cluster, tmp_path, inside, "--partition=gpu", "--gres=gpu:2", "--wait")
    assert cluster.state(number) == "COMPLETED"
    printed = (tmp_path / f"{number}.out").read_text().splitlines()
    assert f"SLURM_JOB_ID={number}" in printed
    assert "CUDA_VISIBLE_DEVICES=0,1" in printed


def test_a_lost_node_loses_its_processes_and_comes_back_empty(
    cluster: Cluster, tmp_path: Path
) -> None:
    number = submit(cluster, tmp_path, "sleep 600 & setsid sleep 600 & wait", "--no-requeue")
    wait_for(lambda: len(cluster.job_processes(number)) == 3)
    (job,) = cluster.jobs(tmp_path)
    running = cluster.job_processes(number)
    assert set(running) <= set(cluster.kill_node(job.node))
    assert not any(map(processes.command_name, running))
    wait_for(lambda: cluster.state(number) == "NODE_FAIL")
    cluster.start_node(job.node)
    assert cluster.node_state(job.node) == "idle"


def test_jobs_survive_the_controller(cluster: Cluster, tmp_path: Path) -> None:
    number = submit(cluster, tmp_path, "sleep 600")
    wait_for(lambda: cluster.job_processes(number))
    running = cluster.job_processes(number)
    cluster.restart_controller(down_s=1)
    assert cluster.job_processes(number) == running
    assert cluster.state(number) == "RUNNING"
    cluster.scancel(number)
    wait_for(lambda: cluster.state(number) == "CANCELLED")


def test_a_preempted_job_is_signalled_before_it_ends(tmp_path: Path) -> None:
    """On a cluster of its own, beside the other tests'."""
    root = cluster_folder()
    with Cluster(root, grace_s=30) as second:
        told = "trap 'echo told >&2; exit 3' TERM; while :; do sleep 0.1; done"
        low = submit(second, tmp_path, f'srun sh -c "{told}"', "--partition=spare", "-c8", "-wc1")
        wait_for(lambda: len(second.job_processes(low)) >= 3)
        high = submit(second, tmp_path, "true", "--partition=cpu", "-c8", "-wc1")
        wait_for(lambda: "told" in (tmp_path / f"{low}.out").read_text())
        wait_for(lambda: second.state(high) == "COMPLETED")
        daemon_pids = [pid for pid in processes.all_pids() if second._ours(pid)]
        assert daemon_pids
    assert not any(map(processes.command_name, daemon_pids))
    assert not root.exists()


def test_missing_programs_are_named_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemons, "SEARCH_PATH", str(tmp_path))
    with pytest.raises(ClusterError, match=r"munged.*apt-get install slurm-wlm munge"):
        Cluster(tmp_path / "root").start()


def test_by_hand_it_prints_what_a_shell_needs() -> None:
    root = cluster_folder()
    program = [sys.executable, cluster_module.__file__]
    try:
        up = subprocess.run(
            [*program, "up", "--root", root], capture_output=True, text=True, check=True
        )
        shell = f"{up.stdout}\nsinfo -h -o %R"
        seen = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)
        assert set(seen.stdout.split()) == {"cpu", "gpu", "spare"}
    finally:
        subprocess.run([*program, "down", "--root", root], check=True)
    assert not root.exists()
