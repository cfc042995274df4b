"""What share of the core-time that label jobs were granted goes into calculations.

Two campaigns of small quinones with real DFT labels, one of about 1 core-second each and one of
about 60 by the tables (27 on a fast core: what they took is printed), run to the labels of round 0,
each on a private SLURM cluster (``tests/slurm/cluster.py``, needs root) and with the local profile.
Granted is cores x time from the start of a job to its end (squeue's on the cluster, Snakemake's log
on the local machine, both to the second); used is the sum of the labels' own wall times, which hold
no import and no waiting for work. The rest is told apart:

- start: until the first calculation begins (two Snakemakes on a cluster, imports, workers);
- between: idle workers while there is work (claims, journals, workers that come later);
- tail: idle workers after the last calculation was begun;
- hand-in: from the end of the last calculation to the end of the job.

A node has as many cores as this machine and one job runs at a time, so that no core is granted
twice: on an oversubscribed core a calculation's wall time would hold waiting and flatter the share.
For the same reason nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from workflow_overhead import LABELLING, jobs_of

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from tests.slurm.cluster import Cluster, ClusterError  # noqa: E402

from molsieve.labelling.store import read_attempts  # noqa: E402

COUPLES = [
    "1,4-benzoquinone",
    "2-methyl-1,4-benzoquinone",
    "2,3-dimethyl-1,4-benzoquinone",
    "2,5-dimethyl-1,4-benzoquinone",
    "2-chloro-1,4-benzoquinone",
    "2,6-dichloro-1,4-benzoquinone",
    "1,2-benzoquinone",
    "o-chloranil",
    "1,4-naphthoquinone",
    "lawsone",
]
SHORT = {"functional": "PBE", "basis": "STO-3G", "grid_level": 0}
LONG = {"functional": "B3LYP", "basis": "def2-SVP"}


@dataclass(frozen=True)
class Granted:
    """One job: its rule, when it ran (unix s) and on how many cores."""

    rule: str
    start: float
    end: float
    cores: int

    @property
    def core_s(self) -> float:
        """Cores x time."""
        return (self.end - self.start) * self.cores


def campaign_of(
    name: str, level: dict[str, Any], substituents: list[str], labels: int, copies: int
) -> dict[str, Any]:
    """Small benzoquinones; ``copies`` displaced ones beside each relaxed structure."""
    scaffold = {"name": "1,4-benzoquinone", "smiles": "O=C1C([*:1])=C([*:2])C(=O)C([*:3])=C1[*:4]"}
    source = {"kind": "enumerate", "scaffolds": [scaffold], "substituents": substituents}
    return {
        "campaign": name,
        "domain": "flow_battery",
        "candidates": {"source": source | {"max_substitutions": 2}, "shards": 1},
        "objective": {"direction": "posolyte", "reference_couples": COUPLES},
        "structures": {"conformers": 1},
        "levels": {"dft": {"engine": "pyscf", **level}},
        "labels": {"level": "dft", "shards": 1},
        "acquisition": {"seed_labels": labels, "displaced_per_species": copies},
        "stop": {"max_rounds": 1, "max_labels": labels},
        "ranking": {"confirm": {"level": "dft", "shards": 1}},
    }


def run_campaign(folder: Path, campaign: dict[str, Any], options: list[str], env: dict) -> None:
    """Run a campaign to the labels of its first round."""
    (folder / "campaign.yaml").write_text(yaml.safe_dump(campaign))
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile")]
    command += ["--configfile", "campaign.yaml", *options]
    command += ["--", f"results/{campaign['campaign']}/rounds/0/receipts/0.parquet"]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"the campaign failed:\n{done.stdout[-4000:]}\n{done.stderr[-8000:]}")


def on_local_machine(folder: Path, campaign: dict[str, Any], cores: int) -> list[Granted]:
    """Run with ``profiles/local``; its jobs."""
    profile = str(REPOSITORY / "profiles" / "local")
    run_campaign(folder, campaign, ["--workflow-profile", profile, "--cores", str(cores)], {})
    logs = (folder / ".snakemake" / "log").glob("*.log")
    return [Granted(*job) for path in logs for job in jobs_of(path)]


def on_cluster(folder: Path, campaign: dict[str, Any], cores: int) -> list[Granted]:
    """Run with ``profiles/slurm``, one job at a time; its jobs."""
    options = ["--workflow-profile", str(REPOSITORY / "profiles" / "slurm"), "--jobs", "1"]
    options += ["--max-threads", str(cores), "--slurm-init-seconds-before-status-checks", "2"]
    # Sockets need a short path.
    with ExitStack() as stack:
        root = stack.enter_context(tempfile.TemporaryDirectory(prefix="lab-", dir="/tmp"))
        cluster = stack.enter_context(Cluster(Path(root) / "slurm", cpus=cores))
        run_campaign(folder, campaign, options, cluster.environment())
        return list(jobs_of_cluster(cluster))


def jobs_of_cluster(cluster: Cluster) -> Iterator[Granted]:
    """Ended jobs, as squeue still shows them."""
    for row in cluster.command("squeue", "-h", "-t", "all", "-o", "%k|%S|%e|%C").splitlines():
        comment, start, end, cores = row.rsplit("|", 3)
        rule = comment.removeprefix("rule_").partition("_wildcards_")[0]
        started, ended = (datetime.fromisoformat(text).timestamp() for text in (start, end))
        yield Granted(rule, started, ended, int(cores))


def calculations(folder: Path) -> pd.DataFrame:
    """Unix times (s) at which every calculation of the folder's campaign began and ended."""
    store = folder / "results" / "label_store"
    rows = pd.concat([read_attempts(store, path.name) for path in store.iterdir()])
    begun = rows["attempt_id"].map(lambda name: int(name.partition("-")[0], 16) / 1e9)
    return pd.DataFrame({"begun": begun, "ended": begun + rows["wall_s"], "wall_s": rows["wall_s"]})


