"""The dry run of a campaign of a million candidates: seconds, memory, and that neither grows.

``snakemake -n`` of ``config/flow_battery.yaml`` (8 rounds, 10,800 labels) with three choices of
substituents: 10⁴, 10⁵ and 10⁶ raw candidates. Shards are the same for all three, sized for the
largest (jobs of one to three hours; what ``molsieve plan`` says of them is printed). Time is the
least of ``--repeats``; memory is the largest sum of resident memory over the process and its
children, looked at every 10 ms (never less than the largest single process, which the kernel
counts exactly). CPU times are compared, as other work on the machine changes them least.
"""

from __future__ import annotations

import argparse
import copy
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from molsieve.loading import load_campaign, read_yaml
from molsieve.plan.counts import plan

REPOSITORY = Path(__file__).resolve().parents[1]
SIZES = {"10⁴": (3, 5), "10⁵": (3, 11), "10⁶": (4, 11)}
"""Name → (``max_substitutions``, how many of the campaign's substituents)."""
SHARDS = {"candidates": 200, "labels": 30, "prediction": 60}
SECONDS_ALLOWED, MB_ALLOWED = 15.0, 500.0


@dataclass(frozen=True)
class DryRun:
    """What one dry run took: wall and CPU seconds, peak resident MB of its processes; its jobs."""

    seconds: float
    cpu_s: float
    peak_mb: float
    jobs: int


def campaign_of(size: str) -> dict[str, Any]:
    """The flow-battery campaign with that many raw candidates."""
    campaign = copy.deepcopy(read_yaml(REPOSITORY / "config" / "flow_battery.yaml"))
    substitutions, substituents = SIZES[size]
    source = campaign["candidates"]["source"]
    source["max_substitutions"] = substitutions
    source["substituents"] = source["substituents"][:substituents]
    for section, shards in SHARDS.items():
        campaign[section]["shards"] = shards
    return campaign


def dry_run(campaign: Path) -> DryRun:
    """One ``snakemake -n`` in the campaign's folder."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "rules"]
    command += ["--snakefile", str(REPOSITORY / "Snakefile"), "--configfile", str(campaign)]
    command += ["--workflow-profile", str(REPOSITORY / "profiles" / "local")]
    with tempfile.TemporaryFile("w+") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=campaign.parent, stdout=output, stderr=output)
        peak, usage = watched_until_its_end(process)
        seconds = time.perf_counter() - started
        output.seek(0)
        printed = output.read()
    jobs = re.search(r"^total +(\d+)$", printed, re.MULTILINE)
    if process.returncode or jobs is None:
        sys.exit(f"the dry run failed:\n{printed[-4000:]}")
    return DryRun(seconds, usage.ru_utime + usage.ru_stime, peak / 1e6, int(jobs[1]))


def watched_until_its_end(
    process: subprocess.Popen[bytes],
) -> tuple[int, resource.struct_rusage]:
    """Largest resident memory (bytes) of a process and its children, and what it used."""
    peak = 0
    while True:
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            process.returncode = os.waitstatus_to_exitcode(status)
            return max(peak, 1024 * usage.ru_maxrss), usage
        peak = max(peak, resident_bytes(process.pid))
        time.sleep(0.01)


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and its children now."""
    total = 0
    try:
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            total += process.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total


def best_of(runs: list[DryRun]) -> DryRun:
    """Least times, largest memory."""
    return DryRun(
        min(run.seconds for run in runs),
        min(run.cpu_s for run in runs),
        max(run.peak_mb for run in runs),
        runs[0].jobs,
    )


def report(size: str, campaign: Path, runs: list[DryRun]) -> None:
    """What the campaign is, what its dry runs took, and how long its jobs will be."""
    planned, best = plan(load_campaign(campaign)), best_of(runs)
    print(
        f"{size}: {planned.space.raw_candidates:,} raw candidates, "
        f"{sum(planned.labels_by_round):,} labels, {best.jobs:,} jobs: "
        f"{best.seconds:.1f} s (of {', '.join(f'{run.seconds:.1f}' for run in runs)}), "
        f"{best.cpu_s:.1f} CPU-s, {best.peak_mb:.0f} MB",
        *planned.advice,
        sep="\n    ",
        flush=True,
    )


def main() -> None:
    """Measure all sizes in turns, so that other work on the machine meets all; then the claim."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    runs: dict[str, list[DryRun]] = {size: [] for size in SIZES}
    with tempfile.TemporaryDirectory() as folder:
        paths = {size: Path(folder, f"{number}.yaml") for number, size in enumerate(SIZES)}
        for size, path in paths.items():
            path.write_text(yaml.safe_dump(campaign_of(size)))
        for _ in range(arguments.repeats):
            for size, path in paths.items():
                runs[size].append(dry_run(path))
        for size, path in paths.items():
            report(size, path, runs[size])
    claim(best_of(runs["10⁴"]), best_of(runs["10⁶"]))


def claim(small: DryRun, large: DryRun) -> None:
    """Print the last line; the ratio is of CPU times, which other work changes least."""
    if large.seconds > SECONDS_ALLOWED or large.peak_mb > MB_ALLOWED:
        print(f"over the limit of {SECONDS_ALLOWED:g} s and {MB_ALLOWED:g} MB")
    print(
        f"claim: snakemake -n, 10⁶ candidates, 10⁴ labels, {large.jobs:,} jobs"
        f" | ours: {large.seconds:.1f} s, {large.peak_mb:.0f} MB"
        f" | peer: itself with 10⁴ candidates: {small.seconds:.1f} s, {small.peak_mb:.0f} MB"
        f" | ratio: {large.cpu_s / small.cpu_s:.2f} in CPU time,"
        f" {large.peak_mb / small.peak_mb:.2f} in memory"
    )


if __name__ == "__main__":
    main()
