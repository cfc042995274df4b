"""A process that runs one attempt of a job: ``attempt_of_a_job.py RESULTS JOURNAL SECONDS``.

It writes a line to the journal where it begins and where it ends to compute.
"""

import os
import sys
import time
from pathlib import Path

from molsieve.jobs import attempts
from molsieve.jobs.attempts import Job, alone, check_publication
from molsieve.jobs.kept_results import KeptResult

attempts.POLL_S = 0.01
OUTPUTS = ("one", "two")


def job_in(results: Path) -> Job:
    return Job(results, "job", tuple(results / "out" / name for name in OUTPUTS))


def run(results: Path, journal: int, seconds: float) -> None:
    job = job_in(results)
    with alone(job):
        for output in job.outputs:  # as Snakemake does before a job
            output.unlink(missing_ok=True)
        kept = KeptResult(job, "key")
        if kept.give_back():
            return
        os.write(journal, f"begin {os.getpid()}\n".encode())
        for output in job.outputs:
            output.parent.mkdir(exist_ok=True)
            time.sleep(seconds)
            draft = output.with_name(f".{output.name}.{os.getpid()}")
            draft.write_text(f"all of {output.name}")
            check_publication(output)
            os.replace(draft, output)
        kept.keep()
        os.write(journal, f"end {os.getpid()}\n".encode())


if __name__ == "__main__":
    stream = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    run(Path(sys.argv[1]), stream, float(sys.argv[3]))
