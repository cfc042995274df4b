"""A private SLURM cluster on one host: munge, a controller and three nodes, all by pid.

Partitions: cpu (nodes c1, c2), gpu (node g1, two pretended GPUs), spare (c1, c2 again, preempted by
cpu). Needs slurm-wlm and munge (Debian), no cgroups, no systemd. By hand:

    eval "$(python tests/slurm/cluster.py up --root /tmp/lab)"
    python tests/slurm/cluster.py down --root /tmp/lab
"""

from __future__ import annotations

import argparse
import getpass
import os
import re
import shlex
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

# Run as a script, only this folder is on the path.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.slurm import processes
from tests.slurm.daemons import NODES, ClusterError, Daemons, check_programs

ROW = ("%i", "%A", "%T", "%N", "%P", "%Z", "%j", "%k")
WAITING = ("PENDING", "RUNNING", "SUSPENDED", "CONFIGURING", "COMPLETING", "STOPPED")
"""States of a job that has not ended."""


@dataclass(frozen=True)
class Job:
    """One job or array task, as squeue shows it; finished ones too."""

    job_id: str
    """What scancel takes: ``12``, or ``12_3`` for an array task."""
    number: str
    """The job's own number, also that of an array task: what SLURM_JOB_ID says inside."""
    state: str
    node: str
    partition: str
    workdir: str
    name: str
    comment: str


