"""Training of one property member: plain torch, no forces; resumable as an energy member's."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from molsieve import campaign
from molsieve.potential import storage
from molsieve.potential.model import flushed_denormals, torch_device
from molsieve.potential.schedules import cosine_rate
from molsieve.potential.training import OPTIMISERS, check_states, warm_settings
from molsieve.properties import member_files
from molsieve.properties.definitions import chosen, same_unit_pairs
from molsieve.properties.descriptors import orbital_descriptors
from molsieve.properties.linear import fit_linear
from molsieve.properties.model import PropertyArchitecture, PropertyModel
from molsieve.properties.training_data import PropertyLoss, PropertySet
from molsieve.property_settings import Properties
from molsieve.section import CampaignError

CHECKPOINT_EPOCHS = 5
VALIDATION_BATCH = 64
STREAM = 7
"""Keeps the random numbers apart from those of the energy member of the same seed."""


def train_property_member(
    dataset: pd.DataFrame,
    structures: pd.DataFrame,
    labels: Sequence[pd.DataFrame],
    level_ids: Sequence[str],
    names: Sequence[str],
    potential: campaign.Potential,
    settings: Properties,
    seed: int,
    member: int,
    folder: Path,
    energy_member: Path | None = None,
    previous: Path | None = None,
    threads: int = 1,
    stop_after_epochs: int | None = None,
) -> dict[str, Any]:
    """Train one member and write ``model.pt`` and ``model.json`` into ``folder``.

    Deterministic for a seed, a member and a number of threads. A checkpoint in the folder, left by
    a killed run of the same data and settings, is resumed; the result is that of one run.

    Args:
        dataset, structures: tables of these contracts; the splits ``train`` (fitted, bootstrapped
            by group) and ``validation`` (early stopping) are used.
        labels, level_ids: ``labels`` of each level, the first that of most labels, the last the
            one that counts. names: of the properties.
        potential: shape of the representation, members' bootstrap, device, warm start.
        energy_member: folder of the energy member whose representation is shared, where
            ``properties.representation`` is not "own".
        previous: a folder with a property member of the last round to start from.
        stop_after_epochs: leave after this many epochs as a kill would (tests).

    Returns:
        ``epochs``, ``best_epoch``, ``validation_loss``, ``structures``, ``groups``, ``labels`` (by
        level and property), ``wall_s``.

    Raises:
        CampaignError: nothing to train on; mixed charges without the electronic embedding; no GPU;
            a member to start from of another architecture.
    """
    started = time.monotonic()
    torch.set_num_threads(threads)
    device = torch_device(potential.device)
    labels = [part[part["level_id"] == name] for part, name in zip(labels, level_ids, strict=True)]
    describe = orbital_descriptors if settings.descriptors == "orbitals" else None
    train, validation = (
        PropertySet.from_tables(
            part, structures, labels, names, potential.cutoff_angstrom, device, describe
        )
        for part in (dataset[dataset["split"] == name] for name in ("train", "validation"))
    )
    check_states(structures, dataset[dataset["split"].isin(["train", "validation"])], potential)
    if train is None:
        raise CampaignError(f"no training label tells any of {', '.join(names)} (converged roots)")
    if previous is not None:
        epochs = warm_settings(potential.model_copy(update={"max_epochs": settings.max_epochs}))
        settings = settings.model_copy(update={"max_epochs": epochs.max_epochs})
    architecture = PropertyArchitecture.of(potential, settings, tuple(names))
    model = initial_model(train, architecture, settings, seed, member, energy_member, previous)
    run = PropertyRun(
        model.to(device), train, validation, potential, settings, seed, member, Path(folder)
    )
    finished = run.fit(stop_after_epochs)
    counts = train.values.isfinite().sum(0).tolist()
    summary = {
        "epochs": run.epoch,
        "best_epoch": run.best_epoch,
        "validation_loss": run.best_loss,
        "structures": len(train),
        "groups": len(set(train.groups)),
        "labels": {
            level: dict(zip(names, told, strict=True))
            for level, told in zip(level_ids, counts, strict=True)
        },
    }
    if finished:
        description = member_files.describe(model, train, level_ids, seed, member)
        description["training"] = {**summary, "history": run.history}
        description["settings"] = settings.model_dump(mode="json")
        storage.save_member(model, description, Path(folder))
        storage.remove_checkpoint(Path(folder))
    return {**summary, "wall_s": time.monotonic() - started}


def initial_model(
    train: PropertySet,
    architecture: PropertyArchitecture,
    settings: Properties,
    seed: int,
    member: int,
    energy_member: Path | None = None,
    previous: Path | None = None,
) -> PropertyModel:
    """A seeded model that starts from the linear fit of the training labels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(_rng(seed, member, 0).integers(2**62)))
        model = PropertyModel(architecture)
    if settings.representation != "own":
        if energy_member is None:
            raise ValueError(f"representation {settings.representation} needs an energy member")
        member_files.take_representation(model, energy_member, settings.representation == "frozen")
    if previous is not None:
        member_files.start_from(model, previous)
    descriptors, values = train.descriptors.cpu().numpy(), train.values.cpu().double().numpy()
    model.start_from(fit_linear(descriptors, values))
    return model


