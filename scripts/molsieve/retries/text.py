"""What ``molsieve retry`` says: what failed, what is repeated, what that changes, what to type."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from molsieve.acquisition.stopping import verdict
from molsieve.campaign import Campaign
from molsieve.checks import check_results_folder
from molsieve.jobs.controller import STALE_AFTER_S
from molsieve.jobs.leases import is_live, read_holder
from molsieve.property_settings import objective_level
from molsieve.retries.choice import (
    Choice,
    Chosen,
    Failed,
    all_failures,
    choose,
    next_number,
    orders_for,
    write_order,
)
from molsieve.retries.orders import FOLDER, Order
from molsieve.section import CampaignError
from molsieve.status.calculations import parts
from molsieve.status.failures import shortened
from molsieve.terminal import Table, render

HINTS = {
    "scf_not_converged": "--set max_cycles=400 (pyscf), max_iterations=1000 (tblite), max_scf=500 "
    "(cp2k)",
    "timeout": "--time-limit 4h",
    "worker_died": "most often memory: give label jobs more of it, then repeat as it is",
    "geometry_not_converged": "--set max_optimiser_steps=500",
    "bad_input": "fails again whatever is set",
    "engine_error": "repeat as it is once the installation or the machine is mended",
    "roots_not_converged": "fails again whatever is set",
    "unstable_ground_state": "fails again whatever is set: no closed-shell ground state",
}


def retry(
    campaign: Campaign,
    path: Path,
    choice: Choice,
    *,
    changes: Sequence[str] = (),
    time_limit_s: float | None = None,
    dry_run: bool = False,
    results: Path | None = None,
    terminal: bool = False,
) -> str:
    """Order the chosen failures to be repeated; without a choice, list them. Returns what to say.

    Args:
        path: the campaign file, as typed.
        changes: ``key=value`` of the level.
        dry_run: say all, write nothing.

    Raises:
        CampaignError: nothing can be ordered so, with what can.
    """
    folder = results or Path("results") / campaign.campaign
    check_results_folder(campaign, folder)
    found = all_failures(campaign, folder)
    if not found:
        return _none_failed(campaign, folder)
    if not choice:
        if changes or time_limit_s:
            raise CampaignError("choose what to repeat: --kind, --structure, --round … or --all")
        return _listing(found, campaign, path, terminal)
    chosen = choose(found, choice, campaign)
    if not chosen.repeated:
        raise CampaignError("\n".join(["nothing is left to order", *_left_out(chosen)]))
    orders = orders_for(chosen.repeated, campaign, changes, time_limit_s, next_number(folder))
    lines = []
    for order, mine in orders:
        if not dry_run:
            write_order(order, mine, folder, campaign)
        lines += _order_lines(order, mine, campaign, folder, dry_run)
    return "\n".join([*lines, *_left_out(chosen), "", *_what_to_type(folder, path, dry_run)])


def _none_failed(campaign: Campaign, results: Path) -> str:
    """And why that may say little."""
    said = f"Campaign {campaign.campaign}: no calculation has failed."
    if not parts(campaign, results):
        return f"{said} Nothing has been chosen for labelling yet in {results}."
    store = Path(campaign.run.label_store)
    return said if store.exists() else f"{said} But the label store {store} is not there."


def _listing(found: Sequence[Failed], campaign: Campaign, path: Path, terminal: bool) -> str:
    """Failures by kind and place: how many, one message; and what to type."""
    table = Table("Failed calculations", ["kind", "level", "where", "count", "ordered", "message"])
    groups: dict[tuple[str, str, str], list[Failed]] = {}
    for f in found:
        key = (f.failure.kind, f.failure.level, ", ".join(f.failure.stages))
        groups.setdefault(key, []).append(f)
    for key, mine in sorted(groups.items()):
        ordered = sum(f.order is not None for f in mine)
        message = shortened(mine[0].failure.message)
        table.rows.append([*key, f"{len(mine):,}", f"{ordered:,}", message])
    lines = [f"Campaign {campaign.campaign}: {len(found):,} failed", ""]
    lines += [render([table], terminal).rstrip(), "", "What may help, by kind:"]
    kinds = sorted({f.failure.kind for f in found})
    lines += [f"  {kind:24}{HINTS.get(kind, 'repeat as it is')}" for kind in kinds]
    lines += ["", "To see what would be repeated, then without --dry-run to order it:"]
    lines.append(f"  molsieve retry {path} --kind {kinds[0]} --dry-run")
    lines.append(
        "  (also --structure ID, --round R, --level NAME, --all; --references for measured"
    )
    lines.append("  systems only, or too; molsieve status --failed lists every structure)")
    return "\n".join(lines)


def _order_lines(
    order: Order,
    mine: Sequence[Failed],
    campaign: Campaign,
    results: Path,
    dry_run: bool,
) -> list[str]:
    said = "would be repeated" if dry_run else f"ordered as {results / FOLDER / str(order.number)}"
    settings = [f"{key} = {value}" for key, value in order.settings.items()]
    settings.append(f"time limit of a calculation {order.time_limit_s:g} s")
    return [
        f"Level {order.level!r}: {len(mine):,} failed {said}, with {', '.join(settings)}.",
        *(_failed_line(f) for f in mine),
        *consequences(order, campaign, results),
        *_doubts(order, mine, campaign),
    ]


def _failed_line(failed: Failed) -> str:
    """One failure with its whole id, to be typed again."""
    f = failed.failure
    times = f" ({f.attempts} attempts)" if f.attempts > 1 else ""
    stages = ", ".join(f.stages)
    return f"  {f.structure_id}  {stages}  {f.kind}{times}: {shortened(f.message)}"


def consequences(order: Order, campaign: Campaign, results: Path) -> list[str]:
    """What its labels will change."""
    lines = []
    if order.rounds:
        lines.append(_next_dataset(campaign, results))
    if order.hits:
        rounds = ", ".join(str(r) for r in order.hits)
        lines.append(f"Hits of round {rounds}: ranking and page are made again.")
    if order.references:
        said = (
            f"Measured systems: level {order.level!r} is calibrated again, and if its fit changes, "
        )
        lines.append(said + _rests_on(order.level, campaign))
    return lines


def _rests_on(level: str, campaign: Campaign) -> str:
    """What is computed again when a level's calibration changes."""
    if level == campaign.labels.level:
        return "committees, predictions and rankings of all rounds are computed again."
    if level == objective_level(campaign.model_dump(mode="json")):
        return "evaluations, predictions and rankings of all rounds are computed again."
    return "ranking and page are made again."


