"""What a job asks its scheduler for: cores, memory, minutes, GPUs, in proportion to its work.

Floor 0, standard library and the campaign's models only: every job evaluates this while it parses
the rules. Nothing here changes a number. Time and memory grow with the attempt, cores never do
(they decide how a sum is split, and a retry should repeat what failed).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from typing import Any

from molsieve import prices
from molsieve.campaign import Campaign, Confirm
from molsieve.jobs.forecasts import Work
from molsieve.levels import Level, TbliteLevel
from molsieve.prices import (
    ATOM_POSITION_BYTES,
    CANDIDATE_BYTES,
    DFT_GPU_SPEEDUP,
    EVALUATION_S_PER_ATOM,
    GPU_SPEEDUP,
    JOB_CORES,
    RECOVERY_SHARE,
    ROW_BYTES,
    TRAINING_S_PER_ATOM,
    TYPICAL_ATOMS,
    default_law,
    width,
)

CORE_PAYS_AFTER_S = 20.0
"""Core-seconds that make another core worth asking for; starting a job costs several."""
START_UP_S = 300.0
"""Two nested Snakemakes, imports from a cold shared file system, the last writes."""
SHORTEST_MIN = 10
MARGIN = 2.0
"""On predicted work: nodes are slower than assumed, and share their memory bandwidth."""

SNAKEMAKES_MB = 900
"""Two nested Snakemakes (200 MB) and a script that has pandas and pyarrow."""
WORKER_MB = {"tblite": 500, "pyscf": 3000, "cp2k": 3000, "ase": 4000}
"""Of a label worker. PySCF: 500 of code, 1000 of kept grid, the rest integrals. Of the programs
beside a worker ASSUME: cells of a hundred atoms."""
GPU_WORKER_MB = 8000
"""Host memory of a gpu4pyscf worker: code, CUDA context, pinned buffers."""
TORCH_MB = 1500
"""torch and SchNetPack; on a GPU their libraries take twice that."""
NVIDIA_DEVICE = "/dev/nvidia0"
EMPTY_TABLE_BYTES = 10_000
"""Of a Parquet file: its schema and metadata."""
TABLE_EXPANSION = 15
"""Memory of a table against its compressed file."""

SPACE_BYTES_PER_CANDIDATE = 8e3
"""Memory of a candidate's rows of ``candidates`` and ``predictions`` of three objectives (measured:
3.7 kB) and of arrays beside them."""
STRUCTURE_EXPANSION = 5
"""Memory of a ``structures`` table against its file: coordinates do not compress (measured: 4)."""
SPACE_S_PER_CANDIDATE = 2e-3
"""ASSUME: of a job that reads all candidates; reading takes 0.1 ms of it, pooling as much."""

FEW_SHARDS, FEW_LABELS = 4, 5000
"""Up to these, reading every candidate or label takes seconds."""


def is_small(campaign: Campaign) -> bool:
    """Whether what reads all candidates or labels takes seconds: no job of its own on a cluster."""
    shards = campaign.candidates.shards  # type: ignore[attr-defined]
    return bool(shards <= FEW_SHARDS and campaign.stop.max_labels <= FEW_LABELS)


def cores(core_s: float, most: int = JOB_CORES) -> int:
    """Cores that ``core_s`` core-seconds pay for, at most ``most``."""
    return max(1, min(most, math.ceil(core_s / CORE_PAYS_AFTER_S)))


def minutes(campaign: Campaign, seconds: float, attempt: int, at_least_s: float = 0.0) -> int:
    """Wall time (minutes) for ``seconds`` of predicted work, up to ``run.longest_job_h``.

    Args:
        at_least_s: what must fit, whatever the limit.
    """
    busy = max(MARGIN * seconds, at_least_s)
    wanted = attempt * max(SHORTEST_MIN, math.ceil((START_UP_S + busy) / 60))
    longest = int(campaign.run.longest_job_h * 60)
    return max(min(wanted, longest), math.ceil((START_UP_S + at_least_s) / 60))


# Label jobs: many calculations in a pool of workers, one a core or one a GPU.


def expected_labels(
    level: Level, count: int, electrons: float = 3 * TYPICAL_ATOMS, periodic: bool = False
) -> Work:
    """The work of ``count`` labels of a typical size, before anything was forecast.

    Args:
        electrons: valence electrons of a structure.
    """
    seconds = default_law(level)(electrons) * prices.periodic_factor(level, periodic)
    if on_gpu(level):
        seconds /= DFT_GPU_SPEEDUP
    return Work(count, count * seconds, seconds)


def part_of(count: int, share: float) -> int:
    """A share of some calculations, as whole ones."""
    return math.ceil(share * count)


def hits(confirm: Confirm, species: int) -> int:
    """Calculations of the hits at a level, at most: two geometries of each of their species."""
    return 2 * species * (confirm.top + confirm.controls)


def label_cores(level: Level, work: Work, shards: int) -> int:
    """Workers of a job that takes one of ``shards`` shards; none without a calculation of its own.

    A job on GPUs has a core for each of a few GPUs' workers and the libraries beside them.
    """
    if on_gpu(level):
        return min(4, JOB_CORES)
    calculations = math.ceil(work.count / shards)
    return cores(work.core_s / shards, max(1, min(JOB_CORES, calculations)))


def label_memory_mb(level: Level, workers: int, attempt: int) -> int:
    """For a job of ``workers`` workers (on GPUs of one worker)."""
    if on_gpu(level):
        return SNAKEMAKES_MB + attempt * GPU_WORKER_MB
    return SNAKEMAKES_MB + attempt * workers * WORKER_MB[level.engine]


def label_minutes(
    campaign: Campaign,
    level: Level,
    work: Work,
    shards: int,
    workers: int,
    attempt: int,
    time_limit_s: float | None = None,
) -> int:
    """Wall time (minutes) of a shard. One calculation at its time limit fits in any case.

    Args:
        time_limit_s: of a calculation; None: the campaign's.
    """
    run = campaign.run
    busy_workers = 1 if on_gpu(level) else min(workers, run.workers or workers)
    share = (1 + RECOVERY_SHARE) * work.core_s / shards / busy_workers
    one = (time_limit_s or run.calculation_time_limit_s) + run.wall_margin_s
    return minutes(campaign, share + work.longest_s, attempt, at_least_s=one)


def on_gpu(level: Level) -> bool:
    """Whether the level is computed on GPUs."""
    return getattr(level, "device", "cpu") == "gpu"


# The committee: work in proportion to atoms, epochs, members and steps.


def committee_gpus(campaign: Campaign, here: bool = False) -> int:
    """GPUs of a job that trains or evaluates members.

    Args:
        here: jobs run on this machine, so ``auto`` is what this machine has.
    """
    device = campaign.potential.device
    if device == "auto" and here:
        return 1 if os.path.exists(NVIDIA_DEVICE) else 0
    return 0 if device == "cpu" else 1


def committee_cores(core_s: float, gpus: int, beside_s: float = 0.0) -> int:
    """Cores of a job that evaluates members; beside a GPU they only feed it.

    Args:
        beside_s: core-seconds of work that no GPU does.
    """
    return max(2, cores(beside_s)) if gpus else cores(core_s + beside_s)


def committee_memory_mb(table_bytes: float, gpus: int, attempt: int) -> int:
    """For a job that holds tables of ``table_bytes`` and a committee."""
    return SNAKEMAKES_MB + attempt * (TORCH_MB * (1 + gpus) + _expanded_mb(table_bytes))


def committee_minutes(
    campaign: Campaign,
    core_s: float,
    threads: int,
    gpus: int,
    attempt: int,
    beside_s: float = 0.0,
) -> int:
    """Wall time (minutes) for ``core_s`` core-seconds of work with members.

    Args:
        beside_s: core-seconds of work that no GPU does.
    """
    seconds = core_s / (GPU_SPEEDUP * gpus or threads) + beside_s / threads
    return minutes(campaign, seconds, attempt)


def training_s(campaign: Campaign, atoms: float) -> float:
    """Core-seconds of one member on ``atoms`` atoms, to its last epoch."""
    return atoms * campaign.potential.max_epochs * TRAINING_S_PER_ATOM * width(campaign.potential)


def evaluation_s(campaign: Campaign, atoms: float, steps: int) -> float:
    """Core-seconds of the committee on ``atoms`` atoms, ``steps`` times."""
    members = campaign.potential.members
    return atoms * members * steps * EVALUATION_S_PER_ATOM * width(campaign.potential)


def proposal_s(campaign: Campaign, atoms: int = TYPICAL_ATOMS) -> float:
    """Core-seconds of a round's search for distorted geometries of structures of so many atoms."""
    asked = prices.search_evaluations(campaign.acquisition.geometries, atoms)
    evaluations = sum(asked.values()) * campaign.potential.members
    return evaluations * atoms * EVALUATION_S_PER_ATOM * width(campaign.potential)


