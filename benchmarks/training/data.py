"""Splits and errors both sides share.

Ethanol: 900 frames to learn from, 100 to test on. Acetylacetone: the 500 frames at 300 K to learn
from, molecular dynamics at 300 K and at 600 K to test on. A tenth of the frames to learn from is
set aside for validation, the same for both sides and all members.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import ase
import ase.io
import numpy as np

FOLDER = Path(os.environ.get("MOLSIEVE_DATA", Path(__file__).parents[3] / "shared" / "data"))
NAMES = ("ethanol", "acac")


@dataclass(frozen=True)
class Data:
    """Labelled frames; ``tests`` by name, the first is the one a learning curve is of."""

    name: str
    train: list[ase.Atoms]
    validation: list[ase.Atoms]
    tests: dict[str, list[ase.Atoms]]
    atom_energies_ev: dict[int, float]


def load(name: str) -> Data:
    """The data set ``name`` of :data:`NAMES`, split.

    Raises:
        FileNotFoundError: the folder of reference data is absent.
    """
    atom_energies: dict[int, float] = {}
    if name == "ethanol":
        frames = ase.io.read(FOLDER / "ethanol" / "ethanol.extxyz", ":")
        order = np.random.default_rng(0).permutation(len(frames))
        known = [frames[i] for i in order[:900]]
        tests = {"ethanol": [frames[i] for i in order[900:]]}
    else:
        known = ase.io.read(FOLDER / "acac" / "train_300K.xyz", ":")
        known = [known[i] for i in np.random.default_rng(0).permutation(len(known))]
        tests = {
            f"{name} {kelvin} K": ase.io.read(FOLDER / "acac" / f"test_MD_{kelvin}K.xyz", ":")
            for kelvin in (300, 600)
        }
        for atom in ase.io.read(FOLDER / "acac" / "isolated_atoms.xyz", ":"):
            atom_energies[int(atom.numbers[0])] = atom.get_potential_energy()
    kept = len(known) // 10
    return Data(name, known[kept:], known[:kept], tests, atom_energies)


def references(frames: list[ase.Atoms]) -> tuple[np.ndarray, np.ndarray]:
    """Energies (S,) eV and forces (N, 3) eV/Å."""
    energies = np.array([atoms.get_potential_energy() for atoms in frames])
    return energies, np.concatenate([atoms.get_forces() for atoms in frames])


def errors(energies: np.ndarray, forces: np.ndarray, frames: list[ase.Atoms]) -> dict[str, float]:
    """Root mean square and mean absolute errors, meV and meV/Å; forces by component."""
    reference_energies, reference_forces = references(frames)
    energy, force = energies - reference_energies, forces - reference_forces
    return {
        "force_rmse": 1e3 * float(np.sqrt(np.mean(force**2))),
        "force_mae": 1e3 * float(np.mean(np.abs(force))),
        "energy_rmse": 1e3 * float(np.sqrt(np.mean(energy**2))),
        "energy_mae": 1e3 * float(np.mean(np.abs(energy))),
    }
