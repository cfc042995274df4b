"""How long the jobs of each shard count will last, and a better count where that is no good length.

A job that lasts seconds pays more for its start than for its work (two Snakemakes, imports, the
queue); one that lasts many hours waits long to be let in and loses time to its time limit. Rounds
share a shard count, so it has to suit the seed and the batches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from molsieve.campaign import Campaign
from molsieve.jobs.resources import committee_gpus, training_s
from molsieve.plan.pricing import LabelWork, Space, Stage
from molsieve.prices import DFT_GPU_SPEEDUP, GPU_SPEEDUP, JOB_CORES

SHORTEST_MIN, LONGEST_MIN = 10.0, 60.0
"""A good job: tens of minutes."""
SLACK = 1.1
"""Prices are rough: a length this factor out of range is no reason to change a count."""
MOST_SHARDS = 200
"""Beyond it jobs had better grow: Snakemake plans each one, in every dry run and every start."""
CALCULATIONS_A_WORKER = 2
"""Fewer calculations than this for a core (or GPU) leave workers idle while the last one ends."""

ATTEMPTS = 3
"""Of a job, as profiles/slurm has it (``retries: 2``)."""


@dataclass(frozen=True)
class Load:
    """Work that is cut into the same number of shards each time it comes.

    Attributes:
        times_min: minutes of it all on one job's cores (or GPU), by what it is for.
        workers: of a job; on_gpu: workers are GPUs.
        calculations: how many calculations the smallest of it packs; None: it packs none.
        divides: candidates.shards, where the count has to divide it; None: any count will do.
    """

    key: str
    shards: int
    times_min: dict[str, float]
    workers: int
    on_gpu: bool = False
    calculations: int | None = None
    divides: int | None = None

    def minutes(self, shards: int) -> list[float]:
        """Of a job, in the order of ``times_min``."""
        return [total / shards for total in self.times_min.values()]

    @property
    def suitable(self) -> int:
        """The fewest shards that keep jobs below the longest, if they are not too many or small."""
        wanted = math.ceil(max(self.times_min.values()) / LONGEST_MIN)
        most = math.floor(min(self.times_min.values()) / SHORTEST_MIN)
        if self.calculations is not None:
            most = min(most, self.calculations // (CALCULATIONS_A_WORKER * self.workers))
        return max(1, min(wanted, most, MOST_SHARDS))

    @property
    def is_good(self) -> bool:
        """Whether no other count would be better."""
        minutes = self.minutes(self.shards)
        good = min(minutes) >= SHORTEST_MIN / SLACK and max(minutes) <= LONGEST_MIN * SLACK
        return self.shards == self.suitable or (good and not self.starves(self.shards))

    def starves(self, shards: int) -> bool:
        """Whether workers of such a job would have too few calculations."""
        needed = CALCULATIONS_A_WORKER * self.workers * shards
        return self.calculations is not None and self.calculations < needed


def shard_advice(
    campaign: Campaign,
    space: Space,
    stages: Sequence[Stage],
    by_round: Sequence[int],
    labels: Sequence[LabelWork],
) -> list[str]:
    """A line on each shard count of the campaign."""
    return [line(load) for load in loads(campaign, space, stages, by_round, labels)]


def length_advice(
    campaign: Campaign, space: Space, stages: Sequence[Stage], by_round: Sequence[int]
) -> list[str]:
    """Lines on jobs that a cluster would end before they are done."""
    longest_h = campaign.run.longest_job_h
    granted, lines = f"run.longest_job_h ({longest_h:g} h)", []
    seconds = training_s(campaign, sum(by_round) * space.atoms)
    train_h = seconds / 3600 / (GPU_SPEEDUP if committee_gpus(campaign) else 1)
    if train_h > ATTEMPTS * longest_h:
        lines.append(
            f"train_member: a member may take {_shown(60 * train_h)} in the last round, more than "
            f"{ATTEMPTS} attempts of {granted}; it goes on from its checkpoint when the same "
            "command is typed again"
        )
    load = prediction_load(campaign, stages, by_round)
    key = load.key if load.divides is None else f"{load.key} with candidates.shards"
    if max(load.minutes(load.shards)) > 60 * longest_h:
        lines.append(
            f"prediction.shards: {load.shards}, a job may take {_minutes(load, load.shards)}, more "
            f"than {granted}, and has no checkpoint: raise {key} or run.longest_job_h"
        )
    return lines


def loads(
    campaign: Campaign,
    space: Space,
    stages: Sequence[Stage],
    by_round: Sequence[int],
    labels: Sequence[LabelWork],
) -> list[Load]:
    """What each shard count of the campaign cuts."""
    spent, work = {s.name: s for s in stages}, {w.level: w for w in labels}
    return [
        _of_stage(
            "candidates.shards",
            campaign.candidates.shards,  # type: ignore[attr-defined]
            spent["structures"],
            1,
        ),
        _of_labels(
            "labels.shards", campaign.labels.shards, _rounds(by_round), work[campaign.labels.level]
        ),
        prediction_load(campaign, stages, by_round),
        _of_hits(campaign, space, work[campaign.ranking.confirm.level]),
    ]


def prediction_load(campaign: Campaign, stages: Sequence[Stage], by_round: Sequence[int]) -> Load:
    """What prediction.shards cuts."""
    stage = next(s for s in stages if s.name == "prediction")
    load = _of_stage("prediction.shards", campaign.prediction.shards, stage, len(by_round))
    beside = sum(s.core_hours for s in stages if s.name == "descriptors")
    if beside:
        more = 60 * beside / len(by_round) / JOB_CORES
        load = replace(load, times_min={k: v + more for k, v in load.times_min.items()})
    if not campaign.whole_candidate_shards:
        return load
    return replace(load, divides=campaign.candidates.shards)  # type: ignore[attr-defined]


def _rounds(by_round: Sequence[int]) -> dict[str, int]:
    """Labels of the seed and of a batch."""
    return {"in round 0": by_round[0]} | ({"later": by_round[1]} if len(by_round) > 1 else {})


def _of_stage(key: str, shards: int, stage: Stage, times: int) -> Load:
    """A stage that runs ``times`` times."""
    if stage.gpu_hours:
        return Load(key, shards, {"": 60 * stage.gpu_hours / times}, 1, on_gpu=True)
    return Load(key, shards, {"": 60 * stage.core_hours / times / JOB_CORES}, JOB_CORES)


def _of_labels(key: str, shards: int, counts: dict[str, int], work: LabelWork) -> Load:
    workers = 1 if work.on_gpu else JOB_CORES
    each_s = work.each_core_s / (DFT_GPU_SPEEDUP if work.on_gpu else 1)
    times = {name: count * each_s / 60 / workers for name, count in counts.items()}
    return Load(key, shards, times, workers, work.on_gpu, min(counts.values()))


def _of_hits(campaign: Campaign, space: Space, work: LabelWork) -> Load:
    """Hits at the confirming level: the dearer of the two that share the count."""
    confirm = campaign.ranking.confirm
    hits = (confirm.top + confirm.controls) * space.species_per_candidate
    return _of_labels("ranking.confirm.shards", confirm.shards, {"": hits}, work)


def line(load: Load) -> str:
    """The count, its minutes a job, and a better count if there is one."""
    text = f"{load.key}: {load.shards}, a job takes {_minutes(load, load.shards)} on {_width(load)}"
    if load.is_good:
        return text
    text += f"; better {load.suitable}: {_minutes(load, load.suitable)}"
    if load.starves(load.shards):
        text += f", {CALCULATIONS_A_WORKER} calculations or more for each of its workers"
    if load.divides is not None and load.divides % load.suitable:
        text += "; candidates.shards has to be a multiple of it"
    return text


def _minutes(load: Load, shards: int) -> str:
    named = zip(load.times_min, load.minutes(shards), strict=True)
    return " and ".join(f"{_shown(minutes)} {name}".rstrip() for name, minutes in named)


def _shown(minutes: float) -> str:
    if minutes < 1:
        return "less than 1 min"
    return f"{minutes:.0f} min" if minutes < 180 else f"{minutes / 60:.2g} h"


def _width(load: Load) -> str:
    return "1 GPU" if load.on_gpu else f"{load.workers} cores"
