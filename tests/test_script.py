"""A rule's script: output in its log, a mistake in one message, our own fault with a traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from molsieve.labelling import LabelStoreError
from molsieve.script import reporting
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


def test_output_goes_to_the_log(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with reporting(tmp_path / "log"):
        print("how it went")
    assert (tmp_path / "log").read_text() == "how it went\n"
    assert capsys.readouterr().out == ""


def test_a_mistake_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended, reporting(tmp_path / "log"):
        raise CampaignError("labels.level: no such level")
    assert ended.value.code == 1
    assert (tmp_path / "log").read_text().strip() == "labels.level: no such level"


def test_a_full_disk_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(SystemExit), reporting(tmp_path / "log"):
        raise LabelStoreError("label store x: No space left on device")
    assert (tmp_path / "log").read_text().strip() == "label store x: No space left on device"


def test_our_own_fault_keeps_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(SystemExit), reporting(tmp_path / "log"):
        raise ZeroDivisionError("in the library")
    assert "Traceback" in (tmp_path / "log").read_text()


def test_spawned_workers_do_not_import_the_script(tmp_path: Path) -> None:
    with reporting(tmp_path / "log"):
        assert not hasattr(sys.modules["__main__"], "__file__")
