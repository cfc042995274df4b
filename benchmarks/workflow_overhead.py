"""What a campaign spends its time on: the share that is neither chemistry nor learning.

Reads Snakemake's log of a finished campaign (``make demo`` makes one; without it this script runs
it first). Labels count exactly, by each calculation's own wall time in the label store. The other
jobs count whole, their imports included, so what is left is a lower bound of the true overhead.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

from molsieve.labelling import read_labels
from molsieve.levels import level_id
from molsieve.loading import load_campaign

CHEMISTRY = ("build_structures", "build_references")
LABELLING = ("label_references", "label_batch", "confirm_hits", "retry_labels")
LEARNING = ("train_member", "evaluate_committee", "predict_candidates", "propose_geometries")
STAMP = re.compile(r"^\[(\w{3} \w{3} +\d+ [\d:]+ \d{4})\]")


def jobs_of(log: Path) -> list[tuple[str, float, float, int]]:
    """(rule, start, end, threads) of each finished job, in seconds since the epoch."""
    now, rule, running, done = 0.0, "", {}, []
    threads = 1
    for line in log.read_text().splitlines():
        if stamp := STAMP.match(line):
            now = datetime.strptime(stamp[1], "%a %b %d %H:%M:%S %Y").timestamp()
        elif found := re.match(r"^(?:local)?(?:rule|checkpoint) (\w+):", line):
            rule, threads = found[1], 1
        elif found := re.match(r"^    jobid: (\d+)", line):
            job = found[1]
            running[job] = (rule, now, 1)
        elif (found := re.match(r"^    threads: (\d+)", line)) and rule:
            threads = int(found[1])
            running[job] = (rule, running[job][1], threads)
        elif (found := re.match(r"^Finished jobid: (\d+)", line)) and found[1] in running:
            name, start, granted = running.pop(found[1])
            done.append((name, start, now, granted))
    return done


def cores_of(log: Path) -> int:
    """How many cores that run was given."""
    found = re.search(r"^Provided cores: (\d+)", log.read_text(), re.MULTILINE)
    assert found, f"{log} does not say how many cores the run had"
    return int(found[1])


def run_unless_finished(campaign_file: Path, name: str, cores: int) -> None:
    """Run the campaign where its results are not here yet."""
    if list(Path("results", name).glob("rounds/*/report.html")):
        return
    command = [sys.executable, "-m", "snakemake", "--configfile", str(campaign_file)]
    command += ["--workflow-profile", "profiles/local", "--cores", str(cores)]
    subprocess.run(command, check=True)


def main() -> None:
    """Print the time of each rule and the claim."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--campaign", type=Path, default=Path("config/quickstart.yaml"))
    parser.add_argument("--cores", type=int, default=2, help="of the run, if it has to be made")
    arguments = parser.parse_args()
    campaign = load_campaign(arguments.campaign)
    run_unless_finished(arguments.campaign, campaign.campaign, arguments.cores)
    # The log of the run that did the work, not of a later "nothing to be done".
    logs = Path(".snakemake/log").glob("*.log")
    own = [path for path in logs if f"results/{campaign.campaign}/" in path.read_text()]
    log = max(own, key=lambda path: len(jobs_of(path)))
    jobs, cores = jobs_of(log), cores_of(log)
    wall = max(end for _, _, end, _ in jobs) - min(start for _, start, _, _ in jobs)
    labelling = sum(
        float(
            read_labels(campaign.run.label_store, level_id(level), None, ["wall_s"])["wall_s"].sum()
        )
        for level in campaign.levels.values()
    )

    def core_time(rules: tuple[str, ...]) -> float:
        return sum((end - start) * n for name, start, end, n in jobs if name in rules)

    for name in dict.fromkeys(job[0] for job in jobs):
        mine = [job for job in jobs if job[0] == name]
        print(f"{name:24} {len(mine):4} jobs {core_time((name,)):9.0f} core-s")
    granted = wall * cores
    useful = labelling + core_time(CHEMISTRY) + core_time(LEARNING)
    print(
        f"wall {wall:.0f} s on {cores} cores; labels {labelling:.0f} core-s "
        f"of {core_time(LABELLING):.0f} granted to label jobs"
    )
    print(
        f"claim: share of core-time that is not chemistry or learning, {campaign.campaign}"
        f" | ours: {1 - useful / granted:.0%} of {granted:.0f} core-s | peer: - | ratio: -"
    )


if __name__ == "__main__":
    main()
