"""Training of one member: energies, forces, and energy differences inside a group.

An objective such as a redox potential is a difference of energies, where a few meV an atom add up
to volts: the third term of the loss acts on the differences between the relaxed structures of a
group, so what both share cancels as it does in the objective.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from molsieve import campaign
from molsieve.potential import storage
from molsieve.potential.baseline import element_counts, fit_baseline
from molsieve.potential.graphs import GraphSet
from molsieve.potential.model import (
    Architecture,
    EnergyModel,
    energies_forces_stresses,
    flushed_denormals,
    torch_device,
)
from molsieve.potential.optimiser import FlatAdam, FlatMuon
from molsieve.potential.schedules import cosine_rate, energies_rise, loss_weights
from molsieve.potential.training_data import TrainingData, batches, loss_terms
from molsieve.section import CampaignError

CHECKPOINT_EPOCHS = 5
OPTIMISERS = {"muon": FlatMuon, "adam": FlatAdam}


def train_member(
    dataset: pd.DataFrame,
    structures: pd.DataFrame,
    labels: pd.DataFrame,
    atom_energies_ev: Mapping[int, float],
    settings: campaign.Potential,
    level_id: str,
    seed: int,
    member: int,
    folder: Path,
    previous: Path | None = None,
    threads: int = 1,
    stop_after_epochs: int | None = None,
) -> dict[str, Any]:
    """Train one member and write ``model.pt`` and ``model.json`` into ``folder``.

    Deterministic for a seed, a member and a number of threads. A checkpoint in the folder, left by
    a killed run of the same data and settings, is resumed; the result is that of one run.

    Args:
        dataset, structures, labels: tables of these contracts; the splits ``train`` (fitted,
            bootstrapped by group) and ``validation`` (early stopping) are used.
        atom_energies_ev: energy of a free atom at the level by atomic number.
        previous: a folder with a member of the last round, same architecture, to start from.
        stop_after_epochs: leave after this many epochs as a kill would (tests).

    Returns:
        ``epochs``, ``best_epoch``, ``validation_loss``, ``structures``, ``groups``, ``wall_s``.

    Raises:
        CampaignError: nothing to train on; mixed charges or multiplicities without the electronic
            embedding; no GPU; a ``previous`` member of another architecture.
    """
    started = time.monotonic()
    torch.set_num_threads(threads)
    device = torch_device(settings.device)
    rows = dataset[dataset["level_id"] == level_id]
    labels = labels[labels["level_id"] == level_id]
    splits = [rows[rows["split"] == name] for name in ("train", "validation")]
    if splits[0].empty:
        raise CampaignError(f"no labelled structure to train on at level {level_id}")
    states = check_states(structures, pd.concat(splits), settings)
    train, validation = (
        TrainingData.from_tables(split, structures, labels, settings.cutoff_angstrom, device)
        if len(split)
        else None
        for split in splits
    )
    assert train is not None
    if previous is not None:
        settings = warm_settings(settings)
    model = initial_model(train.graphs, atom_energies_ev, settings, seed, member, device, previous)
    run = TrainingRun(model, train, validation, settings, seed, member, Path(folder))
    finished = run.fit(stop_after_epochs)
    summary = {
        "epochs": run.epoch,
        "best_epoch": run.best_epoch,
        "validation_loss": run.best_loss,
        "structures": len(train.graphs),
        "groups": len(set(train.groups)),
    }
    if finished:
        elements = sorted(set(train.graphs.data.numbers.tolist()))
        description = storage.describe(
            Architecture.of(settings), elements, states, level_id, seed, member, model
        )
        description["training"] = {**summary, "history": run.history}
        description["settings"] = settings.model_dump(mode="json")
        storage.save_member(model, description, Path(folder))
        storage.remove_checkpoint(Path(folder))
    return {**summary, "wall_s": time.monotonic() - started}


def warm_settings(settings: campaign.Potential) -> campaign.Potential:
    """Settings of a member that starts from the last round's: a shorter run, same schedule.

    A quarter of the epochs from the last round's members against a whole cold start (3 members,
    3 seeds): acetylacetone, 100 to 150 frames, force error 57 against 59 meV/Å (a cold start as
    short: 102), calibrated intervals cover 68 and 95 % with both, at 600 K 63 and 94 and 63 and
    93 %; five such rounds to 200 frames 36 against 40, spread over error 0.83 all along, against
    0.91. Molecules of 22 to 34 species, judged on unseen ones: 386 against 397, coverage 67 and
    95 % with both. So it costs no calibration. Shrunk half towards new weights first (Ash, Adams,
    NeurIPS 2020) the errors are 69 and 422.
    """
    epochs = max(1, round(settings.warm_epochs * settings.max_epochs))
    return settings.model_copy(update={"max_epochs": epochs})


def check_states(
    structures: pd.DataFrame, rows: pd.DataFrame, settings: campaign.Potential
) -> list[list[int]]:
    """The (charge, multiplicity) pairs of the training data, sorted.

    Raises:
        CampaignError: several of them and no electronic embedding to tell them apart.
    """
    used = structures[structures["structure_id"].isin(rows["structure_id"])]
    pairs = used[["charge_e", "multiplicity"]].drop_duplicates().to_numpy(int).tolist()
    if len(pairs) > 1 and not settings.electronic_embedding:
        raise CampaignError(
            "potential.electronic_embedding: false, but the training data mix (charge, "
            f"multiplicity) {sorted(tuple(p) for p in pairs)}; set it to true"
        )
    return sorted(pairs)


def initial_model(
    graphs: GraphSet,
    atom_energies_ev: Mapping[int, float],
    settings: campaign.Potential,
    seed: int,
    member: int,
    device: str,
    previous: Path | None,
) -> EnergyModel:
    """A seeded model with the baseline and the scale of the training set.

    The scale is the root mean square force component, so that the network's outputs are of order 1.
    """
    architecture = Architecture.of(settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(_rng(seed, member, 0).integers(2**62)))
        model = EnergyModel(architecture)
    data = graphs.data
    assert data.energy_ev is not None and data.forces_ev_per_angstrom is not None
    numbers = np.split(data.numbers.cpu().numpy(), np.cumsum(graphs.sizes.cpu().numpy())[:-1])
    elements = sorted(set(data.numbers.tolist()))
    counts = element_counts(numbers, elements)
    baseline = fit_baseline(counts, data.energy_ev.cpu().numpy(), elements, atom_energies_ev)
    if previous is not None:
        storage.warm_start(model, architecture, previous)
    model.baseline_ev.zero_()
    # An element that only other splits or later candidates hold is at least an atom of its kind.
    for number, energy in atom_energies_ev.items():
        model.baseline_ev[number] = energy
    model.baseline_ev[elements] = torch.from_numpy(baseline)
    model.scale_ev.fill_(max(float(data.forces_ev_per_angstrom.square().mean().sqrt()), 1e-3))
    return model.to(device)


def _rng(seed: int, member: int, *stream: int) -> np.random.Generator:
    return np.random.default_rng([seed, member, *stream])


class TrainingRun:
    """The state of one training between its first and its last epoch."""

    def __init__(
        self,
        model: EnergyModel,
        train: TrainingData,
        validation: TrainingData | None,
        settings: campaign.Potential,
        seed: int,
        member: int,
        folder: Path,
    ):
        self.model, self.train, self.validation = model, train, validation
        self.settings, self.seed, self.member, self.folder = settings, seed, member, folder
        self.units = train.draw(_rng(seed, member, 1) if settings.bootstrap else None)
        self.optimiser = OPTIMISERS[settings.optimiser](model, settings.ema_decay)
        self.best = self.optimiser.average.clone()
        self.best_loss, self.best_epoch, self.epoch = float("inf"), 0, 0
        self.history: list[list[float]] = []

    def fit(self, stop_after_epochs: int | None = None) -> bool:
        """Train to the end, resuming a checkpoint; the model is left with the best averages."""
        with flushed_denormals():
            return self._fit(stop_after_epochs)

    def _fit(self, stop_after_epochs: int | None) -> bool:
        data = [part.graphs for part in (self.train, self.validation) if part is not None]
        start = (self.optimiser.weights, self.model.baseline_ev)
        identity = storage.run_identity(self.settings, self.seed, self.member, data, start)
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
        # Nor before energies count: until then the loss it is judged by is not the one that falls.
        waited = self.epoch - max(self.best_epoch, energies_rise(self.settings))
        return self.epoch >= self.settings.max_epochs or waited >= self.settings.patience_epochs

    def _one_epoch(self) -> None:
        rng = _rng(self.seed, self.member, 2, self.epoch)
        steps = batches(self.units, self.settings.batch_size, rng)
        self.optimiser.use(self.optimiser.weights)
        # Weighed as at the end of a run, or the epochs of a history could not be compared.
        final, total = self._weights(1.0), 0.0
        for number, (indices, unit) in enumerate(steps):
            progress = (self.epoch + number / len(steps)) / self.settings.max_epochs
            terms = self._terms(self.train.graphs, indices, unit, create_graph=True)
            rate = cosine_rate(self.settings.learning_rate, progress)
            self.optimiser.step(terms.dot(self._weights(progress)), rate)
            total += float(terms.detach().dot(final)) * len(indices)
        if not math.isfinite(total):
            raise CampaignError(
                f"member {self.member} diverged in epoch {self.epoch + 1} (loss {total}): lower "
                f"potential.learning_rate ({self.settings.learning_rate}) or look for labels with "
                "energies or forces that are not numbers"
            )
        self.epoch += 1
        train_loss, validation_loss = total / sum(map(len, self.units)), self.validation_loss()
        # Of few structures the loss is noise: an early epoch may have drawn the lowest.
        early = self.epoch <= energies_rise(self.settings) < self.settings.max_epochs
        if validation_loss is None or early or validation_loss < self.best_loss:
            self.best_loss = train_loss if validation_loss is None else validation_loss
            self.best_epoch = self.epoch
            self.best.copy_(self.optimiser.average)
        told = [] if validation_loss is None else [validation_loss]
        self.history.append([train_loss, *told])

    def validation_loss(self) -> float | None:
        """Loss of the averaged parameters on the validation split, weighed as at the end of a run.

        None where the split is empty.
        """
        if self.validation is None:
            return None
        self.optimiser.use(self.optimiser.average)
        final, total = self._weights(1.0), 0.0
        for indices, unit in batches(self.validation.units, 64, None):
            terms = self._terms(self.validation.graphs, indices, unit, create_graph=False)
            total += float(terms.detach().dot(final)) * len(indices)
        return total / len(self.validation.graphs)

    def _terms(self, graphs: GraphSet, indices: Tensor, unit: Tensor, create_graph: bool) -> Tensor:
        """The terms of the loss of a batch, in the order of ``LossWeights``."""
        device = graphs.sizes.device
        graph = graphs.batch(indices.to(device))
        energies, forces, stresses = energies_forces_stresses(self.model, graph, create_graph)
        return torch.stack(loss_terms(energies, forces, graph, unit.to(device), stresses))

    def _weights(self, progress: float) -> Tensor:
        weights = loss_weights(self.settings, progress)
        return self.optimiser.weights.new_tensor(weights)

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
