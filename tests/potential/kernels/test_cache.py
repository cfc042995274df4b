"""Where compiled kernels are kept: only where nobody else can put one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from molsieve.potential.kernels import cache

PRINT = "from molsieve.potential.kernels.cache import cache_folder; print(cache_folder())"


@pytest.fixture
def chosen(tmp_path, monkeypatch):
    """The folder for a ``$MOLSIEVE_CACHE``; temporary ones lie in ``tmp_path / "other"``."""
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setattr(cache.tempfile, "tempdir", str(other))

    def folder(named):
        monkeypatch.setenv("MOLSIEVE_CACHE", str(named))
        return cache.cache_folder.__wrapped__()

    return folder


def test_a_folder_of_ones_own_is_used_and_made_private(chosen, tmp_path):
    (tmp_path / "mine/kernels").mkdir(parents=True)
    (tmp_path / "mine/kernels").chmod(0o777)
    assert chosen(tmp_path / "mine") == tmp_path / "mine/kernels"
    assert (tmp_path / "mine/kernels").stat().st_mode & 0o777 == 0o700


def test_a_cache_that_cannot_be_written_is_replaced_by_a_temporary_folder(chosen, tmp_path):
    (tmp_path / "file").write_text("")
    found = chosen(tmp_path / "file")
    assert found.is_dir() and found.parent == tmp_path / "other"


def test_a_folder_that_anybody_may_move_aside_is_not_trusted(chosen, tmp_path):
    place = tmp_path / "open"
    place.mkdir()
    place.chmod(0o777)
    assert chosen(place).parent == tmp_path / "other"
    place.chmod(0o1777)  # as /tmp
    assert chosen(place) == place / "kernels"


def test_a_folder_of_somebody_else_is_not_trusted(chosen, tmp_path, monkeypatch):
    (tmp_path / "theirs/kernels").mkdir(parents=True)
    stranger = os.geteuid() + 1
    monkeypatch.setattr(cache.os, "geteuid", lambda: stranger)
    assert chosen(tmp_path / "theirs").parent == tmp_path / "other"


def test_a_link_in_place_of_a_file_is_not_ours(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("file")
    assert cache.is_ours(tmp_path / "file") and not cache.is_ours(tmp_path / "link")
    assert not cache.is_ours(tmp_path / "nothing")


def test_without_a_home_a_temporary_folder_serves_and_is_removed(tmp_path):
    environment = {"HOME": "~", "TMPDIR": str(tmp_path), "PATH": os.environ["PATH"]}
    run = subprocess.run(
        [sys.executable, "-c", PRINT],
        **{"cwd": tmp_path, "env": environment, "capture_output": True, "text": True},
    )
    assert run.returncode == 0, run.stderr
    assert Path(run.stdout.strip()).parent == tmp_path
    assert not list(tmp_path.iterdir())
