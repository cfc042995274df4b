"""A round's stage is the first thing that is not there yet."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from molsieve.potential.storage import write_checkpoint
from molsieve.status.calculations import Calculations
from molsieve.status.rounds import round_statuses
from molsieve.tables import write_json
from tests.report.campaign_tables import campaign

LABELS = Calculations("round 0", "xtb", selected=12, queued=3, running=1, done=7, failed=1)
HITS = Calculations("hits 0", "dft", selected=6, queued=4, running=0, done=2, failed=0)


@pytest.fixture()
def path(tmp_path) -> Path:
    made(tmp_path / "rounds/0/structures.parquet")
    return tmp_path / "rounds/0"


def made(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def test_labels_at_the_better_level_are_waited_for_before_heads(path):
    """They are no labels of the round's own level, and not counted as such."""
    better = Calculations("round 0", "dft", selected=5, queued=1, running=1, done=2, failed=1)
    made(*(path / f"receipts/{s}.parquet" for s in (0, 1)), path / "dataset/dataset.parquet")
    made(*(path / f"committee/{m}/model.pt" for m in range(4)))
    assert look(path, better).stage == "labelling at dft, 3 of 5"
    assert look(path, better).labels == LABELS
    made(path / "dataset/fidelity.parquet")
    assert look(path, better).stage == "evaluation"


def look(path: Path, *more: Calculations):
    return round_statuses(campaign(), path.parents[1], [LABELS, *more])[0]


def test_from_labels_to_the_page(path):
    stages = [look(path).stage]
    for files in (
        [path / f"receipts/{s}.parquet" for s in (0, 1)],
        [path / "dataset/dataset.parquet"],
        [path / "committee/0/model.pt"],
        [path / f"committee/{m}/model.pt" for m in (1, 2, 3)],
        [path / "evaluation/metrics.parquet"],
        [path / "predictions/0/predictions.parquet"],
        [path / "predictions/1/predictions.parquet"],
    ):
        made(*files)
        stages.append(look(path).stage)
    write_json({"round": 0}, path / "figures.json")
    stages += [look(path).stage, look(path, HITS).stage]
    for name in ("ranking.parquet", "report.html"):
        made(path / name)
        stages.append(look(path, HITS).stage)
    assert stages == [
        "labelling, 8 of 12",
        "collecting labels",
        "training, 0 of 4",
        "training, 1 of 4",
        "evaluation",
        "prediction, 0 of 2",
        "prediction, 1 of 2",
        "assessment",
        "assessed",
        "confirming hits, 2 of 6",
        "ranked",
        "ranked, page written",
    ]
    last = look(path)
    assert (last.members, last.predicted_shards) == (4, 2)
    assert (last.ranked, last.geometries) == (True, False)


def test_members_in_training_tell_their_epoch(path):
    made(path / "dataset/dataset.parquet", path / "committee/0/model.pt")
    (path / "committee/1").mkdir()
    write_checkpoint(path / "committee/1", "identity", {"best_epoch": 20, "epoch": 25})
    assert look(path).stage == "training, 1 of 4 (epoch 25)"


def test_times_from_the_files(path):
    assert (look(path).seconds, look(path).seconds_after_labels) == (None, None)
    receipts = [path / f"receipts/{s}.parquet" for s in (0, 1)]
    made(receipts[0])
    assert look(path).seconds_since_labels is None
    made(receipts[1])
    write_json({"round": 0}, path / "figures.json")
    begun = (path / "figures.json").stat().st_mtime
    for file, age in ((path / "structures.parquet", 100), (receipts[0], 60), (receipts[1], 40)):
        os.utime(file, (begun - age, begun - age))
    found = look(path)
    assert found.seconds == pytest.approx(100, abs=1e-3)
    assert found.seconds_after_labels == pytest.approx(40, abs=1e-3)
    assert found.seconds_since_labels >= 40 - 1e-3
