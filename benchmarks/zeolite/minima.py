"""Force field minima of many poses: in parallel, kept as they come, so that a run goes on."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch

from zeolite.force_field import FORMS, PARTS, PROTOCOL, ForceField, guest_charges
from zeolite.frozen_gfn1 import KJ_PER_MOL_PER_EV
from zeolite.poses import Pose, read_pose
from zeolite.topology import topology
from zeolite.workers import results

TOTALS = ("total", *PARTS)
GROWING = (0.8, 0.9)
"""Second start: contacts grow to their size, so that guests docked into each other part."""
KILLED = {"fault": "the process was killed", "seconds": 0.0}


def minima(table: pd.DataFrame, cache: Path, processes: int) -> pd.DataFrame:
    """Parts of the binding energy, kJ/mol a guest, of each row of ``table``, in its order.

    Columns ``total`` and those of ``PARTS``, each the mean of both forms of contact, each form's
    at the lower minimum of two starts; ``total_<form>``; ``seconds``; ``fault`` (why there are no
    numbers, else empty).
    """
    given = list(zip(table["cif"], table["guest_smiles"], table["guests_per_cell"], strict=True))
    keys = [_key(*pose) for pose in given]
    known = dict(_read(cache))
    wanted = {k: pose for k, pose in zip(keys, given, strict=True) if k not in known}
    cache.parent.mkdir(parents=True, exist_ok=True)
    with cache.open("a") as file:
        for key, row in results(_relaxed, wanted, processes, "force field"):
            known[key] = row or KILLED
            file.write("" if row is None else json.dumps([key, row]) + "\n")
            file.flush()
    columns = [*TOTALS, *(f"total_{form}" for form in FORMS), "fault", "seconds"]
    return pd.DataFrame([known[key] for key in keys], index=table.index, columns=columns)


def _read(cache: Path) -> Iterator[tuple[str, dict]]:
    for line in cache.read_text().splitlines() if cache.exists() else ():
        try:
            key, row = json.loads(line)
        except ValueError:  # cut off by a kill
            continue
        yield key, row


def _key(cif: str, smiles: str, guests: float) -> str:
    """Of the pose and of how it is relaxed."""
    said = f"{PROTOCOL} {GROWING} {smiles} {guests:g} {cif}"
    return hashlib.sha256(said.encode()).hexdigest()[:24]


def _relaxed(given: tuple[str, str, float]) -> dict:
    torch.set_num_threads(1)
    started = time.perf_counter()
    try:
        row: dict = _binding(read_pose(*given)) | {"fault": ""}
    except Exception as error:  # whatever one pose does, the others go on
        row = {"fault": str(error) or repr(error)}
    return row | {"seconds": time.perf_counter() - started}


def _binding(pose: Pose) -> dict[str, float]:
    charges, terms = guest_charges(pose), topology(pose)
    per_guest = KJ_PER_MOL_PER_EV / len(pose.guests)
    rows = []
    for form in FORMS:
        field = ForceField(pose, charges, form, terms)
        starts = [field.relax(growing) for growing in ((), GROWING)]
        lowest = min(starts, key=lambda minimum: minimum.energy)
        rows.append({"total": lowest.energy} | lowest.parts)
    mean = {name: per_guest * sum(row[name] for row in rows) / len(rows) for name in TOTALS}
    if not all(map(math.isfinite, mean.values())):
        raise ValueError("no finite energy")
    return mean | {f"total_{f}": per_guest * r["total"] for f, r in zip(FORMS, rows, strict=True)}
