"""The controller's side of a campaign: its lease, its place, and its last word."""

from __future__ import annotations

from pathlib import Path

from molsieve.campaign import Campaign, CampaignError
from molsieve.leases import Lease

_held: list[Lease] = []
"""Keeps the lease (and its heartbeat) alive as long as the controller's process."""

STALE_AFTER_S = 120.0


def take(campaign: Campaign, results: Path) -> None:
    """Hold the campaign's lease until this process ends, and claim its results folder.

    Snakemake's own lock is off (it outlives a SIGKILL, and ``--unlock`` lets two controllers run
    one campaign), so this lease is what keeps a second controller out.

    Raises:
        CampaignError: another live controller holds it, or the folder is another campaign's.
    """
    from molsieve.checks import check_results_folder, record_campaign

    check_results_folder(campaign, results)
    results.mkdir(parents=True, exist_ok=True)
    lease = Lease(results / "controller.lease", stale_after_s=STALE_AFTER_S)
    if not lease.acquire():
        raise CampaignError(
            f"The campaign {campaign.campaign!r} is already run by another controller: "
            f"{lease.holder()}.\nWait for it, or stop it; a dead one's lease expires by itself "
            f"after {STALE_AFTER_S:.0f} s (at once on the same machine)."
        )
    _held.append(lease)
    record_campaign(campaign, results)


def give_back() -> None:
    """Release the lease at the end of a run."""
    while _held:
        _held.pop().release()


def answer(campaign: Campaign, round_folder: Path, rows: int = 5) -> str:
    """Where the ranking and the page are, why the loop ended, and the first rows."""
    import json

    from molsieve.acquisition.stopping import verdict
    from molsieve.tables import read_table

    last = int(round_folder.name)
    figures = [
        json.loads((round_folder.parent / str(r) / "figures.json").read_text())
        for r in range(last + 1)
    ]
    ranking = read_table(round_folder / "ranking.parquet", "ranking").head(rows)
    columns = ["rank", "identifier", "mean", "std", "label_value", "confirmed_value", "unit"]
    return "\n".join(
        [
            "",
            f"Campaign {campaign.campaign}: {last + 1} rounds. "
            + verdict(figures, campaign.stop, campaign.acquisition.batch_labels).reason,
            "",
            ranking[columns].to_string(index=False, float_format=lambda x: f"{x:.3f}"),
            "",
            f"ranking: {round_folder / 'ranking.parquet'}",
            f"page:    {round_folder / 'report.html'}",
            "",
        ]
    )
