"""The frames that committees are trained, calibrated and judged on, as tables of the product."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path

import ase
import ase.io
import numpy as np
import pandas as pd

from molsieve.chem.identities import structure_row
from molsieve.potential.evaluation import Residuals

DATA = Path(os.environ.get("MOLSIEVE_DATA", Path(__file__).parents[3] / "shared" / "data"))
LEVEL = "dft"
SPLITS = {
    "acac": {"calibration": 100, "validation": 40, "train": 360},
    "ammonia": {"calibration": 39, "test": 39, "validation": 10, "train": 50},
}
PARTS = {"acac": {"test": "300 K", "hot": "600 K"}, "ammonia": {"test": "held out"}}
DIVISIONS = {"acac": 1, "ammonia": 20}
"""How often the frames that did not train a committee are divided anew; acac's have their roles."""

Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]


def read_tables(name: str, seed: int) -> Tables:
    """(dataset, structures, labels) of a set, its splits drawn from ``seed``."""
    if name == "ammonia":
        frames = list(ase.io.read(DATA / "ammonia" / "ammonia.extxyz", ":"))
        return as_tables(name, frames, draw(name, len(frames), seed))
    pool, test, hot = (
        list(ase.io.read(DATA / "acac" / f"{file}.xyz", ":"))
        for file in ("train_300K", "test_MD_300K", "test_MD_600K")
    )
    splits = draw(name, len(pool), seed) + ["test"] * len(test) + ["hot"] * len(hot)
    return as_tables(name, pool + test + hot, splits)


def draw(name: str, count: int, seed: int) -> list[str]:
    """A random split of a pool."""
    told = [split for split, n in SPLITS[name].items() for _ in range(n)]
    assert len(told) == count, f"{name} has {count} frames, its splits {len(told)}"
    order = np.random.default_rng(seed).permutation(count)
    return [told[place] for place in np.argsort(order)]


def as_tables(name: str, frames: list[ase.Atoms], splits: list[str]) -> Tables:
    """Frames as tables; every frame is a group of its own."""
    structures, labels, dataset = [], [], []
    for number, (frame, split) in enumerate(zip(frames, splits, strict=True)):
        # The files put molecules into a box that nothing reaches across.
        atoms = ase.Atoms(frame.numbers, frame.positions)
        identity = {"structure_id": f"{name}-{number:04d}", "level_id": LEVEL}
        row = structure_row(
            atoms, species_id=name, origin="dynamics", geometry_protocol_id="benchmark"
        )
        structures.append(row | {"structure_id": identity["structure_id"]})
        labels.append(
            identity
            | {
                "status": "ok",
                "energy_ev": frame.get_potential_energy(),
                "forces_ev_per_angstrom": frame.get_forces().ravel(),
            }
        )
        dataset.append(identity | {"split": split, "group": identity["structure_id"]})
    return pd.DataFrame(dataset), pd.DataFrame(structures), pd.DataFrame(labels)


def free_atoms(name: str) -> dict[int, float]:
    """Energies of free atoms, eV; the ammonia set has its own zero."""
    if name == "ammonia":
        return {}
    atoms = ase.io.read(DATA / "acac" / "isolated_atoms.xyz", ":")
    return {int(a.numbers[0]): float(a.get_potential_energy()) for a in atoms}


def divided(parts: dict[str, Residuals], rng: np.random.Generator) -> dict[str, Residuals]:
    """The frames of calibration and test, dealt out anew."""
    first, second = parts["calibration"], parts["test"]
    both = joined(first, second)
    order = rng.permutation(len(both.groups))
    count = len(first.groups)
    return {"calibration": chosen(both, order[:count]), "test": chosen(both, order[count:])}


def joined(first: Residuals, second: Residuals) -> Residuals:
    """Both, one after the other."""
    return Residuals(
        **{
            field.name: np.concatenate(
                [getattr(first, field.name), getattr(second, field.name)],
                axis=int(field.name.startswith("member")),
            )
            for field in fields(Residuals)
            if field.name != "structure"
        },
        structure=np.concatenate([first.structure, second.structure + len(first.groups)]),
    )


def chosen(part: Residuals, structures: np.ndarray) -> Residuals:
    """Some structures, in that order."""
    atoms = [np.flatnonzero(part.structure == s) for s in structures]
    every = np.concatenate(atoms)
    return Residuals(
        energy_per_atom=part.energy_per_atom[structures],
        forces=part.forces[every],
        stress=part.stress[structures],
        groups=part.groups[structures],
        structure=np.repeat(np.arange(len(structures)), [len(a) for a in atoms]),
        member_energies=part.member_energies[:, structures],
        member_forces=part.member_forces[:, every],
        member_stress=part.member_stress[:, structures],
        features=part.features[structures],
    )
