"""Runs of the real workflow on a small campaign, in a folder of their own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from molsieve.labelling.store import read_attempts
from molsieve.tables import empty_table

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass
class Workspace:
    """A working directory with a campaign file in it, and the profile that it runs through."""

    folder: Path
    profile: str = "local"
    options: tuple[str, ...] = ("--cores", "2")
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def results(self) -> Path:
        return self.folder / "results" / self.campaign()["campaign"]

    def campaign(self) -> dict[str, Any]:
        return yaml.safe_load((self.folder / "campaign.yaml").read_text())

    def edit(self, **sections: Any) -> None:
        """Merge changes into the campaign file, one level deep."""
        campaign = self.campaign()
        for key, value in sections.items():
            if isinstance(value, dict):
                campaign[key] = {**campaign.get(key, {}), **value}
            else:
                campaign[key] = value
        (self.folder / "campaign.yaml").write_text(yaml.safe_dump(campaign))

    def command(self, *arguments: str) -> list[str]:
        return [
            sys.executable,
            "-m",
            "snakemake",
            "--snakefile",
            str(REPOSITORY / "Snakefile"),
            "--workflow-profile",
            str(REPOSITORY / "profiles" / self.profile),
            *self.options,
            *arguments,
            "--configfile",
            "campaign.yaml",
        ]

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=environment() | self.variables,
            capture_output=True,
            text=True,
            timeout=1500,
        )
        if check and done.returncode:
            pytest.fail(f"snakemake failed:\n{done.stdout[-4000:]}\n{done.stderr[-8000:]}")
        return done

    def journals(self) -> set[Path]:
        """Journals that hold a record by now."""
        store = self.folder / "results" / "label_store"
        found = set()
        for path in store.glob("*/journals/*.jsonl"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_size:
                    found.add(path)
        return found

    def kill_while_labelling(self) -> int:
        """As :meth:`kill_after`, as soon as a new journal holds its first record."""
        known = self.journals()
        process = self.start()
        while process.poll() is None:
            if self.journals() - known:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return process.pid
            time.sleep(0.005)
        return 0

    def kill_after(self, seconds: float, jobs_too: bool = True) -> int:
        """Start the campaign and SIGKILL the controller, its jobs too or not.

        Returns the process group, 0 if the campaign ended before.
        """
        process = self.start()
        try:
            process.wait(seconds)
            return 0
        except subprocess.TimeoutExpired:
            if jobs_too:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
            process.wait()
            return process.pid

    def start(self) -> subprocess.Popen[bytes]:
        """The campaign, started as a process group of its own."""
        return subprocess.Popen(
            self.command(),
            cwd=self.folder,
            env=environment() | self.variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


def attempts(space: Workspace) -> pd.DataFrame:
    """Every attempt in the label store, whichever fragment or journal holds it."""
    store = space.folder / "results" / "label_store"
    levels = sorted(path.name for path in store.glob("*"))
    found = [read_attempts(store, level) for level in levels]
    return pd.concat(found, ignore_index=True) if found else empty_table("labels")


def environment() -> dict[str, str]:
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
    return {**os.environ, **threads, "PYTHONDONTWRITEBYTECODE": "1"}


def workspace(folder: Path, **settings: Any) -> Workspace:
    """A folder with a copy of the smallest campaign; ``settings`` are fields of Workspace."""
    folder.mkdir(parents=True, exist_ok=True)
    source = Path(__file__).with_name("campaign.yaml")
    (folder / "campaign.yaml").write_text(source.read_text())
    return Workspace(folder, **settings)


@pytest.fixture
def fresh(tmp_path: Path) -> Workspace:
    """A workspace in which nothing has run."""
    return workspace(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace whose campaign has run to its end."""
    space = workspace(tmp_path_factory.mktemp("finished"))
    space.run()
    return space