def parts_of(job: Granted, done: pd.DataFrame) -> pd.Series:
    """Core-seconds of a label job by what they went into."""
    # Jobs' times are cut to the second.
    mine = done[(done["begun"] > job.start - 1) & (done["begun"] < job.end + 1)]
    first, last_begun, last = mine["begun"].min(), mine["begun"].max(), mine["ended"].max()
    left = np.clip(mine["ended"] - last_begun, 0, None).sum()
    used = mine["wall_s"].sum()
    return pd.Series(
        {
            "used": used,
            "start": job.cores * (first - job.start),
            "between": job.cores * (last_begun - first) - (used - left),
            "tail": job.cores * (last - last_begun) - left,
            "hand-in": job.cores * (job.end - last),
            "labels": len(mine),
        }
    )


def report(name: str, jobs: list[Granted], done: pd.DataFrame) -> float:
    """Print where the core-time of a campaign went; the share of label jobs that was used."""
    labelling = [job for job in jobs if job.rule in LABELLING]
    parts = sum(parts_of(job, done) for job in labelling)
    granted = sum(job.core_s for job in labelling)
    every = sum(job.core_s for job in jobs)
    shares = ", ".join(f"{key} {parts[key] / granted:.1%}" for key in parts.index[:-1])
    print(
        f"{name}: {parts['labels']:.0f} labels of {done['wall_s'].mean():.2f} s, label jobs of "
        f"{', '.join(f'{job.end - job.start:.0f} s x {job.cores}' for job in labelling)} cores"
    )
    print(f"    of {granted:.0f} core-s granted to label jobs: {shares}")
    print(f"    of {every:.0f} core-s granted to all jobs: {parts['used'] / every:.1%} used")
    sys.stdout.flush()
    return float(parts["used"] / granted)


def main() -> None:
    """Run both campaigns in both places and print, last, the claim."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--short-labels", type=int, default=300, help="0: none of about 1 s")
    parser.add_argument("--long-labels", type=int, default=20, help="0: none of about 60 s")
    parser.add_argument("--only", choices=["cluster", "local"])
    arguments = parser.parse_args()
    campaigns = {
        "1 s": campaign_of("short", SHORT, ["*O", "*F", "*C"], arguments.short_labels, copies=4),
        "60 s": campaign_of("long", LONG, ["*C", "*OC", "*Cl"], arguments.long_labels, copies=1),
    }
    places = {"cluster": on_cluster, "local": on_local_machine}
    shares: dict[str, dict[str, float]] = {}
    for name, campaign in campaigns.items():
        for place, run in places.items():
            if arguments.only not in (None, place) or not campaign["stop"]["max_labels"]:
                continue
            with tempfile.TemporaryDirectory() as text:
                try:
                    jobs = run(Path(text), campaign, arguments.cores)
                except ClusterError as error:
                    print(f"{name}, {place}: left out, {error}")
                    continue
                share = report(f"{name}, {place}", jobs, calculations(Path(text)))
            shares.setdefault(name, {})[place] = share
    said = [
        f"{name}: " + ", ".join(f"{share:.0%} {place}" for place, share in of.items())
        for name, of in shares.items()
    ]
    print(
        "claim: share of label jobs' core-time spent computing, by length of a calculation"
        f" | ours: {'; '.join(said)} | peer: - | ratio: -"
    )


if __name__ == "__main__":
    main()
