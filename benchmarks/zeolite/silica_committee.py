"""A committee of one level's silica, taught in rounds, that relaxes frameworks with their cells.

The first labels are of frameworks strained and shaken about the given geometry swollen or shrunk;
later rounds add the minima that the committee itself finds, where its errors would be exploited,
and shaken copies of them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import ase
import numpy as np
import pandas as pd

from molsieve import campaign
from molsieve.potential.committee import Committee
from molsieve.potential.training import train_member

SCALES = (0.985, 1.055)
"""Lengths of cells over the given ones: GFN1-xTB's silica is 2 to 3 % wider than measured."""
HELD = 12
STRAIN, SHAKE_ANGSTROM = 0.015, 0.06


def distorted(atoms: ase.Atoms, rng: np.random.Generator, scales: tuple = SCALES) -> ase.Atoms:
    """A copy, its cell scaled and strained at random, its atoms shaken by up to 0.06 Å."""
    found = atoms.copy()
    strain = rng.normal(0, STRAIN, (3, 3))
    deformation = rng.uniform(*scales) * (np.eye(3) + (strain + strain.T) / 2)
    found.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
    found.positions += rng.normal(0, rng.uniform(0, SHAKE_ANGSTROM), found.positions.shape)
    return found


def tables(pairs: Sequence[tuple[dict, dict]], held: int) -> tuple[pd.DataFrame, ...]:
    """(dataset, structures, labels) of those that worked; each ``held``-th is for early
    stopping, or the committee would stop where it knows strange frameworks best."""
    good = [pair for pair in pairs if pair[1]["status"] == "ok"]
    structures = pd.DataFrame([structure for structure, _ in good])
    labels = pd.DataFrame([label for _, label in good])
    dataset = labels[["structure_id", "level_id"]].assign(group=structures["species_id"])
    aside = np.arange(len(dataset)) % held == held - 1
    dataset["split"] = np.where(aside, "validation", "train")
    return dataset, structures, labels


def taught(
    pairs: Sequence[tuple[dict, dict]],
    settings: campaign.Potential,
    folder: Path,
    previous: Path | None = None,
) -> Committee:
    """A committee of these labels, kept in ``folder``; members already there are used."""
    members = [folder / f"member_{number}" for number in range(settings.members)]
    started = time.perf_counter()
    dataset, structures, labels = tables(pairs, HELD)
    level = str(dataset["level_id"].iloc[0])
    for number, member in enumerate(members):
        if not (member / "model.json").exists():
            before = None if previous is None else previous / member.name
            train_member(
                dataset, structures, labels, {}, settings, level, 0, number, member, previous=before
            )
    seconds = time.perf_counter() - started
    print(f"{folder.name}: {len(dataset)} labels, trained in {seconds:.0f} s", flush=True)
    return Committee.load(members)
