"""The finished result of a job, kept so that doing the same job again costs nothing.

Floor 0, standard library only. After the death of its controller a campaign runs every job again
that was in flight, even one that finished meanwhile. So a job's outputs stay as hard links beside
its lease, under a key of all that decides them; who finds its own key links them back.

One result a job is kept. It takes no room as long as the outputs are these very files. To compute
a job anew although nothing changed, remove ``results/<campaign>/jobs``.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import sysconfig
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from molsieve.jobs.attempts import Job, check_publication

PACKAGE = Path(__file__).resolve().parents[1]
SCRIPTS = PACKAGE.parent


class KeptResult:
    """The place of one job's result of one key.

    Args:
        job: whose outputs are kept.
        key: as :func:`job_key` gives it.
    """

    def __init__(self, job: Job, key: str):
        self.job, self.key = job, key
        self.folder = job.folder / f"kept-{key}"

    def give_back(self) -> bool:
        """Put the kept files at the outputs' names, as new as if just computed.

        False, and nothing changed, if there are none or if one is not as it was.

        Raises:
            Superseded: another attempt does this job now.
        """
        if not self._is_whole():
            return False
        for number, output in enumerate(self.job.outputs):
            output.parent.mkdir(parents=True, exist_ok=True)
            temporary = output.with_name(f".{output.name}.{uuid.uuid4().hex}.part")
            try:
                _link_or_copy(self.folder / str(number), temporary)
                check_publication(output)
                os.utime(temporary)
                os.replace(temporary, output)
            finally:  # also after success: renaming one link of a file onto another does nothing
                temporary.unlink(missing_ok=True)
        return True

    def keep(self) -> None:
        """Keep the job's outputs, instead of what was kept of it before."""
        draft = self.job.folder / f".kept.{uuid.uuid4().hex}.part"
        draft.mkdir(parents=True)
        for number, output in enumerate(self.job.outputs):
            _link_or_copy(output, draft / str(number))
        digests = [file_digest(draft / str(n)) for n in range(len(self.job.outputs))]
        (draft / "digests.json").write_text(json.dumps(digests))
        check_publication(self.folder)
        if self.folder.exists():  # of this key but not whole, or it would have been given back
            shutil.rmtree(self.folder)
        os.rename(draft, self.folder)
        for earlier in self.job.folder.glob("kept-*"):
            if earlier != self.folder:
                shutil.rmtree(earlier, ignore_errors=True)
        for abandoned in self.job.folder.glob(".kept.*.part"):
            shutil.rmtree(abandoned, ignore_errors=True)

    def _is_whole(self) -> bool:
        """True if every kept file has the content it was kept with."""
        try:
            digests = json.loads((self.folder / "digests.json").read_text())
            found = [file_digest(self.folder / str(n)) for n in range(len(digests))]
        except (FileNotFoundError, ValueError):
            return False
        return digests == found and len(found) == len(self.job.outputs)


def job_key(snakemake: Any, threads_matter: bool) -> str:
    """All that decides a job's outputs, in 32 hex digits.

    The rule, its wildcards, params and outputs' names, the contents of its inputs, the sources of
    this library and of the rule's script, the installed packages' versions, and the threads where
    they change numbers.
    """
    decides = {
        "rule": snakemake.rule,
        "wildcards": {str(k): str(v) for k, v in snakemake.wildcards.items()},
        "params": {str(k): v for k, v in snakemake.params.items()},
        "inputs": [file_digest(Path(path)) for path in snakemake.input],
        "input_names": [str(path) for path in snakemake.input],
        "output_names": [str(path) for path in snakemake.output],
        "sources": _sources_digest(),
        "script": file_digest(SCRIPTS / f"{snakemake.rule}.py"),
        "packages": _packages(),
        "threads": snakemake.threads if threads_matter else None,
    }
    text = json.dumps(decides, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@functools.cache
def _sources_digest() -> str:
    """Of every file of this library, data files too."""
    files = sorted(p for p in PACKAGE.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return _digest_of(f"{p.relative_to(PACKAGE)} {file_digest(p)}" for p in files)


@functools.cache
def _packages() -> str:
    """Of the names and versions of the packages beside this one: another torch, other numbers."""
    folder = Path(sysconfig.get_path("purelib"))
    return _digest_of(sorted(p.name for p in folder.glob("*.dist-info")))


def _digest_of(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links, or too many of them
        shutil.copyfile(source, target)
