"""Force field minima of many poses: in parallel, kept as they come, so that a run goes on."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import pandas as pd
import torch

from zeolite.force_field import FORMS, PARTS, PROTOCOL, ForceField, guest_charges
from zeolite.frozen_gfn1 import KJ_PER_MOL_PER_EV
from zeolite.poses import Pose, read_pose

TOTALS = ("total", *PARTS)
GROWING = (0.8, 0.9)
"""Second start: contacts grow to their size, so that guests docked into each other part."""


def minima(table: pd.DataFrame, cache: Path, processes: int) -> pd.DataFrame:
    """Parts of the binding energy, kJ/mol a guest, of each row of ``table``, in its order.

    Columns ``total`` and those of ``PARTS``, each the mean of both forms of contact, each form's
    at the lower minimum of two starts; ``total_<form>``; ``seconds``; ``fault`` (why there are no
    numbers, else empty).
    """
    keys = [_key(cif) for cif in table["cif"]]
    known = dict(_read(cache))
    wanted = {k: cif for k, cif in zip(keys, table["cif"], strict=True) if k not in known}
    cache.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(processes) as pool, cache.open("a") as file:
        jobs = [pool.submit(_relaxed, item) for item in wanted.items()]
        for job in as_completed(jobs):
            key, row = job.result()
            file.write(json.dumps([key, row]) + "\n")
            file.flush()
            known[key] = row
    return pd.DataFrame([known[key] for key in keys], index=table.index)


def _read(cache: Path) -> Iterator[tuple[str, dict]]:
    for line in cache.read_text().splitlines() if cache.exists() else ():
        try:
            key, row = json.loads(line)
        except json.JSONDecodeError:  # cut off by a kill
            continue
        yield key, row


def _key(cif: str) -> str:
    """Of the pose and of how it is relaxed."""
    return hashlib.sha256(f"{PROTOCOL} {GROWING} {cif}".encode()).hexdigest()[:24]


def _relaxed(item: tuple[str, str]) -> tuple[str, dict]:
    key, cif = item
    torch.set_num_threads(1)
    started = time.perf_counter()
    try:
        row: dict = _binding(read_pose(cif)) | {"fault": ""}
    except (ValueError, RuntimeError) as error:
        row = {"fault": str(error)}
    return key, row | {"seconds": time.perf_counter() - started}


def _binding(pose: Pose) -> dict[str, float]:
    charges = guest_charges(pose)
    per_guest = KJ_PER_MOL_PER_EV / len(pose.guests)
    rows = []
    for form in FORMS:
        starts = (ForceField(pose, charges, form).relax(growing) for growing in ((), GROWING))
        lowest = min(starts, key=lambda minimum: minimum.energy)
        rows.append({"total": lowest.energy} | lowest.parts)
    mean = {name: per_guest * sum(row[name] for row in rows) / len(rows) for name in TOTALS}
    return mean | {f"total_{f}": per_guest * r["total"] for f, r in zip(FORMS, rows, strict=True)}
