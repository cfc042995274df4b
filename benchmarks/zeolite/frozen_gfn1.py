"""GFN1-xTB binding energies of poses as they were docked: single points at the Γ point."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd

from molsieve.levels import TbliteLevel
from zeolite.label_cache import LabelCache
from zeolite.poses import Pose

LEVEL = TbliteLevel(engine="tblite", method="GFN1-xTB")
KJ_PER_MOL_PER_EV = 96.485332


def frozen_energies(poses: dict[int, Pose], folder: Path, most_atoms: int) -> pd.Series:
    """kJ/mol a guest by pose, complex less framework less guests, all as they stand in the pose.

    Small ones first; each label is kept at once. NaN where the SCF failed, or where the pose has
    more than ``most_atoms``.
    """
    periodic = LabelCache(LEVEL, folder / "gfn1_cells.jsonl")
    alone = LabelCache(LEVEL, folder / "gfn1_guests.jsonl")
    found, started = {}, time.perf_counter()
    for pose_id, pose in sorted(poses.items(), key=lambda item: len(item[1].atoms)):
        if len(pose.atoms) > most_atoms:
            found[pose_id] = np.nan
            continue
        guests = [pose.guest(k) for k in range(len(pose.guests))]
        whole = _energy(periodic, pose.atoms)
        empty = _energy(periodic, pose.atoms[pose.framework])
        parts = sum(_energy(alone, guest) for guest in guests)
        found[pose_id] = (whole - empty - parts) / len(guests) * KJ_PER_MOL_PER_EV
    print(f"GFN1-xTB at {len(poses)} poses: {time.perf_counter() - started:.0f} s", flush=True)
    return pd.Series(found, name="gfn1_frozen_kj_per_mol_guest", dtype=float)


def _energy(cache: LabelCache, atoms: object) -> float:
    energy = cache.label(atoms, "pose")[1]["energy_ev"]  # type: ignore[arg-type]
    return np.nan if energy is None else energy
