"""The campaign that faults strike: prepared once, copied for each run, compared with one without.

Prepared means: candidates, structures, measured systems and the first selection are done.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from molsieve.labelling.store import read_labels
from tests.workflow.conftest import Workspace

from .cluster import Cluster
from .conftest import SOON

TIMES = ["wall_s", "attempt_id"]
"""Columns that differ between two runs of the same campaign."""


def prepared_copy(
    sessions: Path, folder: Path, cluster: Cluster | None = None, *options: str, **sections: Any
) -> Workspace:
    """A copy of the prepared campaign, to run on a cluster, or on this machine without one.

    Args:
        sessions: folder shared by the processes of this test session.
        options: of the command. sections: changes of the campaign file.
    """
    source = _prepared(sessions)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # With times, modes and hard links: Snakemake must find nothing to redo.
    subprocess.run(["cp", "-a", str(source), str(folder)], check=True)
    space = Workspace(folder)
    if cluster is not None:
        scratch = folder / "node_scratch"
        scratch.mkdir()
        variables = cluster.environment() | {"TMPDIR": str(scratch)}
        space = Workspace(folder, "slurm", (*SOON, *options), variables)
    space.edit(**sections)
    return space


def _prepared(sessions: Path) -> Path:
    """The campaign up to its first labels, made once by whichever process comes first."""
    folder = sessions / "faults-prepared"
    with _one_at_a_time(sessions / "faults-prepared.lock"):
        if not folder.exists():
            making = sessions / "faults-preparing"
            making.mkdir()
            shutil.copy(Path(__file__).with_name("fault_campaign.yaml"), making / "campaign.yaml")
            results = Path("results/faults")
            targets = [
                results / "rounds" / "0" / "structures.parquet",
                *(results / "references" / n / "calibration.json" for n in ("lda", "gfn2")),
            ]
            Workspace(making).run(*map(str, targets))
            making.rename(folder)
    return folder


def reference(sessions: Path) -> Workspace:
    """The campaign's end without any fault, on this machine, once a session."""
    folder = sessions / "faults-reference"
    prepared = _prepared(sessions)
    with _one_at_a_time(sessions / "faults-reference.lock"):
        if not folder.exists():
            making = sessions / "faults-reference-run"
            subprocess.run(["cp", "-a", str(prepared), str(making)], check=True)
            Workspace(making).run()
            making.rename(folder)
    return Workspace(folder)


@contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def sessions_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder shared by all processes of this test session."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def same_tables(ours: Workspace, theirs: Workspace, pattern: str) -> bool:
    """Whether both have the same tables, number for number, but for times and attempts."""
    names = [
        sorted(p.relative_to(s.results) for p in s.results.glob(pattern)) for s in (ours, theirs)
    ]
    return (
        bool(names[0])
        and names[0] == names[1]
        and all(
            _plain(ours.results / name).equals(_plain(theirs.results / name)) for name in names[0]
        )
    )


def _plain(path: Path) -> pd.DataFrame:
    return _without_times(pd.read_parquet(path))


def _without_times(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns=[c for c in TIMES if c in table]).map(
        lambda value: (
            tuple(value) if hasattr(value, "__len__") and not isinstance(value, str) else value
        )
    )


def same_labels(ours: Workspace, theirs: Workspace) -> bool:
    """Whether both label stores give the same winning rows, number for number."""
    return _labels(ours).equals(_labels(theirs))


def _labels(space: Workspace) -> pd.DataFrame:
    store = space.folder / "results" / "label_store"
    levels = sorted(path.parent.name for path in store.glob("*/level.json"))
    rows = pd.concat([read_labels(store, level) for level in levels], ignore_index=True)
    return _without_times(rows)
