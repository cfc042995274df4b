"""Where searches for new geometries start: training species at the committee's own minima."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from molsieve.geometries.soundness import Soundness
from molsieve.potential.committee import Committee
from molsieve.potential.graphs import AtomsBatch
from molsieve.relax import relax_batch

RELAX_FMAX_EV_PER_ANGSTROM = 0.05
RELAX_STEPS = 60


def own_minima(
    committee: Committee, batch: AtomsBatch, start_from: str = "relaxed"
) -> tuple[AtomsBatch, Tensor]:
    """``batch`` at the committee's minima, and the committee's mean energies (S,) there, eV.

    Where the committee falls into another molecule (it is young and knows least there), the search
    starts from the labelled geometry instead; so it does everywhere with ``start_from`` "data",
    whose energies are nevertheless those of the minima. Cells stay as they are: a strained solid
    may lie below. That moves all objectives of a start alike, and not the geometry that it finds.
    """
    minima = relax_batch(committee, batch, RELAX_FMAX_EV_PER_ANGSTROM, RELAX_STEPS)
    relaxed = replace(batch, positions=minima.positions.to(batch.positions))
    faults = Soundness(batch).faults(relaxed)
    sound = torch.tensor([not fault for fault in faults], device=batch.positions.device)
    sound &= ~minima.failed.to(sound.device)
    e_min = torch.where(sound, minima.energies.mean(0), minima.energies_start.mean(0))
    if start_from == "data":
        return batch, e_min
    moved = torch.where(sound[batch.structure, None], relaxed.positions, batch.positions)
    return replace(batch, positions=moved), e_min


def choose_starts(
    dataset: pd.DataFrame,
    structures: pd.DataFrame,
    count: int,
    seed: list[int],
    start_from: str = "relaxed",
) -> pd.DataFrame:
    """At most ``count`` geometries of training groups.

    Calibration, validation and test groups are never touched: what is found is trained on.

    Args:
        start_from: "relaxed": one of each species, the relaxed one if any; "conformers": one of
            each of a species' conformers; "data": any labelled geometry.
    """
    training = dataset.loc[(dataset["split"] == "train") & dataset["candidate_id"].notna()]
    known = structures.drop_duplicates("structure_id")
    rows = known[known["structure_id"].isin(training["structure_id"])].copy()
    rows["_displaced"] = rows["origin"] != "relaxed"
    rows = rows.sort_values(["species_id", "_displaced", "structure_id"])
    once = {"relaxed": ["species_id"], "conformers": ["species_id", "conformer"]}
    rows = rows.drop_duplicates(once.get(start_from, "structure_id")).drop(columns="_displaced")
    chosen = np.random.default_rng(seed).permutation(len(rows))[:count]
    return rows.iloc[np.sort(chosen)].reset_index(drop=True)
