"""What a committee's output is worth on structures without a label: ``calibrated``.

Everything needed lies in a round's ``evaluation/calibration.json``, written by
:mod:`molsieve.potential.evaluation`. Its part on energies and forces:

=============  ====================================================================================
``force``      :class:`~molsieve.potential.spread_model.SpreadModel` of force components, eV/Å:
               ``measure``, ``weights``, ``smallest_std``, ``quantiles``, ``q68``, ``q95``,
               ``q68_conformal``, ``q95_conformal``; beside them ``unit``, ``n``, ``groups`` and
               ``measures``, the figures of every measure that was compared
``energy``     the same of energies per atom, eV/atom
``stress``     the same of stress components, eV/Å³
``domain``     :class:`~molsieve.potential.domain_of_validity.DomainOfValidity`: ``measure``,
               ``limit``, ``rate``, …
``features``   :class:`~molsieve.potential.feature_distance.FeatureSpace` of the training set
=============  ====================================================================================

Each may be absent: there was nothing to calibrate on. Intervals are ``mean ± q · std``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.stats import norm

from molsieve.potential.batches import AtomsBatch
from molsieve.potential.committee import CommitteeOutput
from molsieve.potential.domain_of_validity import DomainOfValidity
from molsieve.potential.feature_distance import FeatureSpace
from molsieve.potential.spread_model import FLOOR, SpreadModel

FORCE_MEASURES = (
    ("component", "atom", "structure", "feature_distance"),
    ("component", "atom", "structure"),
    ("component",),
    ("atom",),
    ("structure",),
    ("feature_distance",),
    ("component", FLOOR),
    ("atom", FLOOR),
    ("structure", FLOOR),
    ("component", "atom", "structure", "feature_distance", FLOOR),
    (FLOOR,),
)
"""Sets of inputs of a force component's standard deviation, by preference: the spread over the
members of the component itself, of its atom, of its structure (root mean squares over components),
and the structure's distance from the training set."""
ENERGY_MEASURES = (
    ("energy", "forces", "feature_distance"),
    ("energy", "forces"),
    ("energy",),
    ("forces",),
    ("feature_distance",),
    ("energy", FLOOR),
    ("energy", "forces", "feature_distance", FLOOR),
    (FLOOR,),
)
"""The same of an energy per atom: the spread of itself, of the structure's forces, the distance."""
STRESS_MEASURES = (
    ("component", "structure", "feature_distance"),
    ("component", "structure"),
    ("structure",),
    ("component", "structure", "feature_distance", FLOOR),
    (FLOOR,),
)
"""The same of a stress component: the spread of itself and of its structure, the distance."""
UPPER = ((0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1))
"""The six components of a stress that differ, in Voigt's order."""


@dataclass(frozen=True)
class Calibrated:
    """The committee's mean with calibrated uncertainty, S structures of N atoms, float64.

    Attributes:
        energy, energy_std: (S,) eV, of the whole structure.
        energy_half_68, energy_half_95: (S,) eV, half widths of the intervals about the mean.
        forces, forces_std, forces_half_68, forces_half_95: (N, 3) eV/Å; None without forces.
        stress_std: (S, 3, 3) eV/Å³; NaN of structures without a stress, None where none has one.
        domain_score: (S,) above 1 is out of the domain; NaN where nothing is known of it.
        in_domain: (S,) bool; of elements never seen in training it knows nothing:
            see :meth:`molsieve.potential.committee.Committee.knows`.
        calibrated: False: raw sample standard deviations and normal intervals.
    """

    energy: np.ndarray
    energy_std: np.ndarray
    energy_half_68: np.ndarray
    energy_half_95: np.ndarray
    forces: np.ndarray | None
    forces_std: np.ndarray | None
    forces_half_68: np.ndarray | None
    forces_half_95: np.ndarray | None
    stress_std: np.ndarray | None
    domain_score: np.ndarray
    in_domain: np.ndarray
    calibrated: bool


@dataclass(frozen=True)
class Spreads:
    """What a committee's output says of its own error, by name.

    Attributes:
        energy: (S,) inputs of an energy per atom's standard deviation, see ENERGY_MEASURES.
        force: (3 N,) inputs of a force component's, see FORCE_MEASURES.
        stress: (6 S,) inputs of a stress component's, see STRESS_MEASURES; empty without stress.
        domain: (S,) scores, see :data:`molsieve.potential.domain_of_validity.SCORES`.
    """

    energy: dict[str, np.ndarray]
    force: dict[str, np.ndarray]
    stress: dict[str, np.ndarray]
    domain: dict[str, np.ndarray]


