"""The controller's side of a campaign: its lease, its place, and its last word."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from molsieve.acquisition.stopping import verdict
from molsieve.campaign import Campaign
from molsieve.checks import check_results_folder, record_campaign
from molsieve.jobs.attempts import record_controller
from molsieve.jobs.leases import Lease
from molsieve.section import CampaignError
from molsieve.tables import read_table

_held: list[Lease] = []
"""Keeps the lease (and its heartbeat) alive as long as the controller's process."""

STALE_AFTER_S = 120.0
POLL_S = 2.0


def take(campaign: Campaign, results: Path) -> None:
    """Hold the campaign's lease until this process ends, and claim its results folder.

    Snakemake's own lock is off (it outlives a SIGKILL, and ``--unlock`` lets two controllers run
    one campaign), so this lease is what keeps a second controller out.

    A holder on another machine may be dead: it is waited for until it gives a sign of life, then
    this controller is refused, or until its lease is stale, then this one takes over.

    Raises:
        CampaignError: another live controller holds it, or the folder is another campaign's.
    """
    check_results_folder(campaign, results)
    results.mkdir(parents=True, exist_ok=True)
    lease = Lease(results / "controller.lease", stale_after_s=STALE_AFTER_S)
    if not lease.acquire() and not _outlived(lease):
        raise CampaignError(
            f"The campaign {campaign.campaign!r} is already run by another controller: "
            f"{lease.holder()}.\nWait for it, or stop it and type the same command again."
        )
    _held.append(lease)
    record_controller(results, lease.token)
    record_campaign(campaign, results)


def _outlived(lease: Lease) -> bool:
    """Wait for the holder's next heartbeat; True, and the lease is taken, if there is none."""
    first = _sign_of_life(lease)
    holder = lease.holder()
    if holder is not None and holder.is_of_this_machine():
        return lease.acquire()
    print(
        f"Another controller ran this campaign: {holder}. Waiting for a sign of life, "
        f"at most {STALE_AFTER_S:.0f} s …",
        flush=True,
    )
    while not lease.acquire():
        if _sign_of_life(lease) != first:
            return False
        time.sleep(POLL_S)
    print("There was none: this controller takes over.", flush=True)
    return True


def _sign_of_life(lease: Lease) -> tuple[str, int]:
    """What changes while the holder lives: who it is, and when it last touched its lease."""
    holder = lease.holder()
    try:
        return (holder.token if holder else "", os.stat(lease.path).st_mtime_ns)
    except FileNotFoundError:
        return ("", 0)


def give_back() -> None:
    """Release the lease at the end of a run."""
    while _held:
        _held.pop().release()


def answer(campaign: Campaign, rounds: Path, rows: int = 5) -> str:
    """Where the ranking and the page are, why the loop ended, and the first rows.

    Where the last round that the figures ask for has no ranking (the run had another target, or an
    upstream change gave finished rounds new figures), it says that the same command goes on.
    """
    figures: list[dict] = []
    while len(figures) < campaign.stop.max_rounds:
        path = rounds / str(len(figures)) / "figures.json"
        if not path.exists():
            break
        figures.append(json.loads(path.read_text()))
        if verdict(figures, campaign.stop, campaign.acquisition.batch_labels).stop:
            break
    judged = verdict(figures, campaign.stop, campaign.acquisition.batch_labels)
    said = f"\nCampaign {campaign.campaign}: {len(figures)} rounds. {judged.reason}\n"
    folder = rounds / str(len(figures) - 1)
    if not (folder / "ranking.parquet").exists():
        return said + "This is not its end yet: the same command (without a target) goes on.\n"
    ranking = read_table(folder / "ranking.parquet", "ranking").head(rows)
    columns = ["rank", "identifier", "mean", "std", "label_value", "confirmed_value", "unit"]
    table = ranking[columns].to_string(index=False, na_rep="-", float_format="{:.3f}".format)
    return (
        f"{said}\n{table}\n\nranking: {folder / 'ranking.parquet'}\n"
        f"page:    {folder / 'report.html'}\n"
    )
