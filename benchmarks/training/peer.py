"""SchNetPack's own trainer: ``AtomisticTask`` under Lightning over ``ASEAtomsData``.

PaiNN, 64 features, 3 interactions, 20 Gaussians, 5 Å. Settings are those of its ``experiment=md17``
(batch 10, AdamW without decay, energies weighed 0.01 and forces 0.99, exponential moving average
0.995, learning rate halved on a plateau) but for two: the learning rate is 2e-3, which is better
than its 1e-3 in trials of 75 s (so is no batch of 5), and a plateau is 5 epochs, since its 75 are
most of ten minutes. Neighbour lists are cached by its own transform; the weights judged are the
best by its validation loss.
"""

from __future__ import annotations

import contextlib
import copy
import tempfile
import time
from pathlib import Path

import ase
import numpy as np
import torch

from molsieve.potential import schnetpack_import
from training.data import Data, errors, references

CUTOFF = 5.0
SETTINGS = {
    "batch_size": 10,
    "learning_rate": 2e-3,
    "plateau_epochs": 5,
    "plateau_factor": 0.5,
    "ema_decay": 0.995,
    "energy_weight": 0.01,
}


def train(data: Data, seconds: float, seed: int, watch: int = 100, **changes: float) -> dict:
    """Train one member for ``seconds`` of its own wall time, tests not counted.

    Args:
        watch: frames of the first test the learning curve is taken on, evenly spaced.

    Returns:
        ``curve``: [seconds, errors on the watched frames with the best weights so far];
        ``structures_per_s``; ``predictions`` by test: (energies, forces) of the best weights.
    """
    schnetpack_import.allow_full_import()
    import pytorch_lightning as lightning
    import schnetpack as spk

    settings = {**SETTINGS, **changes}
    torch.manual_seed(seed)
    # SchNetPack leaves a splitting.lock in the working directory.
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        module = _data_module(data, int(settings["batch_size"]), Path(name))
        task = _task(settings)
        first = next(iter(data.tests.values()))
        frames = first[:: max(1, len(first) // watch)]
        clock = _clock(seconds, frames, _batches(frames))
        trainer = lightning.Trainer(
            max_epochs=100_000,
            accelerator="cpu",
            callbacks=[spk.train.ExponentialMovingAverage(settings["ema_decay"]), clock],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            inference_mode=False,
            default_root_dir=name,
        )
        clock.start()
        trainer.fit(task, datamodule=module)
    task.model.load_state_dict(clock.best)
    return {
        "settings": settings,
        "curve": clock.curve,
        "epochs": len(clock.curve),
        "structures_per_s": len(data.train) * len(clock.epoch_s) / sum(clock.epoch_s),
        "predictions": {
            name: predict(task.model, _batches(frames)) for name, frames in data.tests.items()
        },
    }


def _clock(seconds: float, frames: list[ase.Atoms], watched: list[dict]):
    import pytorch_lightning as lightning

    class Clock(lightning.Callback):
        """Wall time of training and validation; errors of the best weights beside it."""

        def start(self) -> None:
            self.started, self.paused = time.perf_counter(), 0.0
            self.curve: list[dict] = []
            self.epoch_s: list[float] = []
            self.best_loss = float("inf")

        def seconds(self) -> float:
            return time.perf_counter() - self.started - self.paused

        def on_train_epoch_start(self, *_: object) -> None:
            self.epoch_started = self.seconds()

        def on_validation_start(self, *_: object) -> None:
            self.epoch_s.append(self.seconds() - self.epoch_started)

        def on_validation_end(self, trainer, task) -> None:
            at = self.seconds()
            pause = time.perf_counter()
            loss = float(trainer.callback_metrics["val_loss"])
            if loss < self.best_loss:
                self.best_loss = loss
                self.best = copy.deepcopy(task.model.state_dict())
                self.errors = errors(*predict(task.model, watched), frames)
            rate = trainer.optimizers[0].param_groups[0]["lr"]
            self.curve.append({"seconds": at, "rate": rate, "loss": loss, **self.errors})
            trainer.should_stop = at >= seconds
            self.paused += time.perf_counter() - pause

    return Clock()


def predict(model: torch.nn.Module, inputs: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """Energies (S,) eV and forces (N, 3) eV/Å."""
    energies, forces = [], []
    with torch.enable_grad():
        for batch in inputs:
            found = model(dict(batch))
            energies.append(found["energy"].detach().double().numpy())
            forces.append(found["forces"].detach().double().numpy())
    return np.concatenate(energies), np.concatenate(forces)


def _batches(frames: list[ase.Atoms], size: int = 50) -> list[dict]:
    import schnetpack as spk
    import schnetpack.transform as transform

    converter = spk.interfaces.AtomsConverter(
        neighbor_list=transform.MatScipyNeighborList(cutoff=CUTOFF), dtype=torch.float32
    )
    return [converter(frames[i : i + size]) for i in range(0, len(frames), size)]


def _task(settings: dict[str, float]):
    import schnetpack as spk
    import schnetpack.transform as transform

    radial = spk.nn.GaussianRBF(n_rbf=20, cutoff=CUTOFF)
    model = spk.model.NeuralNetworkPotential(
        representation=spk.representation.PaiNN(64, 3, radial, spk.nn.CosineCutoff(CUTOFF)),
        input_modules=[spk.atomistic.PairwiseDistances()],
        output_modules=[
            spk.atomistic.Atomwise(n_in=64, output_key="energy"),
            spk.atomistic.Forces(energy_key="energy", force_key="forces"),
        ],
        postprocessors=[transform.CastTo64(), transform.AddOffsets("energy", add_mean=True)],
    )
    weight = settings["energy_weight"]
    outputs = [
        spk.task.ModelOutput(name=name, loss_fn=torch.nn.MSELoss(), loss_weight=value, metrics={})
        for name, value in (("energy", weight), ("forces", 1 - weight))
    ]
    return spk.task.AtomisticTask(
        model=model,
        outputs=outputs,
        optimizer_cls=torch.optim.AdamW,
        optimizer_args={"lr": settings["learning_rate"], "weight_decay": 0.0},
        # SchNetPack's own subclass passes an argument that torch has dropped.
        scheduler_cls=torch.optim.lr_scheduler.ReduceLROnPlateau,
        scheduler_args={
            "factor": settings["plateau_factor"],
            "patience": int(settings["plateau_epochs"]),
            "threshold": 0.0,
        },
        scheduler_monitor="val_loss",
    )


def _data_module(data: Data, batch_size: int, folder: Path):
    import schnetpack as spk
    import schnetpack.transform as transform

    frames = data.train + data.validation
    stored = spk.data.ASEAtomsData.create(
        str(folder / "frames.db"),
        distance_unit="Ang",
        property_unit_dict={"energy": "eV", "forces": "eV/Ang"},
    )
    labels = zip(*(references([atoms]) for atoms in frames), strict=True)
    stored.add_systems([{"energy": e, "forces": f} for e, f in zip(*labels, strict=True)], frames)
    numbers = np.arange(len(frames))
    train, validation = numbers[: len(data.train)], numbers[len(data.train) :]
    np.savez(folder / "split.npz", train_idx=train, val_idx=validation, test_idx=validation)
    return spk.data.AtomsDataModule(
        str(folder / "frames.db"),
        batch_size=batch_size,
        val_batch_size=50,
        split_file=str(folder / "split.npz"),
        num_train=len(train),
        num_val=len(validation),
        transforms=[
            transform.SubtractCenterOfMass(),
            transform.CachedNeighborList(
                str(folder / "neighbours"), transform.MatScipyNeighborList(cutoff=CUTOFF)
            ),
            transform.RemoveOffsets("energy", remove_mean=True),
            transform.CastTo32(),
        ],
        num_workers=0,
        pin_memory=False,
    )