def spreads(
    energies: np.ndarray,
    forces: np.ndarray | None,
    features: np.ndarray,
    structure: np.ndarray,
    space: FeatureSpace | None,
    stress: np.ndarray | None = None,
) -> Spreads:
    """Every input that the measures know.

    Args:
        energies: (M, S) eV; forces: (M, N, 3) eV/Å; features: (S, D); structure: (N,).
        space: of the training set; None: no distance.
        stress: (M, S, 3, 3) eV/Å³, or None.
    """
    n = np.bincount(structure, minlength=energies.shape[1])
    energy = {"energy": energies.std(0, ddof=1) / n, FLOOR: np.ones(len(n))}
    force: dict[str, np.ndarray] = {}
    domain: dict[str, np.ndarray] = {}
    if forces is not None:
        force = _force_spreads(forces, structure, n)
        largest = np.zeros(len(n))
        with np.errstate(invalid="ignore"):  # two atoms in one place
            np.maximum.at(largest, structure, force["atom"][::3])
        mean = np.zeros(len(n))
        mean[structure] = force["structure"][::3]
        energy["forces"] = mean
        domain = {"force_spread": mean, "largest_force_spread": largest}
    told = {} if stress is None else _stress_spreads(stress)
    if space is not None:
        distance = space.distance(features)
        energy["feature_distance"] = domain["feature_distance"] = distance
        if forces is not None:
            force["feature_distance"] = np.repeat(distance[structure], 3)
            domain["force_spread_times_feature_distance"] = domain["force_spread"] * distance
        if told:
            told["feature_distance"] = np.repeat(distance, 6)
    return Spreads(energy, force, told, domain)


def _force_spreads(forces: np.ndarray, structure: np.ndarray, n: np.ndarray) -> dict:
    component = forces.astype(np.float64).var(0, ddof=1)
    atom = component.mean(1)
    whole = np.bincount(structure, atom, minlength=len(n)) / n
    return {
        "component": np.sqrt(component).ravel(),
        "atom": np.repeat(np.sqrt(atom), 3),
        "structure": np.repeat(np.sqrt(whole)[structure], 3),
        FLOOR: np.ones(component.size),
    }


def _stress_spreads(stress: np.ndarray) -> dict:
    component = stress.astype(np.float64)[:, :, *UPPER].var(0, ddof=1)
    return {
        "component": np.sqrt(component).ravel(),
        "structure": np.repeat(np.sqrt(component.mean(1)), 6),
        FLOOR: np.ones(component.size),
    }


def calibrated(
    output: CommitteeOutput, batch: AtomsBatch, calibration: Mapping[str, Any] | None
) -> Calibrated:
    """A committee's output with standard deviations, intervals and domain of a calibration.

    Args:
        output: of ``batch``, with forces where the calibration's measures read them.
        calibration: content of ``calibration.json``; None or one of an older version gives raw
            spreads, ``calibrated`` False.

    Raises:
        ValueError: the measures read forces and ``output`` has none.
    """
    told = calibration or {}
    structure = batch.structure.cpu().numpy()
    energies = output.energies.detach().double().cpu().numpy()
    forces = None if output.forces is None else output.forces.detach().double().cpu().numpy()
    space = _space(_Identity(told["features"])) if "features" in told else None
    stress = None if output.stress is None else output.stress.detach().double().cpu().numpy()
    features = output.features.detach().cpu().numpy()
    found = spreads(energies, forces, features, structure, space, stress)
    sizes = np.bincount(structure, minlength=energies.shape[1])
    energy = _widths(told.get("energy"), found.energy, "energy") * sizes
    force = [None] * 3
    if forces is not None:
        force = list(_widths(told.get("force"), found.force, "component").reshape(3, -1, 3))
    score = np.full(len(sizes), np.nan)
    if "domain" in told:
        score = DomainOfValidity.from_dict(told["domain"]).relative_score(found.domain)
    return Calibrated(
        energy=energies.mean(0),
        energy_std=energy[0],
        energy_half_68=energy[1],
        energy_half_95=energy[2],
        forces=None if forces is None else forces.mean(0),
        forces_std=force[0],
        forces_half_68=force[1],
        forces_half_95=force[2],
        stress_std=None
        if stress is None
        else _full(_widths(told.get("stress"), found.stress, "component")[0]),
        domain_score=score,
        in_domain=~(score > 1),
        calibrated="energy" in told and "force" in told,
    )


class _Identity:
    """Stored features, compared by identity: a simulation asks again for the same at every step."""

    def __init__(self, stored: Mapping[str, Any]):
        self.stored = stored

    def __hash__(self) -> int:
        return id(self.stored)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and self.stored is other.stored


@lru_cache(maxsize=4)
def _space(features: _Identity) -> FeatureSpace:
    """Reading thousands of numbers out of lists takes as long as a small molecule's energy."""
    return FeatureSpace.from_dict(features.stored)


def _full(upper: np.ndarray) -> np.ndarray:
    """(6 S,) in Voigt's order → (S, 3, 3) symmetric."""
    found = np.empty((len(upper) // 6, 3, 3))
    found[:, *UPPER] = found[:, *UPPER[::-1]] = upper.reshape(-1, 6)
    return found


def _widths(
    stored: Mapping[str, Any] | None, inputs: Mapping[str, np.ndarray], plain: str
) -> np.ndarray:
    """(3, n): standard deviations, and the half widths of the 68 and 95 % intervals."""
    if stored is None:
        std = inputs[plain]
        quantiles = [float(norm.ppf(0.5 + level / 2)) for level in (0.68, 0.95)]
    else:
        model = SpreadModel.from_dict(stored)
        std = model.std(inputs)
        quantiles = [model.quantiles[level] for level in (0.68, 0.95)]
    return np.stack([std, *(q * std for q in quantiles)])