def labels_so_far(campaign: Campaign, round: int) -> int:
    """Labels that a round trains on, at most."""
    acquisition = campaign.acquisition
    drawn = acquisition.seed_labels + round * acquisition.batch_labels
    return min(drawn, campaign.stop.max_labels)


# What reads tables, and what builds structures.


def file_bytes(paths: Iterable[str], missing: float) -> float:
    """Bytes of files together; ``missing`` where one is not there yet (a dry run)."""
    try:
        return float(sum(os.path.getsize(path) for path in paths))
    except FileNotFoundError:
        return missing


def atoms_in(structure_bytes: float) -> float:
    """Atoms in ``structures`` files of that size, roughly."""
    return structure_bytes / (ATOM_POSITION_BYTES + ROW_BYTES / TYPICAL_ATOMS)


def bytes_of_structures(count: float, atoms: int = TYPICAL_ATOMS) -> float:
    """Size of a ``structures`` file of ``count`` structures of so many atoms, roughly."""
    return float(count * (ROW_BYTES + atoms * ATOM_POSITION_BYTES))


def table_memory_mb(table_bytes: float, attempt: int) -> int:
    """For a job that reads tables of ``table_bytes``."""
    return SNAKEMAKES_MB + attempt * (600 + _expanded_mb(table_bytes))


