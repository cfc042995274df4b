"""A finished job's result comes back for the very same job, and for no other."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from molsieve.jobs import kept_results
from molsieve.jobs.attempts import Job, alone
from molsieve.jobs.kept_results import KeptResult, job_key


@pytest.fixture
def job(tmp_path: Path) -> Job:
    outputs = (tmp_path / "a" / "model.pt", tmp_path / "a" / "model.json")
    compute(Job(tmp_path, "train_member-0-1", outputs), "first")
    return Job(tmp_path, "train_member-0-1", outputs)


def compute(job: Job, text: str) -> None:
    for output in job.outputs:
        output.parent.mkdir(exist_ok=True)
        output.unlink(missing_ok=True)  # as Snakemake does before a job
        output.write_text(f"{text} {output.name}")


def contents(job: Job) -> list[str]:
    return [output.read_text() for output in job.outputs]


def test_kept_files_come_back_as_new(job: Job) -> None:
    KeptResult(job, "k").keep()
    expected = contents(job)
    for output in job.outputs:
        os.utime(output, (1, 1))
        output.unlink()
    assert KeptResult(job, "k").give_back()
    assert contents(job) == expected
    assert all(output.stat().st_mtime > 1e9 for output in job.outputs)
    assert sorted(p.name for p in job.outputs[0].parent.iterdir()) == ["model.json", "model.pt"]


def test_given_back_over_the_very_same_files_leaves_no_temporary(job: Job) -> None:
    KeptResult(job, "k").keep()
    assert KeptResult(job, "k").give_back()
    assert sorted(p.name for p in job.outputs[0].parent.iterdir()) == ["model.json", "model.pt"]


def test_another_key_gets_nothing(job: Job) -> None:
    KeptResult(job, "k").keep()
    assert not KeptResult(job, "other").give_back()


def test_one_result_a_job_is_kept(job: Job) -> None:
    KeptResult(job, "k").keep()
    compute(job, "second")
    KeptResult(job, "l").keep()
    assert not KeptResult(job, "k").give_back()
    assert KeptResult(job, "l").give_back()
    assert contents(job)[0] == "second model.pt"
    assert [p.name for p in job.folder.iterdir()] == ["kept-l"]


def test_kept_files_take_no_room(job: Job) -> None:
    KeptResult(job, "k").keep()
    assert all(output.stat().st_nlink == 2 for output in job.outputs)


def test_a_kept_file_changed_since_is_not_given_back(job: Job) -> None:
    KeptResult(job, "k").keep()
    job.outputs[1].write_text("edited in place: the kept link shows the same")
    assert not KeptResult(job, "k").give_back()
    compute(job, "again")
    KeptResult(job, "k").keep()
    assert KeptResult(job, "k").give_back()
    assert contents(job)[0] == "again model.pt"


def test_half_kept_results_do_not_count(job: Job) -> None:
    KeptResult(job, "k").keep()
    (job.folder / "kept-k" / "1").unlink()
    assert not KeptResult(job, "k").give_back()


def test_without_hard_links_results_are_copied(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    with alone(job):  # the lease too
        KeptResult(job, "k").keep()
        job.outputs[0].unlink()
        assert KeptResult(job, "k").give_back()
    assert contents(job) == ["first model.pt", "first model.json"]
    assert [p.name for p in job.folder.iterdir()] == ["kept-k"]


class Named(dict):
    """As Snakemake's named lists: iterates over values."""

    def __iter__(self) -> Any:
        return iter(self.values())


@pytest.fixture
def script(tmp_path: Path) -> SimpleNamespace:
    (tmp_path / "in").write_text("input")
    return SimpleNamespace(
        rule="train_member",
        wildcards=Named(round="0", member="1"),
        params=Named(seed=1, potential={"features": 8}),
        input=Named(dataset=str(tmp_path / "in")),
        output=Named(weights="model.pt"),
        threads=1,
    )


def other_input(script: SimpleNamespace) -> None:
    Path(script.input["dataset"]).write_text("inpuT")


CHANGES: dict[str, Callable[[SimpleNamespace], object]] = {
    "params": lambda s: s.params.update(potential={"features": 16}),
    "wildcards": lambda s: s.wildcards.update(member="2"),
    "input": other_input,
    "rule": lambda s: setattr(s, "rule", "build_structures"),
    "outputs": lambda s: s.output.update(weights="other.pt"),
    "threads": lambda s: setattr(s, "threads", 4),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_decides_the_outputs_decides_the_key(script: SimpleNamespace, what: str) -> None:
    before = job_key(script, threads_matter=True)
    assert job_key(script, threads_matter=True) == before
    CHANGES[what](script)
    assert job_key(script, threads_matter=True) != before


def test_age_of_inputs_and_idle_threads_do_not_matter(script: SimpleNamespace) -> None:
    before = job_key(script, threads_matter=False)
    os.utime(script.input["dataset"], (1, 1))
    script.threads = 4
    assert job_key(script, threads_matter=False) == before


def test_an_edit_of_the_library_is_another_key(
    script: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "molsieve"
    (package / "domains").mkdir(parents=True)
    monkeypatch.setattr(kept_results, "PACKAGE", package)
    (package / "domains" / "couples.csv").write_text("a")
    keys = set()
    for content in ("a", "b", "a"):
        kept_results._sources_digest.cache_clear()
        (package / "domains" / "couples.csv").write_text(content)
        keys.add(job_key(script, threads_matter=True))
    kept_results._sources_digest.cache_clear()
    assert len(keys) == 2
