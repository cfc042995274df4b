"""Our side: one training of ``TrainingRun``, its schedule fitted to a wall time.

Nothing but the number of epochs depends on the time: two epochs are timed, the run then has as many
as fit, its learning rate and loss weights following them to the end.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import ase
import numpy as np
import pandas as pd

from molsieve import campaign
from molsieve.chem.identities import structure_row
from molsieve.potential import training, training_data
from molsieve.potential.graphs import AtomsBatch, GraphBatch, neighbour_list
from molsieve.potential.model import EnergyModel, energies_and_forces, flushed_denormals
from training.data import Data

CUTOFF = 5.0
SETTINGS = {
    "batch_size": 5,
    "learning_rate": 6e-3,
    "early_energies": 0.01,
    "energy_weight": 0.3,
    "forces_first": 0.6,
    "features": 64,
}
TIMED_EPOCHS = 2


def train(data: Data, seconds: float, seed: int, **changes: float | str) -> dict:
    """Train one member in about ``seconds`` of wall time, everything but the tests counted.

    Returns:
        ``seconds`` it took, without the timed epochs before; ``epochs``; ``structures_per_s``;
        ``predictions`` by test: (energies, forces).
    """
    timed, _ = _fit(data, TIMED_EPOCHS, seed, changes)
    epochs = max(2, int((seconds - timed["setup_s"]) / (timed["epoch_s"])))
    result, model = _fit(data, epochs, seed, changes)
    predictions = {name: predict(model, frames) for name, frames in data.tests.items()}
    return {**result, "predictions": predictions}


def _fit(data: Data, epochs: int, seed: int, changes: dict) -> tuple[dict, EnergyModel]:
    chosen = {**SETTINGS, **changes}
    settings = campaign.Potential(
        interactions=3,
        radial_functions=20,
        cutoff_angstrom=CUTOFF,
        max_epochs=epochs,
        patience_epochs=epochs,
        difference_weight=0.0,
        bootstrap=False,
        **chosen,
    )
    started = time.perf_counter()
    parts = [training_data_of(frames) for frames in (data.train, data.validation)]
    model = training.initial_model(
        parts[0].graphs, data.atom_energies_ev, settings, seed, 0, "cpu", None
    )
    marks = []
    with tempfile.TemporaryDirectory() as folder:
        run = training.TrainingRun(model, *parts, settings, seed, 0, Path(folder))
        marks.append(time.perf_counter())
        for epoch in range(1, epochs + 1):
            run.fit(stop_after_epochs=epoch)
            marks.append(time.perf_counter())
        run.fit()
    ended = time.perf_counter()
    epoch_s = np.diff(marks)
    return {
        "settings": chosen,
        "seconds": ended - started,
        "setup_s": marks[0] - started,
        # The later one: the first also loads and warms what is used for the first time.
        "epoch_s": float(epoch_s[1:].mean()),
        "epochs": epochs,
        "structures_per_s": len(data.train) * epochs / (marks[-1] - marks[0]),
    }, model


def training_data_of(frames: list[ase.Atoms]) -> training_data.TrainingData:
    """Frames as the tables a campaign has them in, and those as a split in memory."""
    rows = [
        structure_row(
            atoms, species_id=str(number), origin="dynamics", geometry_protocol_id="benchmark"
        )
        for number, atoms in enumerate(frames)
    ]
    labels = [
        {
            "structure_id": row["structure_id"],
            "status": "ok",
            "energy_ev": atoms.get_potential_energy(),
            "forces_ev_per_angstrom": atoms.get_forces().ravel(),
        }
        for row, atoms in zip(rows, frames, strict=True)
    ]
    dataset = pd.DataFrame({"structure_id": [row["structure_id"] for row in rows], "group": "one"})
    return training_data.TrainingData.from_tables(
        dataset, pd.DataFrame(rows), pd.DataFrame(labels), CUTOFF, "cpu"
    )


def predict(model: EnergyModel, frames: list[ase.Atoms]) -> tuple[np.ndarray, np.ndarray]:
    """Energies (S,) eV and forces (N, 3) eV/Å."""
    energies, forces = [], []
    with flushed_denormals():
        for graph in _graphs(frames):
            energy, force = energies_and_forces(model, graph, create_graph=False)
            energies.append(energy.detach().numpy())
            forces.append(force.double().numpy())
    return np.concatenate(energies), np.concatenate(forces)


def _graphs(frames: list[ase.Atoms], size: int = 50) -> Iterator[GraphBatch]:
    for start in range(0, len(frames), size):
        batch = AtomsBatch.from_atoms(frames[start : start + size])
        yield GraphBatch.from_batch(batch, neighbour_list(batch, CUTOFF))
