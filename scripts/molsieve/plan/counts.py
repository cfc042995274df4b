"""What a campaign will be, before anything is queued: ``molsieve plan``.

Counts are upper bounds: every round up to the limits, duplicates and filters not yet taken off.
"""

from __future__ import annotations

from dataclasses import dataclass

from molsieve.campaign import Campaign
from molsieve.plan.assumptions import assumptions
from molsieve.plan.pricing import Space, Stage, disk_bytes, label_work, look_at_space
from molsieve.plan.pricing import stages as priced_stages
from molsieve.plan.shard_advice import length_advice, shard_advice
from molsieve.prices import searches
from molsieve.property_settings import fidelity_of, objective_level


@dataclass(frozen=True)
class Plan:
    """The size and the price of a campaign."""

    campaign: str
    space: Space
    labels_by_round: list[int]
    labels_by_level: dict[str, int]
    stages: list[Stage]
    jobs: dict[str, int]
    files: int
    peak_disk_bytes: int
    advice: list[str]
    assumptions: list[str]

    @property
    def core_hours(self) -> float:
        """Sum over stages."""
        return sum(s.core_hours for s in self.stages)

    @property
    def gpu_hours(self) -> float:
        """Sum over stages."""
        return sum(s.gpu_hours for s in self.stages)

    @property
    def job_count(self) -> int:
        """Sum over rules."""
        return sum(self.jobs.values())


def plan(campaign: Campaign) -> Plan:
    """Price a campaign; reads its candidate file, if it names one, and its label store's timings.

    Raises:
        CampaignError: the candidates cannot be read, or none of a sample can pass the filters.
    """
    space = look_at_space(campaign)
    by_round = labels_by_round(campaign)
    labels = label_work(campaign, space, sum(by_round))
    stages = priced_stages(campaign, space, by_round, labels)
    return Plan(
        campaign=campaign.campaign,
        space=space,
        labels_by_round=by_round,
        labels_by_level={work.level: work.count for work in labels},
        stages=stages,
        jobs=jobs_by_rule(campaign, len(by_round)),
        files=file_count(campaign, len(by_round)),
        peak_disk_bytes=disk_bytes(campaign, space, by_round),
        advice=[
            *shard_advice(campaign, space, stages, by_round, labels),
            *length_advice(campaign, space, stages, by_round),
        ],
        assumptions=assumptions(campaign, space),
    )


def labels_by_round(campaign: Campaign) -> list[int]:
    """Labels of each round up to the limits of rounds and labels, as the verdict counts them."""
    acquisition, stop = campaign.acquisition, campaign.stop
    counts = [acquisition.seed_labels]
    while (
        len(counts) < stop.max_rounds and sum(counts) + acquisition.batch_labels <= stop.max_labels
    ):
        counts.append(acquisition.batch_labels)
    return counts


def jobs_by_rule(campaign: Campaign, rounds: int) -> dict[str, int]:
    """Snakemake jobs by rule when the loop goes through ``rounds`` rounds.

    ``snakemake -n`` unrolls to ``stop.max_rounds`` and shows as many when that is the lower limit.
    """
    objective = objective_level(campaign.model_dump(mode="json"))
    hit_levels = {objective, campaign.ranking.confirm.level}
    levels = len({campaign.labels.level, *hit_levels})
    return {
        "all": 1,
        "enumerate_candidates": 1,
        "build_structures": campaign.candidates.shards,  # type: ignore[attr-defined]
        "build_references": 1,
        "label_references": levels,
        "calibrate_level": levels,
        "select_batch": rounds,
        "label_batch": rounds * campaign.labels.shards,
        "collect_labels": rounds,
        "train_member": rounds * campaign.potential.members,
        **property_jobs(campaign, rounds),
        "evaluate_committee": rounds,
        "predict_candidates": rounds * campaign.prediction.shards,
        "propose_geometries": searches(campaign.acquisition.geometries, rounds),
        "assess_round": rounds,
        "select_hits": 1,
        "confirm_hits": len(hit_levels) * campaign.ranking.confirm.shards,
        "rank_candidates": 1,
        "build_report": 1,
    }


def property_jobs(campaign: Campaign, rounds: int) -> dict[str, int]:
    """Those of a domain with property heads, and of a better level that corrects them."""
    if not hasattr(campaign, "properties"):
        return {}
    jobs = {"train_property_member": rounds * campaign.potential.members}
    if fidelity_of(campaign.model_dump(mode="json")) is not None:
        jobs |= {"label_fidelity": rounds * campaign.labels.shards, "collect_fidelity": rounds}
    return jobs


FILES_PER_JOB = {
    "all": 0,
    "build_structures": 2,
    "build_references": 2,
    "calibrate_level": 2,
    "select_batch": 2,
    "collect_labels": 3,
    "train_member": 2,
    "train_property_member": 2,
    "evaluate_committee": 3,
    "predict_candidates": 2,
    "propose_geometries": 2,
    "assess_round": 2,
    "select_hits": 2,
}
"""Declared outputs of a job, where not one."""


UNDECLARED = ("build_references", "select_batch", "select_hits", "collect_labels")
"""Rules that leave one more file beside their outputs: forecast.json, retries.json."""
KEPT = (
    "enumerate_candidates",
    "build_structures",
    "build_references",
    "train_member",
    "train_property_member",
    "evaluate_committee",
    "predict_candidates",
    "propose_geometries",
)
"""Rules whose finished outputs stay under other names, too, with their digests."""
LABELLING = ("label_references", "label_batch", "label_fidelity", "confirm_hits")


def file_count(campaign: Campaign, rounds: int) -> int:
    """Files at the end: outputs and log of every job, and what is beside them.

    Under ``jobs/<job>`` the log's second name, what is kept of the outputs, of a label job its
    newest attempt; of a label job also two files of the label store.
    """
    jobs = jobs_by_rule(campaign, rounds)
    outputs = {rule: n * FILES_PER_JOB.get(rule, 1) for rule, n in jobs.items()}
    # One job writes all shards of candidates.
    outputs["enumerate_candidates"] = campaign.candidates.shards  # type: ignore[attr-defined]
    logs = 2 * (sum(jobs.values()) - jobs["all"])
    kept = sum(outputs[rule] + jobs[rule] for rule in KEPT if rule in jobs)
    beside = sum(jobs[rule] for rule in UNDECLARED) + 3 * sum(
        jobs.get(rule, 0) for rule in LABELLING
    )
    return sum(outputs.values()) + logs + kept + beside