def _next_dataset(campaign: Campaign, results: Path) -> str:
    """Which dataset will be the first to hold the new labels."""
    rounds = results / "rounds"
    frozen = 0
    while (rounds / str(frozen) / "dataset" / "dataset.parquet").exists():
        frozen += 1
    said = f"Labels of rounds: they enter the dataset of round {frozen}; earlier ones stay frozen."
    figures = [json.loads(path.read_text()) for path in _figures(rounds, frozen)]
    if frozen < campaign.stop.max_rounds and not (
        figures and verdict(figures, campaign.stop, campaign.acquisition.batch_labels).stop
    ):
        return said
    return (
        f"{said} The loop has ended, so they change nothing until another round runs "
        "(a higher stop.max_rounds, a tighter threshold)."
    )


def _figures(rounds: Path, frozen: int) -> list[Path]:
    paths = [rounds / str(r) / "figures.json" for r in range(frozen)]
    return [path for path in paths if path.exists()]


def _doubts(order: Order, mine: Iterable[Failed], campaign: Campaign) -> list[str]:
    """Where nothing that matters to the failure is changed."""
    kinds = {f.failure.kind for f in mine}
    in_vain = []
    if "timeout" in kinds and order.time_limit_s <= campaign.run.calculation_time_limit_s:
        in_vain.append("timeout: the time limit is no longer than before (--time-limit)")
    for kind in sorted(kinds & {"scf_not_converged", "geometry_not_converged"}):
        if not order.settings:
            in_vain.append(f"{kind}: nothing is changed ({HINTS[kind]})")
    if "bad_input" in kinds:
        in_vain.append(f"bad_input: {HINTS['bad_input']}")
    return [f"Likely to fail again: {said}" for said in in_vain]


def _left_out(chosen: Chosen) -> list[str]:
    lines = []
    if chosen.ordered:
        numbers = ", ".join(str(n) for n in sorted({f.order or 0 for f in chosen.ordered}))
        lines.append(
            f"Left out: {len(chosen.ordered)} that order {numbers} will repeat. To withdraw an "
            f"order that has not begun, delete its folder {FOLDER}/<number>; never one that "
            "has run."
        )
    if chosen.references:
        lines.append(
            f"Left out: {len(chosen.references)} of measured systems. Their labels change the "
            "calibration of the level, and with it what finished rounds rest on; if that is "
            "wanted, add --references."
        )
    return lines


def _what_to_type(results: Path, path: Path, dry_run: bool) -> list[str]:
    if dry_run:
        return ["Nothing was written (--dry-run)."]
    command = f"  snakemake --configfile {path} --workflow-profile <your profile>"
    lines = ["The campaign's own command computes them, with the profile that you run it with:"]
    lines.append(command)
    lease = results / "controller.lease"
    if is_live(lease, STALE_AFTER_S):
        lines.append(
            f"It is running now ({read_holder(lease)}) and does not know of this order: type the "
            "same command again once it has ended."
        )
    return lines