def _rng(seed: int, member: int, *stream: int) -> np.random.Generator:
    return np.random.default_rng([seed, member, STREAM, *stream])


class PropertyRun:
    """The state of one training between its first and its last epoch."""

    def __init__(
        self,
        model: PropertyModel,
        train: PropertySet,
        validation: PropertySet | None,
        potential: campaign.Potential,
        settings: Properties,
        seed: int,
        member: int,
        folder: Path,
    ):
        self.model, self.train, self.validation = model, train, validation
        self.potential, self.settings = potential, settings
        self.seed, self.member, self.folder = seed, member, folder
        self.drawn = train.draw(_rng(seed, member, 1) if potential.bootstrap else None)
        self.optimiser = OPTIMISERS[settings.optimiser](model, settings.ema_decay)
        self.loss = loss_of(model, train, settings)
        self.best = self.optimiser.average.clone()
        self.best_loss, self.best_epoch, self.epoch = float("inf"), 0, 0
        self.history: list[list[float]] = []

    def fit(self, stop_after_epochs: int | None = None) -> bool:
        """Train to the end, resuming a checkpoint; the model is left with the best averages."""
        with flushed_denormals():
            return self._fit(stop_after_epochs)

    def _fit(self, stop_after_epochs: int | None) -> bool:
        data = [part for part in (self.train, self.validation) if part is not None]
        start = (self.optimiser.weights, self.model.centre, *self.model.representation.parameters())
        identity = member_files.run_identity(
            self.potential, self.settings, self.seed, self.member, data, start
        )
        self._restore(storage.read_checkpoint(self.folder, identity))
        while not self._over():
            if stop_after_epochs is not None and self.epoch >= stop_after_epochs:
                return False
            self._one_epoch()
            if self.epoch % CHECKPOINT_EPOCHS == 0:
                storage.write_checkpoint(self.folder, identity, self._state())
        self.optimiser.use(self.best)
        return True

    def _over(self) -> bool:
        waited = self.epoch - self.best_epoch
        ended = self.epoch >= self.settings.max_epochs
        return ended or waited >= self.settings.patience_epochs

    def _one_epoch(self) -> None:
        order = _rng(self.seed, self.member, 2, self.epoch).permutation(self.drawn)
        steps = torch.from_numpy(order).split(self.settings.batch_size)
        self.optimiser.use(self.optimiser.weights)
        total = 0.0
        for number, indices in enumerate(steps):
            progress = (self.epoch + number / len(steps)) / self.settings.max_epochs
            loss = self._loss(self.train, indices)
            self.optimiser.step(loss, cosine_rate(self.settings.learning_rate, progress))
            total += float(loss.detach()) * len(indices)
        if not math.isfinite(total):
            raise CampaignError(
                f"property member {self.member} diverged in epoch {self.epoch + 1}: lower "
                f"properties.learning_rate ({self.settings.learning_rate})"
            )
        self.epoch += 1
        train_loss, validation_loss = total / len(order), self.validation_loss()
        judged = train_loss if validation_loss is None else validation_loss
        if validation_loss is None or judged < self.best_loss:
            self.best_loss, self.best_epoch = judged, self.epoch
            self.best.copy_(self.optimiser.average)
        record = [train_loss] if validation_loss is None else [train_loss, validation_loss]
        self.history.append(record)

    def validation_loss(self) -> float | None:
        """Loss of the averaged parameters on the validation split, None where it is empty."""
        if self.validation is None:
            return None
        self.optimiser.use(self.optimiser.average)
        with torch.no_grad():
            parts = torch.arange(len(self.validation)).split(VALIDATION_BATCH)
            losses = [float(self._loss(self.validation, part)) * len(part) for part in parts]
        return sum(losses) / len(self.validation)

    def _loss(self, part: PropertySet, indices: Tensor) -> Tensor:
        *inputs, values = part.batch(indices.to(part.positions.device))
        return self.loss(self.model(*inputs), values)

    def _state(self) -> dict[str, Any]:
        return {
            **self.optimiser.state(),
            "best": self.best,
            "best_loss": self.best_loss,
            "best_epoch": self.best_epoch,
            "epoch": self.epoch,
            "history": self.history,
        }

    def _restore(self, state: dict[str, Any] | None) -> None:
        if state is None:
            return
        self.optimiser.restore(state)
        self.best.copy_(state["best"])
        self.best_loss, self.best_epoch = float(state["best_loss"]), int(state["best_epoch"])
        self.epoch, self.history = int(state["epoch"]), list(state["history"])


def loss_of(model: PropertyModel, train: PropertySet, settings: Properties) -> PropertyLoss:
    """The loss of a training set."""
    names = model.architecture.properties
    units = train.values.new_tensor([told.error_unit for told in chosen(names)])
    fidelity = settings.fidelity
    return PropertyLoss.of(
        train.values,
        units,
        same_unit_pairs(names),
        settings.gap_weight,
        0.0 if fidelity is None else fidelity.difference_weight,
    )