class Cluster(Daemons):
    """A private cluster. Start and stop it as a context manager, or with the methods."""

    def __enter__(self) -> Cluster:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start what does not run yet and wait until every node takes jobs."""
        check_programs()
        if len(str(self.root)) > 80:
            raise ClusterError(f"{self.root}: longer than 80 characters, sockets need a short path")
        self._write_settings()
        try:
            self._start_munge()
            self._start_controller()
            for node in NODES:
                self._start_slurmd(node)
            self._wait(self._ready, 30, "nodes do not come up")
        except (ClusterError, KeyboardInterrupt):
            self.stop(wipe=False)
            raise

    def stop(self, wipe: bool = True) -> None:
        """Cancel all jobs, end every process of this cluster, by pid; ``wipe`` its folder too."""
        if processes.daemon(self.root / "slurmctld.pid", "slurmctld"):
            self._try("scancel", "--quiet", f"--user={getpass.getuser()}")
            self._wait(lambda: not self._active(), 8, None)
        for node in NODES:
            processes.stop(self.root / f"slurmd-{node}.pid", "slurmd")
        self._kill_steps(self.slurmstepd_pids())
        self._stop_daemons()
        if wipe:
            shutil.rmtree(self.root, ignore_errors=True)

    # What a test asks

    def jobs(self, workdir: Path | None = None) -> list[Job]:
        """Jobs and array tasks as they were sent, ended ones too; of one folder if named."""
        text = self.command("squeue", "-h", "-r", "-t", "all", "-o", "\t".join(ROW))
        found = [Job(*line.split("\t", len(ROW) - 1)) for line in text.splitlines()]
        mine = [job for job in found if workdir in (None, Path(job.workdir))]
        return sorted(mine, key=lambda job: int(job.number))

    def state(self, number: str) -> str:
        """A job's state now, by its number or array id: RUNNING, COMPLETED, TIMEOUT..."""
        return next((j.state for j in self.jobs() if number in (j.job_id, j.number)), "UNKNOWN")

    def node_state(self, node: str) -> str:
        """A node's state in sinfo's short form: idle, mix, alloc, down, drain (* no answer)."""
        return self.command("sinfo", "-h", "-n", node, "-p", "gpu,cpu", "-o", "%t").split()[0]

    def slurmstepd_pids(self, number: str | None = None) -> list[int]:
        """Step daemons of this cluster: all of them, or those of one job's number."""
        found = []
        for pid in processes.all_pids():
            title = re.match(r"slurmstepd: \[(\d+)\.", processes.command_line(pid))
            if title and number in (None, title[1]) and self._ours(pid):
                found.append(pid)
        return found

    def job_processes(self, number: str) -> list[int]:
        """Every process under a job's step daemons, the batch script first."""
        return processes.descendants(self.slurmstepd_pids(number))

    # What a test does to it

    def scancel(self, job: str, *options: str) -> None:
        self.command("scancel", *options, job)

    def update_job(self, job: str, **fields: object) -> None:
        """scontrol update, e.g. ``update_job("12", TimeLimit="00:01:00")``."""
        changes = [f"{key}={value}" for key, value in fields.items()]
        self.command("scontrol", "update", f"JobId={job}", *changes)

    def kill_node(self, node: str) -> list[int]:
        """The node is lost, with all that ran on it. Returns the pids killed."""
        slurmd = processes.daemon(self.root / f"slurmd-{node}.pid", "slurmd")
        running = {job.number for job in self._active() if job.node == node}
        # The daemon first: it would report the death of its steps.
        processes.kill([slurmd] if slurmd else [])
        steps = [pid for number in running for pid in self.slurmstepd_pids(number)]
        return [slurmd, *self._kill_steps(steps)]

    def start_node(self, node: str) -> None:
        """The node comes back, empty; waits until it takes jobs."""
        self._start_slurmd(node)
        up = ("idle", "mix", "alloc")
        self._wait(lambda: self.node_state(node) in up, 60, f"{node} does not come back")

    def kill_controller(self) -> None:
        """SIGKILL slurmctld, what it knows of jobs by now being on disk; jobs run on."""
        self._wait_until_saved()
        pid = processes.daemon(self.root / "slurmctld.pid", "slurmctld")
        helpers = processes.descendants([pid]) if pid else []
        processes.kill([pid, *helpers] if pid else [])
        processes.wait_until_gone([pid, *helpers] if pid else [], 5)

    def start_controller(self) -> None:
        self._start_controller()

    def restart_controller(self, down_s: float) -> None:
        """Kill slurmctld, leave the cluster without it for a while, start it again."""
        self.kill_controller()
        time.sleep(down_s)
        self.start_controller()

    def _wait_until_saved(self) -> None:
        """A job whose start slurmctld had not yet written down would start twice."""
        state = self.root / "state" / "job_state"
        before = state.stat().st_mtime_ns if state.exists() else 0
        # A change makes it write, and what was there before the change is written with it.
        held = self.command(
            "sbatch", "--parsable", "--hold", f"--chdir={self.root}", "--wrap=true"
        ).strip()
        self.scancel(held)
        saved = "slurmctld does not write its state"
        self._wait(lambda: state.exists() and state.stat().st_mtime_ns > before, 30, saved)

    def _active(self) -> list[Job]:
        return [job for job in self.jobs() if job.state in WAITING]

    def _ours(self, pid: int) -> bool:
        return processes.environment_of(pid).get("SLURM_CONF") == str(self.root / "slurm.conf")

    def _kill_steps(self, steps: list[int]) -> list[int]:
        # Stopped first, so that no parent can replace or report what dies below it.
        processes.kill(steps, signal.SIGSTOP)
        doomed = [*steps, *processes.descendants(steps)]
        processes.kill(doomed)
        processes.wait_until_gone(doomed, 5)
        return doomed


def end_tests(folder: Path) -> None:
    """End every process of a test run: those whose environment names the run's folder.

    It is in CLUSTER_TESTS, and in SLURM_CONF of step daemons, which know little else.
    """
    for _ in range(20):
        left = [
            pid
            for pid in processes.all_pids()
            if pid != os.getpid()
            and any(str(folder) in value for value in processes.environment_of(pid).values())
        ]
        if not left:
            return
        processes.kill(left)
        processes.wait_until_gone(left, 2)
    raise ClusterError(f"these processes do not end: {left}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("action", choices=["up", "down"])
    parser.add_argument("--root", type=Path, help="the cluster's folder")
    parser.add_argument(
        "--all", type=Path, help="down: all that was started with this CLUSTER_TESTS"
    )
    parser.add_argument("--port", type=int, help="up: first of four ports")
    options = parser.parse_args(arguments)
    if bool(options.root) == bool(options.all and options.action == "down"):
        parser.error("one of --root, or --all with down")
    try:
        if options.action == "up":
            cluster = Cluster(options.root, options.port)
            cluster.start()
            for name, value in cluster.environment().items():
                print(f"export {name}={shlex.quote(value)}")
        elif options.all:
            end_tests(options.all)
        else:
            Cluster(options.root).stop()
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