def table_minutes(campaign: Campaign, table_bytes: float, attempt: int) -> int:
    """Wall time (minutes) of a job that reads tables of ``table_bytes``: 3 s a megabyte."""
    return minutes(campaign, 3e-6 * table_bytes, attempt)


def space_memory_mb(candidates: float, structure_bytes: float, attempt: int) -> int:
    """For a job that reads all candidates, and ``structures`` files of that size."""
    held = SPACE_BYTES_PER_CANDIDATE * candidates + STRUCTURE_EXPANSION * structure_bytes
    return SNAKEMAKES_MB + attempt * (600 + math.ceil(held / 1e6))


def space_minutes(campaign: Campaign, candidates: float, attempt: int) -> int:
    """Wall time (minutes) of a job that reads all candidates."""
    return minutes(campaign, SPACE_S_PER_CANDIDATE * candidates, attempt)


def building_s(
    price: Callable[[Any, float], float], settings: Any, species: float, electrons: float
) -> float:
    """Core-seconds to build this many species of a typical size.

    Args:
        price: the domain's, of a species: (settings, core-seconds of a GFN2-xTB gradient).
        electrons: valence electrons of a species.
    """
    gradient = default_law(TbliteLevel(engine="tblite"))(electrons)
    return species * price(settings, gradient)


def candidates_in(table_bytes: float) -> float:
    """Candidates in a ``candidates`` file of that size, roughly."""
    return max(0.0, table_bytes - EMPTY_TABLE_BYTES) / CANDIDATE_BYTES


def screening_memory_mb(candidates: float, attempt: int) -> int:
    """For a job that holds this many candidates as rows."""
    return SNAKEMAKES_MB + attempt * (600 + math.ceil(candidates * 3e-3))


def worker_memory_mb(workers: int, attempt: int) -> int:
    """For a job whose workers have RDKit and tblite."""
    return SNAKEMAKES_MB + attempt * workers * WORKER_MB["tblite"]


def _expanded_mb(table_bytes: float) -> int:
    return math.ceil(TABLE_EXPANSION * table_bytes / 1e6)
