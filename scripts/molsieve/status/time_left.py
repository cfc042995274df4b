"""How long a campaign may still take: the calculations of now, the current round, the whole."""

from __future__ import annotations

from molsieve.acquisition.stopping import verdict
from molsieve.campaign import Campaign
from molsieve.plan.counts import labels_by_round
from molsieve.status.calculations import LevelState, WorkLeft
from molsieve.status.rounds import RoundStatus


def time_left(
    campaign: Campaign,
    rounds: list[RoundStatus],
    work: WorkLeft,
    round_work: WorkLeft,
    labels: LevelState,
) -> list[str]:
    """A line on what is queued and running, on this round's end, on the campaign's upper bound.

    Args:
        work: of everything chosen so far.
        round_work: of the current round only.
        labels: the store at the level of the rounds.
    """
    lines = _work_lines(work)
    figures = [r.figures for r in rounds if r.figures is not None]
    if figures and verdict(figures, campaign.stop, campaign.acquisition.batch_labels).stop:
        return lines
    return lines + _round_left(rounds, round_work) + _campaign_left(campaign, rounds, labels)


def _work_lines(work: WorkLeft) -> list[str]:
    """Calculations that wait or run, in core-seconds and in time with the workers of now."""
    if not work.queued + work.running:
        return []
    known = f"learned from {work.learned_from:,} labels" if work.learned_from else "by default"
    if work.learned_from and work.by_default:
        known += f"; of {work.by_default:,} calculations by default"
    text = f"labels      {work.queued:,} queued, {work.running:,} running: "
    text += f"{duration(work.core_s)} of one core (cost {known}); "
    if work.wall_s is None:
        return [text + "no worker is alive"]
    workers = "the 1 worker at work now goes on"
    if work.workers > 1:
        workers = f"the {work.workers} workers at work now go on"
    return [f"{text}{duration(work.wall_s)} if {workers}"]


def _round_left(rounds: list[RoundStatus], work: WorkLeft) -> list[str]:
    """Until the current round's figures: its labels, and what followed labels in earlier rounds."""
    paces = [r.seconds_after_labels for r in rounds if r.seconds_after_labels is not None]
    labels_s = work.wall_s if work.queued + work.running else 0.0
    if not paces or rounds[-1].figures is not None or labels_s is None:
        return []
    after = sum(paces) / len(paces)
    begun = rounds[-1].seconds_since_labels or 0.0
    left = labels_s + max(after - begun, 0.0)
    return [
        f"this round  about {duration(left)} to its figures; from last label to figures earlier "
        f"rounds took {duration(after)}"
    ]


def _campaign_left(campaign: Campaign, rounds: list[RoundStatus], labels: LevelState) -> list[str]:
    """An upper estimate: labels to the limit, and rounds at the pace of those that are done."""
    planned = labels_by_round(campaign)
    assessed = sum(r.figures is not None for r in rounds)
    ended = sum(r.labels.done + r.labels.failed for r in rounds)
    chosen = sum(r.labels.selected for r in rounds) + sum(planned[len(rounds) :])
    left = max(chosen - ended, 0)
    count, mean_s = _mean_core_s(labels)
    text = f"to go       at most {left:,} labels in {len(planned) - assessed} rounds"
    if count:
        text += f", {duration(left * mean_s)} of one core "
        text += f"({mean_s:.3g} core-s a label, mean of {count:,})"
    lines = [text]
    paces = [r.seconds for r in rounds if r.seconds is not None]
    if paces:
        pace, more = sum(paces) / len(paces), len(planned) - len(paces)
        lines.append(
            f"pace        {duration(pace)} a round so far; at most {more} more, "
            f"{duration(pace * more)}"
        )
    return lines


def _mean_core_s(state: LevelState) -> tuple[int, float]:
    """How many labels have a time, and their mean in core-seconds."""
    rows = state.labels
    ok = rows[(rows["status"] == "ok") & (rows["wall_s"] > 0)]
    return len(ok), float((ok["wall_s"] * ok["cores"]).mean()) if len(ok) else 0.0


def duration(seconds: float) -> str:
    """A time in its natural unit: ``40 s``, ``12 min``, ``3.4 h``, ``2.1 d``."""
    for limit, unit, length in ((90, "s", 1.0), (5400, "min", 60.0), (172_800, "h", 3600.0)):
        if seconds < limit:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds / 86_400:.3g} d"
