"""Where each round stands between its selection and its report, from the files that are there."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from molsieve.campaign import Campaign
from molsieve.potential.checkpoint_epochs import epochs_trained
from molsieve.status.calculations import Calculations


@dataclass(frozen=True)
class RoundStatus:
    """How a round stands; ``figures`` is None until it has been assessed."""

    round: int
    stage: str
    """What it is doing or waiting for, in words."""
    labels: Calculations
    """At ``labels.level``."""
    members: int
    predicted_shards: int
    geometries: bool
    """Whether the next round's distorted geometries are there."""
    figures: dict[str, Any] | None
    ranked: bool
    seconds: float | None
    """From the selection to the figures."""
    seconds_after_labels: float | None
    """From the last receipt to the figures."""
    seconds_since_labels: float | None
    """From the last receipt to now, once every shard has handed in."""


def round_statuses(
    campaign: Campaign, folder: Path, counts: Iterable[Calculations]
) -> list[RoundStatus]:
    """Every round that has its structures, in order.

    Args:
        counts: of all parts, as :func:`molsieve.status.calculations.calculations` counts them.
    """
    found = list(counts)
    every = [c for c in found if c.stage.startswith("round ")]
    labels = {c.stage: c for c in every if c.level == campaign.labels.level}
    better = {c.stage: c for c in every if c.level != campaign.labels.level}
    statuses = []
    for r in range(len(labels)):
        path = folder / "rounds" / str(r)
        mine = labels[f"round {r}"]
        hits = [c for c in found if c.stage == f"hits {r}"]
        receipts = sorted(path.glob("receipts/*.parquet"))
        statuses.append(
            RoundStatus(
                round=r,
                stage=_stage(campaign, path, mine, better.get(mine.stage), hits, len(receipts)),
                labels=mine,
                members=_members(campaign, path),
                predicted_shards=_predicted(campaign, path),
                geometries=(path / "geometries.parquet").exists(),
                figures=_figures(path / "figures.json"),
                ranked=(path / "ranking.parquet").exists(),
                seconds=_seconds([path / "structures.parquet"], path / "figures.json"),
                seconds_after_labels=_seconds(receipts, path / "figures.json"),
                seconds_since_labels=_age(receipts, campaign.labels.shards),
            )
        )
    return statuses


def _stage(
    campaign: Campaign,
    path: Path,
    labels: Calculations,
    better: Calculations | None,
    hits: list[Calculations],
    receipts: int,
) -> str:
    """The first thing on the way from selection to figures that is not there yet."""
    members, shards = campaign.potential.members, campaign.prediction.shards
    if not (path / "dataset/dataset.parquet").exists():
        if receipts < campaign.labels.shards:
            return f"labelling, {labels.done + labels.failed:,} of {labels.selected:,}"
        return "collecting labels"
    if _members(campaign, path) < members:
        return f"training, {_members(campaign, path)} of {members}{_epochs(campaign, path)}"
    if better is not None and not (path / "dataset/fidelity.parquet").exists():
        return (
            f"labelling at {better.level}, {better.done + better.failed:,} of {better.selected:,}"
        )
    if hasattr(campaign, "properties") and (heads := _property_members(campaign, path)) < members:
        return f"training of property heads, {heads} of {members}"
    if not (path / "evaluation/metrics.parquet").exists():
        return "evaluation"
    if _predicted(campaign, path) < shards:
        return f"prediction, {_predicted(campaign, path)} of {shards}"
    if not (path / "figures.json").exists():
        return "assessment"
    return _stage_after_figures(path, hits)


def _stage_after_figures(path: Path, hits: list[Calculations]) -> str:
    """What becomes of an assessed round; only the last one has hits and a ranking."""
    if (path / "report.html").exists():
        return "ranked, page written"
    if (path / "ranking.parquet").exists():
        return "ranked"
    if hits:
        ended = sum(c.done + c.failed for c in hits)
        return f"confirming hits, {ended:,} of {sum(c.selected for c in hits):,}"
    return "assessed"


def _epochs(campaign: Campaign, path: Path) -> str:
    """Epochs of the members in training, as their checkpoints tell."""
    folders = [path / f"committee/{m}" for m in range(campaign.potential.members)]
    found = [epochs_trained(f) for f in folders if not (f / "model.pt").exists()]
    epochs = [str(e) for e in found if e is not None]
    return f" (epoch {', '.join(epochs)})" if epochs else ""


def _members(campaign: Campaign, path: Path) -> int:
    return existing(path / f"committee/{m}/model.pt" for m in range(campaign.potential.members))


def _property_members(campaign: Campaign, path: Path) -> int:
    return existing(path / f"properties/{m}/model.pt" for m in range(campaign.potential.members))


def _predicted(campaign: Campaign, path: Path) -> int:
    return existing(
        path / f"predictions/{s}/predictions.parquet" for s in range(campaign.prediction.shards)
    )


def existing(paths: Iterable[Path]) -> int:
    """How many of the files are there."""
    return sum(path.exists() for path in paths)


def _figures(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text()) if path.exists() else None


def _age(receipts: list[Path], shards: int) -> float | None:
    """Seconds since the last receipt; None while one is missing."""
    if len(receipts) < shards:
        return None
    return max(time.time() - max(path.stat().st_mtime for path in receipts), 0.0)


def _seconds(begin: list[Path], end: Path) -> float | None:
    """From the last of ``begin`` to ``end``, by the files' times; None without either."""
    if not begin or not end.exists() or not all(path.exists() for path in begin):
        return None
    return max(end.stat().st_mtime - max(path.stat().st_mtime for path in begin), 0.0)
