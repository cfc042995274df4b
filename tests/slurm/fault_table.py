"""Run the fault suite and write its figures to docs/faults.md.

.venv/bin/python tests/slurm/fault_table.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent
PAGE = TESTS.parents[1] / "docs" / "faults.md"
ORDER = [
    "scancel",
    "label worker killed",
    "out of memory",
    "stops by itself before the wall time",
    "SLURM's time limit",
    "preempted, with a signal before",
    "slurmstepd killed",
    "node killed, no requeue",
    "node killed, requeue",
    "slurmctld restarted",
    "snakemake interrupted",
    "snakemake killed",
    "orphan that dies late",
    "orphan that wakes late",
    "orphan that starts late",
    "disk full for the journal",
    "half-written journal record",
    "truncated Parquet fragment",
]
INTRODUCTION = """# What faults cost

Each fault struck a real campaign on the private SLURM cluster of `tests/slurm/` while its label
jobs computed (DFT, about a second a calculation, 2 workers a job). Written by

    python tests/slurm/fault_table.py

- *Journaled*: calculations of the struck label jobs that were in the label store at the fault.
- *Lost*: of all their rows ever seen in the store, how many were not there at the end.
- *Recomputed*: calculations that were computed again although they were journaled.
- *In flight*: calculations under way at the fault. *Begun again*: how many of them after it; the
  promise is at most one a worker and fault.
- *Again*: how often the same command had to be typed again.
- *Noticed*: seconds until another job was sent or the same one queued again; a dash where none was
  needed. Jobs are looked at sooner than in the shipped profile, from 2 s on.
- *Jobs*: the states in which all jobs of the struck shards ended, before and after the fault.
  Snakemake interrupted, disk full and slurmctld restarted strike the same two shards of one
  campaign, in this order: they share their jobs, and *Journaled* adds up.
- *Answer*: whether label set, frozen datasets and ranking equal, number for number, those of a run
  without faults.

"""
HEAD = [
    "Fault", "Journaled", "Lost", "Recomputed", "In flight", "Begun again", "Again", "Noticed, s",
    "Jobs", "Answer",
]  # fmt: skip
NOTES = """
- *stops by itself*: the job takes no more work at `run.wall_margin_s` before its wall time, lets
  what runs end, hands in and leaves the rest to its next attempt.
- *SLURM's time limit*: the job hangs and its limit is lowered, so that nothing can be handed in
  before SIGKILL.
- *slurmstepd killed*: the job's processes may go on. SLURM learns of it when the node registers
  again (NODE_FAIL), at the latest from the time limit (2 minutes here).
- *node killed, requeue*: SLURM starts the same job again, on the node that has come back.
- *orphans*: the controller is killed while one label job computes, two hang and one is queued; the
  same command ends the campaign with jobs of its own. After that one orphan is cancelled, one goes
  on and one starts, and is refused. No output changes, neither its content nor its time.
- *disk full*: jobs and their retries fail while the disk is full; no label becomes a failed one.
- *truncated Parquet fragment*: the node dies while journals are compacted, and the file system has
  kept half of the fragment. The journals still have its rows: they go only after the fragment is on
  disk. A medium that destroys a fragment later takes its rows with it.
"""


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["-k", "test_faults", "--numprocesses", "4", "--dist", "loadfile"]
        programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            [TESTS / "run.sh", *arguments, *sys.argv[1:]],
            env={**os.environ, "MOLSIEVE_FAULTS": folder, "PATH": programs},
        )
        records = [json.loads(path.read_text()) for path in Path(folder).glob("*.json")]
    if done.returncode or len(records) != len(ORDER):
        print(f"{PAGE} is left as it was: the suite failed", file=sys.stderr)
        return 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(records))
    print(PAGE)
    return 0


def page(records: list[dict[str, Any]]) -> str:
    """The page, from a record a fault."""
    ordered = sorted(records, key=lambda record: ORDER.index(record["name"]))
    rows = [HEAD, ["---"] * len(HEAD), *map(cells, ordered)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{INTRODUCTION}{table}\n{NOTES}"


def cells(record: dict[str, Any]) -> list[str]:
    """A row of the table."""
    numbers = ("journaled", "lost", "recomputed", "in_flight", "repeated", "again")
    noticed = record["noticed_s"]
    same = all(record[f"same_{what}"] for what in ("labels", "datasets", "ranking"))
    return [
        record["name"],
        *(str(record[name]) for name in numbers),
        "–" if noticed is None else f"{noticed:.0f}",
        ", ".join(record["ended"]),
        "the same" if same else "DIFFERENT",
    ]


if __name__ == "__main__":
    sys.exit(main())
