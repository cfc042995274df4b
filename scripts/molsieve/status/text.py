"""How a campaign stands: ``molsieve status``. Reads results and label store, writes nothing.

Works before anything has run, while it runs (every file appears complete or not at all) and after.
What takes seconds to import (torch, RDKit) is not imported.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from molsieve.acquisition.stopping import expected_missed, verdict
from molsieve.campaign import Campaign
from molsieve.checks import check_results_folder
from molsieve.jobs.controller import STALE_AFTER_S
from molsieve.jobs.leases import is_live, read_holder
from molsieve.retries.orders import read_orders
from molsieve.section import CampaignError
from molsieve.status.calculations import (
    Calculations,
    LevelState,
    WorkLeft,
    calculations,
    level_states,
    parts,
    used_levels,
    work_left,
)
from molsieve.status.failures import Failure, counts_text, failure_table, failures
from molsieve.status.rounds import RoundStatus, existing, round_statuses
from molsieve.status.scheduler_queue import SchedulerError, queue_lines, queued_jobs
from molsieve.status.time_left import duration, time_left
from molsieve.tables import read_table
from molsieve.terminal import Table, render


@dataclass(frozen=True)
class Situation:
    """All that status reads of a campaign, once."""

    states: dict[str, LevelState]
    counts: list[Calculations]
    work: WorkLeft
    """Of everything chosen so far."""
    round_work: WorkLeft
    """Of the current round only: hits and another level's references are not waited for."""
    failed: list[Failure]
    rounds: list[RoundStatus]


def look_at(campaign: Campaign, folder: Path) -> Situation:
    """Read results and label store.

    Raises:
        TableError: a table that is damaged or another's.
    """
    states, found = level_states(campaign), parts(campaign, folder)
    counts = [calculations(part, states[part.level]) for part in found]
    rounds = round_statuses(campaign, folder, counts)
    current = [part for part in found if part.stage == f"round {len(rounds) - 1}"]
    return Situation(
        states=states,
        counts=counts,
        work=work_left(found, states),
        round_work=work_left(current, states),
        failed=failures(found, states),
        rounds=rounds,
    )


def status(
    campaign: Campaign,
    results: Path | None = None,
    terminal: bool = False,
    scheduler: bool = True,
    list_failed: bool = False,
    path: Path = Path("config/X.yaml"),
) -> str:
    """The campaign's state in words and tables.

    Args:
        results: the campaign's folder; None: ``results/<campaign>`` below the working directory.
        terminal: colours and rules.
        scheduler: ask it, once, for the campaign's jobs (where there is one).
        list_failed: a row for every failed structure.
        path: the campaign file as typed, for what to type next.

    Raises:
        TableError: a table that is damaged or another's.
    """
    folder = results or Path("results") / campaign.campaign
    seen = look_at(campaign, folder)
    lines = [controller_text(folder)]
    lines += _scheduler_lines(campaign, folder) if scheduler else []
    lines += _preparation(campaign, folder) + _warnings(campaign, folder, seen.counts)
    text = [f"Campaign {campaign.campaign} ({folder})", *(f"  {line}" for line in lines)]
    tables = [_calculation_table(seen.counts)] if seen.counts else []
    if seen.rounds:
        tables.append(_round_table(campaign, seen.rounds))
    if list_failed and seen.failed:
        tables.append(failure_table(seen.failed))
    if tables:
        text += ["", render(tables, terminal, width=140).rstrip(), ""]
    if not seen.rounds:
        text.append("  rounds      none begun")
    closing = _failed_lines(seen.failed, path if list_failed else None) + _retry_lines(folder)
    closing += _verdict_lines(campaign, seen.rounds)
    closing += time_left(
        campaign, seen.rounds, seen.work, seen.round_work, seen.states[campaign.labels.level]
    )
    closing += _answer_lines(folder, seen.rounds)
    return "\n".join(text + [f"  {line}" for line in closing])


def controller_text(folder: Path) -> str:
    """Who runs the campaign."""
    lease = folder / "controller.lease"
    holder = read_holder(lease)
    if holder is None:
        return "controller  none is running"
    if is_live(lease, STALE_AFTER_S):
        return f"controller  running: {holder}"
    return f"controller  none is running; the last one was {holder}"


