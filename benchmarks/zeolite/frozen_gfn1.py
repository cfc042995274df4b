"""GFN1-xTB binding energies of poses as they were docked: single points at the Γ point."""

from __future__ import annotations

import time
from pathlib import Path

import ase
import numpy as np
import pandas as pd

from molsieve.levels import TbliteLevel
from zeolite.label_cache import LabelCache
from zeolite.poses import Pose

LEVEL = TbliteLevel(engine="tblite", method="GFN1-xTB")
KJ_PER_MOL_PER_EV = 96.485332
NAME = "pose"
"""Of the labels' rows."""
CHARGED = "a charged guest: the energy of a charged cell has no zero"


def frozen_energies(
    poses: dict[int, Pose], folder: Path, most_atoms: int, processes: int
) -> pd.DataFrame:
    """kJ/mol a guest by pose, complex less framework less guests, all as they stand in the pose.

    Columns ``gfn1_frozen_kj_per_mol_guest`` and ``gfn1_fault``: why there is none (the pose has
    more than ``most_atoms``, charged guests, an SCF that failed). Each label is kept at once.
    """
    started = time.perf_counter()
    periodic = LabelCache(LEVEL, folder / "gfn1_cells.jsonl")
    alone = LabelCache(LEVEL, folder / "gfn1_guests.jsonl")
    labelled = [p for p in poses.values() if not left_out(p, most_atoms)]
    cells = [cell for p in labelled for cell in (p.atoms, p.atoms[p.framework])]
    periodic.label_ahead(cells, NAME, processes)
    alone.label_ahead([guest for p in labelled for guest in _guests(p)], NAME, processes)
    rows = {
        key: (np.nan, left_out(pose, most_atoms))
        if left_out(pose, most_atoms)
        else _binding(pose, periodic, alone)
        for key, pose in poses.items()
    }
    print(f"GFN1-xTB at {len(poses)} poses: {time.perf_counter() - started:.0f} s", flush=True)
    columns = ["gfn1_frozen_kj_per_mol_guest", "gfn1_fault"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def left_out(pose: Pose, most_atoms: int) -> str:
    """Why a pose is not labelled; empty: it is."""
    if pose.charge_e:
        return CHARGED
    return f"more than {most_atoms} atoms" if len(pose.atoms) > most_atoms else ""


def _guests(pose: Pose) -> list[ase.Atoms]:
    return [pose.guest(number) for number in range(len(pose.guests))]


def _binding(pose: Pose, periodic: LabelCache, alone: LabelCache) -> tuple[float, str]:
    total = 0.0
    signs = [(periodic, pose.atoms, 1), (periodic, pose.atoms[pose.framework], -1)]
    signs += [(alone, guest, -1) for guest in _guests(pose)]
    for cache, atoms, sign in signs:
        found = cache.found(atoms)
        if found is None:
            return np.nan, "the process was killed"
        if found[1]["energy_ev"] is None:
            return np.nan, found[1]["error_message"]
        total += sign * found[1]["energy_ev"]
    return total / len(pose.guests) * KJ_PER_MOL_PER_EV, ""
