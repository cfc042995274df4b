"""The daemons of a private SLURM cluster: their settings, how they start and answer."""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import socket
import stat
import string
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.slurm import processes

NODES = ("c1", "c2", "g1")
SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
PROGRAMS = ("munged", "munge", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "srun")


class ClusterError(Exception):
    """The cluster cannot start or does not answer; says what to do."""


class Daemons:
    """munged, slurmctld and one slurmd a node, all of them under ``root``.

    Several clusters run side by side: each has its own munge socket, names and ports, ``base_port``
    (the controller's) to ``base_port + 3``. The root's path must be short (sockets: 80 characters).

    Args:
        cpus: cores each node pretends. memory_mb: memory each node pretends.
        kill_wait_s: seconds between SIGTERM and SIGKILL at a time limit or scancel.
        slurmd_timeout_s: seconds until a silent node counts as lost (NODE_FAIL).
        preempt_mode: CANCEL or REQUEUE, what happens to preempted jobs of partition spare.
        grace_s: seconds between SIGTERM and the end of a preempted job.
        task_plugin: task/none, or task/affinity to bind jobs to their cores.
    """

    def __init__(
        self,
        root: Path,
        base_port: int | None = None,
        *,
        cpus: int = 8,
        memory_mb: int = 32000,
        kill_wait_s: int = 5,
        slurmd_timeout_s: int = 15,
        preempt_mode: str = "CANCEL",
        grace_s: int = 20,
        task_plugin: str = "task/none",
    ) -> None:
        self.root = Path(root).resolve()
        self.base_port = base_port or free_base_port()
        self.cpus = cpus
        self.memory_mb = memory_mb
        self.settings = {
            "kill_wait_s": kill_wait_s,
            "slurmd_timeout_s": slurmd_timeout_s,
            "preempt_mode": preempt_mode,
            "grace_s": grace_s,
            "task_plugin": task_plugin,
        }

    def environment(self) -> dict[str, str]:
        """What a user's shell on this cluster has beyond the machine's: put into os.environ."""
        path = os.environ.get("PATH", SEARCH_PATH)
        shims = str(self.root / "bin")
        if shims not in path.split(":"):
            path = f"{shims}:{path}"
        return {"SLURM_CONF": str(self.root / "slurm.conf"), "PATH": path}

    def command(self, *arguments: str) -> str:
        """Output of a SLURM command; raises ClusterError with its message if it fails."""
        done = self._try(*arguments)
        if done.returncode:
            raise ClusterError(f"{' '.join(arguments)}: {done.stderr.strip() or done.returncode}")
        return done.stdout

    # Settings

    def _write_settings(self) -> None:
        if processes.daemon(self.root / "slurmctld.pid", "slurmctld"):
            return  # a running cluster keeps its settings
        for folder in ("state", "munge", "bin", "dev", *(f"spool-{node}" for node in NODES)):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        # munged refuses a socket that others could not reach and a key that they could read.
        self.root.chmod(0o755)
        (self.root / "munge").chmod(0o711)
        key = self.root / "munge" / "key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(1024))
        template = Path(__file__).with_name("slurm.conf.template").read_text()
        values = {
            "name": f"molsieve{self.base_port}",
            "host": socket.gethostname().split(".")[0],
            "port": self.base_port,
            "user": getpass.getuser(),
            "root": self.root,
            "nodes": "\n".join(map(self._node_line, NODES)),
        }
        filled = string.Template(template).substitute(values | self.settings)
        (self.root / "slurm.conf").write_text(filled)
        self._write_devices()
        self._write_srun()

    def _node_line(self, node: str) -> str:
        gpus = " Gres=gpu:2" if node.startswith("g") else ""
        return (
            f"NodeName={node} NodeHostname={socket.gethostname().split('.')[0]}"
            f" NodeAddr=127.0.0.1 Port={self.base_port + 1 + NODES.index(node)}"
            f" CPUs={self.cpus} RealMemory={self.memory_mb}{gpus} State=UNKNOWN"
        )

    def _write_devices(self) -> None:
        """Devices that stand for the GPUs, and the table that names them."""
        for number in range(2):
            device = self.root / "dev" / f"gpu{number}"
            if not device.is_symlink():
                # slurmd hands out devices only (CUDA_VISIBLE_DEVICES); a plain file is none.
                device.symlink_to(os.devnull)
        gpus = f"NodeName=g1 Name=gpu Flags=nvidia_gpu_env File={self.root}/dev/gpu[0-1]"
        (self.root / "gres.conf").write_text(f"AutoDetect=off\n{gpus}\n")

    def _write_srun(self) -> None:
        """An srun that knows its cluster: Snakemake's jobstep plugin takes SLURM_CONF away."""
        shim = self.root / "bin" / "srun"
        real = shutil.which("srun", path=SEARCH_PATH)
        conf = self.root / "slurm.conf"
        shim.write_text(f'#!/bin/sh\nexport SLURM_CONF="{conf}"\nexec {real} "$@"\n')
        shim.chmod(shim.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)

    # Processes

    def _start_munge(self) -> None:
        if processes.daemon(self.root / "munged.pid", "munged"):
            return
        folder = self.root / "munge"
        self.command(
            "munged", "--force", "--num-threads=4", f"--key-file={folder}/key",
            f"--socket={folder}/socket", f"--seed-file={folder}/seed",
            f"--pid-file={self.root}/munged.pid", f"--log-file={self.root}/munged.log",
        )  # fmt: skip

    def _start_controller(self) -> None:
        if not processes.daemon(self.root / "slurmctld.pid", "slurmctld"):
            self.command("slurmctld")
        answers = "slurmctld does not answer"
        self._wait(lambda: "UP" in self._try("scontrol", "ping").stdout, 30, answers)

    def _start_slurmd(self, node: str) -> None:
        if not processes.daemon(self.root / f"slurmd-{node}.pid", "slurmd"):
            self.command("slurmd", "-N", node)

    def _stop_daemons(self) -> None:
        processes.stop(self.root / "slurmctld.pid", "slurmctld", 20)
        processes.stop(self.root / "munged.pid", "munged")

    def _ready(self) -> bool:
        rows = self._try("sinfo", "-h", "-N", "-t", "idle,mix,alloc", "-o", "%N").stdout
        missing = set(NODES) - set(rows.split())
        for node in missing:  # left down by an earlier life of the same folder
            self._try("scontrol", "update", f"NodeName={node}", "State=RESUME")
        return not missing

    def _try(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            arguments,
            env=os.environ | self._daemon_environment(),
            capture_output=True,
            text=True,
            timeout=60,
        )

    def _daemon_environment(self) -> dict[str, str]:
        return {"SLURM_CONF": str(self.root / "slurm.conf"), "PATH": SEARCH_PATH, "LC_ALL": "C"}

    def _wait(self, true: Callable[[], object], seconds: float, failure: str | None) -> None:
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() > end:
                if failure:
                    raise ClusterError(f"{failure} (logs in {self.root})")
                return
            time.sleep(0.1)


def free_base_port() -> int:
    """The first of four neighbouring ports that nothing listens on now."""
    start = 20000 + os.getpid() % 1000 * 10
    for base in range(start, start + 2000, 10):
        if all(_is_free(base + offset) for offset in range(4)):
            return base
    raise ClusterError(f"no free ports from {start} on")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def check_programs() -> None:
    missing = [name for name in PROGRAMS if not shutil.which(name, path=SEARCH_PATH)]
    if missing:
        raise ClusterError(f"{', '.join(missing)} missing: apt-get install slurm-wlm munge")
