"""How a campaign stands: ``molsieve status``. Reads results and label store, writes nothing.

Works before anything has run, while it runs (every file appears complete or not at all) and after.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from molsieve.acquisition.stopping import expected_missed, verdict
from molsieve.campaign import Campaign
from molsieve.controller import STALE_AFTER_S
from molsieve.labelling.store import CLAIM_STALE_AFTER_S, LevelFolder, read_labels
from molsieve.leases import is_live, read_holder
from molsieve.levels import level_id
from molsieve.plan import labels_by_round
from molsieve.tables import read_table
from molsieve.terminal import Table, render


@dataclass(frozen=True)
class RoundStatus:
    """How a round stands; ``figures`` is None until it has been assessed."""

    round: int
    selected: int
    labelled: int
    failed: int
    in_progress: int
    members: int
    predicted_shards: int
    figures: dict[str, Any] | None
    ranked: bool
    seconds: float | None
    """From the selection to the figures."""


@dataclass(frozen=True)
class LabelTimes:
    """What labels at the campaign's level have cost so far."""

    count: int
    mean_core_s: float


def status(campaign: Campaign, results: Path | None = None, terminal: bool = False) -> str:
    """The campaign's state in words and tables.

    Args:
        results: the campaign's folder; None: ``results/<campaign>`` below the working directory.
        terminal: colours and rules.

    Raises:
        TableError: a table that is damaged or another's.
    """
    folder = results or Path("results") / campaign.campaign
    labels, live = _labels_and_claims(campaign)
    rounds = round_statuses(campaign, folder, labels, live)
    parts = [f"Campaign {campaign.campaign} ({folder})", f"  {controller_text(folder)}"]
    parts += [f"  {line}" for line in _preparation(campaign, folder)]
    if rounds:
        parts += ["", render([_round_table(campaign, rounds)], terminal).rstrip(), ""]
        parts += [f"  {line}" for line in _verdict_lines(campaign, rounds)]
    else:
        parts.append("  rounds      none begun")
    parts += [f"  {line}" for line in _time_left(campaign, rounds, _times(labels))]
    parts += [f"  {line}" for line in _answer_lines(folder, rounds)]
    return "\n".join(parts)


def controller_text(folder: Path) -> str:
    """Who runs the campaign."""
    lease = folder / "controller.lease"
    holder = read_holder(lease)
    if holder is None:
        return "controller  none is running"
    if is_live(lease, STALE_AFTER_S):
        return f"controller  running: {holder}"
    return f"controller  none is running; the last one was {holder}"


def _labels_and_claims(campaign: Campaign) -> tuple[pd.DataFrame, set[str]]:
    """Labels at the campaign's level, and the structures being computed now."""
    identity = level_id(campaign.level(campaign.labels.level))
    claims = LevelFolder(campaign.run.label_store, identity).claims
    names = [p for p in claims.iterdir() if p.name[0] != "."] if claims.is_dir() else []
    live = {p.name for p in names if is_live(p, CLAIM_STALE_AFTER_S)}
    return read_labels(campaign.run.label_store, identity), live


def round_statuses(
    campaign: Campaign, folder: Path, labels: pd.DataFrame, live: set[str]
) -> list[RoundStatus]:
    """Every round that has a selection, in order."""
    ok = set(labels.loc[labels["status"] == "ok", "structure_id"])
    failed = set(labels["structure_id"]) - ok
    statuses = []
    for r in range(campaign.stop.max_rounds):
        path = folder / "rounds" / str(r)
        if not (path / "selection.parquet").exists():
            break
        ids = read_table(path / "selection.parquet", "selection", ["structure_id"])
        chosen = set(ids["structure_id"])
        statuses.append(
            RoundStatus(
                round=r,
                selected=len(chosen),
                labelled=len(chosen & ok),
                failed=len(chosen & failed),
                in_progress=len((chosen & live) - ok - failed),
                members=_existing(
                    path / f"committee/{m}/model.pt" for m in range(campaign.potential.members)
                ),
                predicted_shards=_existing(
                    path / f"predictions/{s}/predictions.parquet"
                    for s in range(campaign.prediction.shards)
                ),
                figures=_figures(path / "figures.json"),
                ranked=(path / "ranking.parquet").exists(),
                seconds=_seconds(path / "selection.parquet", path / "figures.json"),
            )
        )
    return statuses


def _existing(paths: Iterable[Path]) -> int:
    return sum(path.exists() for path in paths)


def _figures(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text()) if path.exists() else None


def _seconds(begin: Path, end: Path) -> float | None:
    if not end.exists():
        return None
    return max(end.stat().st_mtime - begin.stat().st_mtime, 0.0)


