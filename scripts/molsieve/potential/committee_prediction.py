"""A committee's mean with calibrated standard deviations, and whether it can be trusted at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from torch import Tensor

from molsieve.potential.batches import AtomsBatch
from molsieve.potential.committee import Committee, CommitteeOutput
from molsieve.potential.model import MAX_ATOMIC_NUMBER
from molsieve.potential.uncertainty import Calibrated, calibrated
from molsieve.section import CampaignError


@dataclass(frozen=True)
class SpreadCalibration:
    """How a round turns spreads over members into standard deviations; empty: not at all.

    Attributes:
        content: of the round's ``calibration.json``, see :mod:`molsieve.potential.uncertainty`.
        names: of energy, forces and stress, those with a calibrated spread.
        structures: how many it was fitted on.
    """

    content: Mapping[str, Any] | None = None
    names: tuple[str, ...] = ()
    structures: int = 0

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> SpreadCalibration:
        """From the content of a round's ``calibration.json``."""
        parts = {"energy": "energy", "forces": "force", "stress": "stress"}
        names = tuple(name for name, key in parts.items() if isinstance(content.get(key), Mapping))
        content = dict(content)
        if "features" in content:  # arrays once, not at every step of a simulation
            content["features"] = {k: np.asarray(v) for k, v in content["features"].items()}
        return cls(content, names, int(content.get("calibration_structures", 0)) if names else 0)


@dataclass(frozen=True)
class CommitteePrediction:
    """The committee's word on S structures of N atoms, as numpy arrays.

    ``_std`` is calibrated for the quantities that ``calibrated`` names, otherwise the sample
    standard deviation over the members, as ``_std_raw`` always is. Stresses are NaN for structures
    that are not periodic in all directions, and None where none is.

    Attributes:
        energy: (S,) eV; forces: (N, 3) eV/Å; stress: (S, 3, 3) eV/Å³.
        energy_interval_68, energy_interval_95: (S, 2) eV.
        domain_score: (S,) above 1 is out of the domain; NaN where nothing was calibrated.
        reasons: of each structure, why it is not in the domain; None where it is.
        structure: (N,) whose atom it is.
        members: energies, forces and stresses member by member, as tensors.
    """

    energy: np.ndarray
    energy_std: np.ndarray
    energy_std_raw: np.ndarray
    energy_interval_68: np.ndarray
    energy_interval_95: np.ndarray
    forces: np.ndarray
    forces_std: np.ndarray
    forces_std_raw: np.ndarray
    stress: np.ndarray | None
    stress_std: np.ndarray | None
    stress_std_raw: np.ndarray | None
    domain_score: np.ndarray
    reasons: list[str | None]
    calibrated: tuple[str, ...]
    structure: np.ndarray
    members: CommitteeOutput

    @property
    def in_domain(self) -> np.ndarray:
        """(S,) bool."""
        return np.array([reason is None for reason in self.reasons])


def predict_batch(
    committee: Committee, batch: AtomsBatch, calibration: SpreadCalibration
) -> CommitteePrediction:
    """Evaluate the committee, energies and forces, and calibrate its spread.

    Raises:
        CampaignError: as :meth:`Committee.__call__`; an element that the network cannot take, or
            a position that is not a number.
    """
    _check(batch)
    output = committee(batch)
    told = calibrated(output, batch, calibration.content)
    assert told.forces is not None and told.forces_std is not None
    return CommitteePrediction(
        energy=told.energy,
        energy_std=told.energy_std,
        energy_std_raw=_array(output.energy_std),
        energy_interval_68=_interval(told.energy, told.energy_half_68),
        energy_interval_95=_interval(told.energy, told.energy_half_95),
        forces=told.forces,
        forces_std=told.forces_std,
        forces_std_raw=_array(output.forces_std),
        stress=None if output.stress is None else _array(output.stress.mean(0)),
        stress_std=told.stress_std,
        stress_std_raw=None if output.stress is None else _array(output.stress.std(0)),
        domain_score=told.domain_score,
        reasons=_reasons(committee, batch, told, calibration),
        calibrated=calibration.names,
        structure=_array(batch.structure).astype(int),
        members=output,
    )


def _check(batch: AtomsBatch) -> None:
    lost = (~batch.positions.isfinite()).any(1)
    if bool(lost.any()):  # such an atom has no neighbours, so that the energy would look sane
        which = int(batch.structure[lost][0])
        raise CampaignError(f"structure {which}: the position of an atom is not a number")
    highest = int(batch.numbers.max()) if len(batch.numbers) else 0
    if highest > MAX_ATOMIC_NUMBER:  # on a GPU the look-up would end the process
        raise CampaignError(
            f"{chemical_symbols[highest]}: the network has elements up to number "
            f"{MAX_ATOMIC_NUMBER} ({chemical_symbols[MAX_ATOMIC_NUMBER]})"
        )


def _array(value: Tensor) -> np.ndarray:
    return value.detach().double().cpu().numpy()


def _interval(mean: np.ndarray, half: np.ndarray) -> np.ndarray:
    return np.stack([mean - half, mean + half], axis=1)


def _reasons(
    committee: Committee, batch: AtomsBatch, told: Calibrated, calibration: SpreadCalibration
) -> list[str | None]:
    """Of each structure: element or charge state unseen, or beyond the calibrated domain."""
    measure = ((calibration.content or {}).get("domain") or {}).get("measure", "")
    found: list[str | None] = []
    unseen = unseen_in_training(committee, batch)
    finite = np.isfinite(told.energy)
    for s, (reason, score, inside) in enumerate(
        zip(unseen, told.domain_score, told.in_domain, strict=True)
    ):
        if reason is None and not finite[s]:
            reason = "the energy is not finite"
        if reason is None and not inside:
            reason = "unlike what it was calibrated on: domain score "
            reason += f"({measure.replace('_', ' ')}) is {score:.2f} times the limit"
        found.append(reason)
    return found


def unseen_in_training(committee: Committee, batch: AtomsBatch) -> list[str | None]:
    """Of each structure: an element or a charge state that no member was trained on, or None.

    A molecule whose number of electrons does not allow its multiplicity is told so: more often than
    not it is a radical whose multiplicity was not given.
    """
    found: list[str | None] = []
    periodic, elements = batch.pbc.any(1).tolist(), set(committee.elements)
    states = zip(batch.charge.tolist(), batch.multiplicity.tolist(), strict=True)
    numbers = batch.numbers.cpu().split(batch.sizes.tolist())
    for own, infinite, state in zip(numbers, periodic, states, strict=True):
        electrons = int(own.sum()) - state[0]
        strange = sorted(set(own.tolist()) - elements)
        if strange:
            symbols = ", ".join(chemical_symbols[z] for z in strange)
            found.append(f"element never seen in training: {symbols}")
        elif not infinite and (electrons + state[1]) % 2 == 0:
            noun = "electron" if electrons == 1 else "electrons"
            found.append(f"{electrons} {noun} cannot have multiplicity {state[1]}")
        elif state not in committee.states:
            charged = f"charge {state[0]:+d}, multiplicity {state[1]}"
            found.append(f"{charged}: never seen in training")
        else:
            found.append(None)
    return found
