"""The verdict on a campaign's figures: go on or stop, and why, in numbers.

Imports the standard library and :mod:`molsieve.campaign` only: the workflow reads it while parsing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from molsieve.campaign import Stop


@dataclass(frozen=True)
class Verdict:
    """Whether the loop ends, and why, for a person."""

    stop: bool
    reason: str


def verdict(figures: Sequence[Mapping[str, Any]], stop: Stop, batch_labels: int) -> Verdict:
    """Judge the figures of rounds 0..r, as ``assess_round`` wrote them, in order. Pure.

    The loop ends when nothing is left to label; when the expected number of missed candidates has
    been low for ``consecutive_rounds`` rounds (with several goals: of the front, or the hypervolume
    that they would add) and the random-test error has levelled; at the limit of rounds; or when the
    next round's ``batch_labels`` would exceed ``max_labels``.
    """
    if not figures:
        return Verdict(False, "no round has been assessed yet")
    last = figures[-1]
    several = "missed_hypervolume" in last
    few_missed, missed = (_little_missed if several else _few_missed)(figures, stop)
    levelled, error = _levelled(figures, stop)
    if last["n_selectable"] == 0:
        return Verdict(
            True,
            f"nothing left to label of {last['n_candidates']} candidates: "
            f"{last['n_labelled_candidates']} are labelled, the others have failed",
        )
    if few_missed and levelled:
        return Verdict(True, f"converged: {missed}; {error}")
    if len(figures) >= stop.max_rounds:
        return Verdict(
            True,
            f"round limit: {len(figures)} rounds done, stop.max_rounds is {stop.max_rounds}; "
            f"not converged: {missed}; {error}",
        )
    attempted = last["labels_attempted_total"]
    if attempted + batch_labels > stop.max_labels:
        return Verdict(
            True,
            f"budget: {attempted} labels are spent and {batch_labels} more would exceed "
            f"stop.max_labels ({stop.max_labels}); not converged: {missed}; {error}",
        )
    return Verdict(False, f"goes on: {missed}; {error}")


def _few_missed(figures: Sequence[Mapping[str, Any]], stop: Stop) -> tuple[bool, str]:
    """Has the expected number of missed candidates been low for long enough?

    A round whose spread is not calibrated cannot tell.
    """
    window = [expected_missed(f, stop.top_k) for f in figures[-stop.consecutive_rounds :]]
    now = window[-1]
    if now is None:
        return False, (
            f"the expected number missed in the top {stop.top_k} is unknown "
            "(the spread is not calibrated, or fewer candidates are labelled)"
        )
    low = 0
    for value in reversed(window):
        if value is None or value > stop.expected_missed:
            break
        low += 1
    return low >= stop.consecutive_rounds, (
        f"{now:.2f} unlabelled candidates are expected in the top {stop.top_k} "
        f"(bound {stop.expected_missed:g}), low for {low} of {stop.consecutive_rounds} rounds"
    )


def _little_missed(figures: Sequence[Mapping[str, Any]], stop: Stop) -> tuple[bool, str]:
    """With several goals: has what is expected to be missed of the front been little for long?

    Little is: hardly a candidate without a label, or candidates that add hardly any hypervolume (of
    a large set some newcomer is always expected on a front of many).
    """
    low = 0
    for told in reversed(figures[-stop.consecutive_rounds :]):
        few = told["expected_front_missed"] <= stop.expected_missed
        little = told["missed_hypervolume"] <= stop.missed_hypervolume
        if not told.get("calibrated", False) or not (few or little):
            break
        low += 1
    now = figures[-1]
    if not now.get("calibrated", False):
        return False, (
            "what is missed of the front is unknown (the spread of an objective is not calibrated)"
        )
    return low >= stop.consecutive_rounds, (
        f"{now['expected_front_missed']:.2f} unlabelled candidates are expected on the front of "
        f"{now['expected_front_size']:.1f} (bound {stop.expected_missed:g}), with "
        f"{now['missed_hypervolume']:.1%} of its hypervolume (bound {stop.missed_hypervolume:.1%}; "
        f"either is enough), low for {low} of {stop.consecutive_rounds} rounds"
    )


def _levelled(figures: Sequence[Mapping[str, Any]], stop: Stop) -> tuple[bool, str]:
    """Has the random-test error levelled between the last two rounds?

    It has when it changed by less than ``levelled_change`` of its former value, or when the former
    value lies within the interval of the new one: a change that the test set cannot tell from none.
    """
    now = last_error = None
    interval = None
    if len(figures) >= 2:
        last_error, now = (f.get("random_test_mae") for f in figures[-2:])
        interval = figures[-1].get("random_test_mae_interval")
    if now is None or last_error is None:
        return False, "the random-test error is not known for two rounds yet"
    change = abs(now - last_error) / last_error if last_error > 0 else float(now > 0)
    text = f"the random-test error went from {last_error:.4g} to {now:.4g} ({change:.0%})"
    if change < stop.levelled_change:
        return True, f"{text}, levelled (below {stop.levelled_change:.0%})"
    if interval is not None and interval[0] <= last_error <= interval[1]:
        return True, f"{text}, within its interval {interval[0]:.4g} to {interval[1]:.4g}"
    return False, f"{text}, not levelled (bound {stop.levelled_change:.0%})"


def expected_missed(figures: Mapping[str, Any], top_k: int) -> float | None:
    """Expected number of unlabelled candidates in the top ``top_k``, as the verdict reads it.

    With several objectives: on the front. None where fewer candidates are labelled, or the spread
    is not calibrated.
    """
    if "expected_front_missed" in figures:
        return float(figures["expected_front_missed"]) if figures.get("calibrated") else None
    values = figures.get("expected_missed") or []
    known = figures.get("calibrated", False) and top_k <= len(values)
    return values[top_k - 1] if known else None