def _preparation(campaign: Campaign, folder: Path) -> list[str]:
    shards = campaign.candidates.shards  # type: ignore[attr-defined]
    listed = [folder / f"candidates/{s}.parquet" for s in range(shards)]
    listed = [path for path in listed if path.exists()]
    lines = [f"candidates  {len(listed)} of {shards} shards"]
    if listed:
        states = read_table(listed, "candidates", ["status"])["status"]
        accepted = int((states == "accepted").sum())
        lines[0] += f", {accepted:,} accepted, {len(states) - accepted:,} rejected"
    built = _existing(folder / f"structures/{s}/structures.parquet" for s in range(shards))
    lines.append(f"structures  {built} of {shards} shards")
    names = dict.fromkeys([campaign.labels.level, campaign.ranking.confirm.level])
    for name in names:
        calibration = folder / f"references/{name}/calibration.json"
        lines.append(f"level       {name}: {_calibration_text(calibration)}")
    return lines


def _calibration_text(path: Path) -> str:
    if not path.exists():
        return "not calibrated yet"
    found = json.loads(path.read_text())
    error = found.get("loo_mae_v")
    return "calibrated" if error is None else f"calibrated, leave-one-out error {error:.3f} V"


def _round_table(campaign: Campaign, rounds: list[RoundStatus]) -> Table:
    columns = ["round", "selected", "labelled", "failed", "in progress", "members", "predicted"]
    columns += ["test error", "missed"]
    table = Table("Rounds", columns)
    for r in rounds:
        figures = r.figures or {}
        table.rows.append(
            [
                str(r.round),
                f"{r.selected:,}",
                f"{r.labelled:,}",
                f"{r.failed:,}",
                f"{r.in_progress:,}",
                f"{r.members}/{campaign.potential.members}",
                f"{r.predicted_shards}/{campaign.prediction.shards}",
                _number(figures.get("random_test_mae")),
                _number(expected_missed(figures, campaign.stop.top_k)),
            ]
        )
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _verdict_lines(campaign: Campaign, rounds: list[RoundStatus]) -> list[str]:
    figures = [r.figures for r in rounds if r.figures is not None]
    if not figures:
        return []
    word = verdict(figures, campaign.stop, campaign.acquisition.batch_labels)
    return [f"verdict     after round {len(figures) - 1}: {word.reason}"]


def _times(labels: pd.DataFrame) -> LabelTimes:
    """Mean core-seconds of the ok labels."""
    ok = labels[(labels["status"] == "ok") & (labels["wall_s"] > 0)]
    seconds = float((ok["wall_s"] * ok["cores"]).mean()) if len(ok) else 0.0
    return LabelTimes(len(ok), seconds)


def _time_left(campaign: Campaign, rounds: list[RoundStatus], times: LabelTimes) -> list[str]:
    """An upper estimate: labels to the limit, and rounds at the pace of those that are done."""
    figures = [r.figures for r in rounds if r.figures is not None]
    if figures and verdict(figures, campaign.stop, campaign.acquisition.batch_labels).stop:
        return []
    planned = labels_by_round(campaign)
    terminal = sum(r.labelled + r.failed for r in rounds)
    chosen = sum(r.selected for r in rounds) + sum(planned[len(rounds) :])
    left = max(chosen - terminal, 0)
    text = f"to go       at most {left:,} labels in {len(planned) - len(figures)} rounds"
    if times.count:
        text += f", {duration(left * times.mean_core_s)} of one core "
        text += f"({times.mean_core_s:.3g} core-s a label, mean of {times.count:,})"
    lines = [text]
    paces = [r.seconds for r in rounds if r.seconds is not None]
    if paces:
        pace = sum(paces) / len(paces)
        more = len(planned) - len(paces)
        lines.append(
            f"pace        {duration(pace)} a round so far; at most {more} more, "
            f"{duration(pace * more)}"
        )
    return lines


def duration(seconds: float) -> str:
    """A time in its natural unit: ``40 s``, ``12 min``, ``3.4 h``, ``2.1 d``."""
    for limit, unit, length in ((90, "s", 1.0), (5400, "min", 60.0), (172_800, "h", 3600.0)):
        if seconds < limit:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds / 86_400:.3g} d"


def _answer_lines(folder: Path, rounds: list[RoundStatus]) -> list[str]:
    """Where the last ranking and its page are."""
    ranked = [r.round for r in rounds if r.ranked]
    if not ranked:
        return []
    path = folder / "rounds" / str(ranked[-1])
    when = time.strftime(
        "%Y-%m-%d %H:%M", time.localtime((path / "ranking.parquet").stat().st_mtime)
    )
    lines = [f"ranking     {path / 'ranking.parquet'} ({when})"]
    if (path / "report.html").exists():
        lines.append(f"page        {path / 'report.html'}")
    return lines