def _scheduler_lines(campaign: Campaign, folder: Path) -> list[str]:
    """The campaign's jobs in the queue; a scheduler that does not answer is a line, no error."""
    # The controller runs above results/<campaign>.
    try:
        jobs = queued_jobs(campaign.campaign, folder.resolve().parents[1])
    except SchedulerError as error:
        return [f"scheduler   {error}"]
    if jobs is None:
        return []
    first, *rest = queue_lines(jobs)
    return [f"scheduler   {first}", *(f"            {line}" for line in rest)]


def _preparation(campaign: Campaign, folder: Path) -> list[str]:
    shards = campaign.candidates.shards  # type: ignore[attr-defined]
    listed = [folder / f"candidates/{s}.parquet" for s in range(shards)]
    listed = [path for path in listed if path.exists()]
    lines = [f"candidates  {len(listed)} of {shards} shards"]
    if listed:
        states = read_table(listed, "candidates", ["status"])["status"]
        accepted = int((states == "accepted").sum())
        lines[0] += f", {accepted:,} accepted, {len(states) - accepted:,} rejected"
    built = existing(folder / f"structures/{s}/structures.parquet" for s in range(shards))
    lines.append(f"structures  {built} of {shards} shards")
    for name in used_levels(campaign):
        calibration = folder / f"references/{name}/calibration.json"
        lines.append(f"level       {name}: {_calibration_text(calibration)}")
    return lines


def _warnings(campaign: Campaign, folder: Path, counts: list[Calculations]) -> list[str]:
    """Why what follows may not be this campaign's."""
    lines = []
    try:
        check_results_folder(campaign, folder)
    except CampaignError as error:
        first, *rest = str(error).splitlines()
        lines.append(f"settings    not those of these results: {(rest or [first])[0].strip()}")
    store = Path(campaign.run.label_store)
    if counts and not store.exists():
        lines.append(f"labels      the label store {store} is not there: none is known")
    return lines


def _calibration_text(path: Path) -> str:
    if not path.exists():
        return "not calibrated yet"
    found = json.loads(path.read_text())
    error = found.get("loo_mae_v")
    return "calibrated" if error is None else f"calibrated, leave-one-out error {error:.3f} V"


def _retry_lines(folder: Path) -> list[str]:
    """Orders of ``molsieve retry``: the next run of the same command works off the open ones."""
    orders = read_orders(folder)
    if not orders:
        return []
    still = [order for order in orders if order.is_open(folder)]
    text = f"retries     {len(orders)} ordered, {len(orders) - len(still)} done"
    if still:
        text += f", {len(still)} open ({sum(o.calculations for o in still):,} calculations)"
    return [text]


def _calculation_table(counts: list[Calculations]) -> Table:
    columns = ["of", "level", "selected", "queued", "running", "done", "failed", "ended"]
    table = Table("Calculations", columns)
    for c in counts:
        numbers = [c.selected, c.queued, c.running, c.done, c.failed]
        # Rounded down, so that 100 % means all.
        share = f"{100 * (c.done + c.failed) // c.selected} %" if c.selected else "–"
        table.rows.append([c.stage, c.level, *(f"{n:,}" for n in numbers), share])
    return table


def _round_table(campaign: Campaign, rounds: list[RoundStatus]) -> Table:
    columns = ["round", "stage", "members", "predicted", "geometries"]
    columns += ["test error", "missed", "time"]
    table = Table("Rounds", columns)
    for r in rounds:
        figures = r.figures or {}
        table.rows.append(
            [
                str(r.round),
                r.stage,
                f"{r.members}/{campaign.potential.members}",
                f"{r.predicted_shards}/{campaign.prediction.shards}",
                "done" if r.geometries else "–",
                _number(figures.get("random_test_mae")),
                _number(expected_missed(figures, campaign.stop.top_k)),
                "–" if r.seconds is None else duration(r.seconds),
            ]
        )
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _failed_lines(failed: list[Failure], path: Path | None) -> list[str]:
    """Failures by kind; what to type where they are listed, for a campaign file at ``path``."""
    if not failed:
        return []
    said = f"failed      {len(failed):,} structures: {counts_text(failed)}"
    if path is None:
        return [f"{said}; --failed lists them"]
    return [
        said,
        f"again       molsieve retry {path} --kind {failed[0].kind} --dry-run   "
        "(without a choice it says what may help)",
    ]


def _verdict_lines(campaign: Campaign, rounds: list[RoundStatus]) -> list[str]:
    figures = [r.figures for r in rounds if r.figures is not None]
    if not figures:
        return []
    word = verdict(figures, campaign.stop, campaign.acquisition.batch_labels)
    return [f"verdict     after round {len(figures) - 1}: {word.reason}"]


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
