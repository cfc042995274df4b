"""A rule's script: output in its log, a mistake in one message, our own fault with a traceback."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from molsieve.jobs.allocation import JOB_VARIABLES
from molsieve.jobs.attempts import CONTROLLER_VARIABLE
from molsieve.jobs.kept_results import KeptResult
from molsieve.jobs.script import granted, reporting, rule_attempt
from molsieve.labelling import LabelStoreError
from molsieve.section import CampaignError


@pytest.fixture(autouse=True)
def main_module() -> Iterator[None]:
    """``reporting`` hides the main module's file; the test runner gets its own back."""
    main = sys.modules["__main__"]
    before = getattr(main, "__file__", None)
    main.__file__ = "a_script.py"
    yield
    if before is not None:
        main.__file__ = before
    elif hasattr(main, "__file__"):
        del main.__file__


def said(log: Path) -> str:
    """What the log holds below the line that names the attempt."""
    header, _, rest = log.read_text().partition("\n")
    assert str(os.getpid()) in header
    return rest.strip()


def test_output_goes_to_the_log(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with reporting(tmp_path / "log", tmp_path / "jobs" / "log"):
        print("how it went")
    assert said(tmp_path / "log") == "how it went"
    assert capsys.readouterr().out == ""


def test_a_log_is_continued_never_cut(tmp_path: Path) -> None:
    for word in ("first", "second"):
        with reporting(tmp_path / "log", tmp_path / "jobs" / "log"):
            print(word)
        if word == "first":
            (tmp_path / "log").unlink()  # as Snakemake does before a job
    lines = (tmp_path / "log").read_text().splitlines()
    assert [line for line in lines if not line.startswith("---")] == ["first", "second"]
    assert len(lines) == 4


def test_a_mistake_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended, reporting(tmp_path / "log", tmp_path / "jobs" / "log"):
        raise CampaignError("labels.level: no such level")
    assert ended.value.code == 1
    assert said(tmp_path / "log") == "labels.level: no such level"


def test_a_full_disk_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(SystemExit), reporting(tmp_path / "log", tmp_path / "jobs" / "log"):
        raise LabelStoreError("label store x: No space left on device")
    assert said(tmp_path / "log") == "label store x: No space left on device"


def test_our_own_fault_keeps_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(SystemExit), reporting(tmp_path / "log", tmp_path / "jobs" / "log"):
        raise ZeroDivisionError("in the library")
    assert "Traceback" in (tmp_path / "log").read_text()


def test_spawned_workers_do_not_import_the_script(tmp_path: Path) -> None:
    with reporting(tmp_path / "log", tmp_path / "jobs" / "log"):
        assert not hasattr(sys.modules["__main__"], "__file__")


class Named(dict):
    """As Snakemake's named lists: iterates over values."""

    def __iter__(self) -> Any:
        return iter(self.values())


@pytest.fixture
def training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The ``snakemake`` object of a rule whose result is kept."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(CONTROLLER_VARIABLE, raising=False)
    Path("in").write_text("input")
    return SimpleNamespace(
        rule="train_member",
        wildcards=Named(member="1"),
        params=Named(seed=1),
        input=Named(dataset="in"),
        output=Named(weights="model.pt"),
        log=["log"],
        config={"campaign": "c"},
        resources={},
        threads=1,
    )


def attempt(snakemake: SimpleNamespace, result: str, meanwhile: str = "input") -> bool:
    """One attempt of the rule; True if it computed."""
    Path("model.pt").unlink(missing_ok=True)  # as Snakemake does before a job
    with rule_attempt(snakemake, keep=True) as attempt:
        if attempt.needed:
            Path("model.pt").write_text(result)
            Path("in").write_text(meanwhile)
    return attempt.needed


def test_a_finished_result_is_computed_once(training: SimpleNamespace) -> None:
    assert attempt(training, "first")
    assert not attempt(training, "second")
    assert Path("model.pt").read_text() == "first"
    training.params["seed"] = 2
    assert attempt(training, "third")


def test_a_result_of_inputs_that_changed_meanwhile_is_not_kept(training: SimpleNamespace) -> None:
    assert attempt(training, "of which input?", meanwhile="another")
    assert attempt(training, "of the other")
    assert Path("model.pt").read_text() == "of the other"


def test_a_result_that_fails_is_not_kept(training: SimpleNamespace) -> None:
    with pytest.raises(SystemExit), rule_attempt(training, keep=True):
        Path("model.pt").write_text("half")
        raise ZeroDivisionError
    assert attempt(training, "whole")


def test_a_result_that_cannot_be_kept_is_good_all_the_same(
    training: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: KeptResult) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(KeptResult, "keep", full)
    assert attempt(training, "good")
    assert Path("model.pt").read_text() == "good"
    assert "not kept for later attempts" in Path("log").read_text()


def test_what_a_job_was_granted(training: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in JOB_VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    assert granted(training).deadline is None and granted(training).cores == 1
    monkeypatch.setenv("PBS_JOBID", "12.server")
    training.resources = {"gpu": 1, "runtime": 60, "mem_mb": 4000}
    allocation = granted(training)
    assert (allocation.scheduler, allocation.memory_mb, len(allocation.gpus)) == ("pbs", 4000, 1)
    assert allocation.deadline is not None
