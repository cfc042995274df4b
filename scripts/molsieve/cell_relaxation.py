"""Relaxation of positions and cells of many crystals at once, on the mean of a committee.

By torch-sim's FIRE with its Frechet cell filter, crystals of like size in a batch (Cohen et al.,
AI Sci. 1, 025003 (2025), arXiv:2508.06628). For a cell that stays as it is,
:func:`molsieve.relax.relax_batch` takes several times fewer calls.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ase
import numpy as np
import torch
import torch_sim
from torch_sim.autobatching import InFlightAutoBatcher

from molsieve.potential.batches import AtomsBatch
from molsieve.potential.committee import Committee
from molsieve.potential.torch_sim_model import CommitteeModel

STEPS_BETWEEN_LOOKS = 5
"""Crystals that have converged leave after so many steps."""


@dataclass(frozen=True)
class CellRelaxation:
    """Where S crystals ended, in the order given.

    Attributes:
        atoms: geometries and cells.
        energies_ev: (M, S) of each member there.
        forces_max: (S,) eV/Å, longest mean force on an atom.
        stress_max: (S,) eV/Å³, largest component of the mean stress.
        converged: (S,) both below what was asked for.
    """

    atoms: list[ase.Atoms]
    energies_ev: np.ndarray
    forces_max: np.ndarray
    stress_max: np.ndarray
    converged: np.ndarray


def relax_with_cells(
    committee: Committee,
    crystals: Sequence[ase.Atoms],
    fmax: float,
    max_stress: float,
    max_steps: int,
    atoms_at_once: int = 2000,
) -> CellRelaxation:
    """Relax crystals, periodic in all three directions, until forces and stress vanish.

    Args:
        fmax: eV/Å; max_stress: eV/Å³ (0.001 is 0.16 GPa).
        max_steps: of a crystal.
        atoms_at_once: in one committee call, more only for a single larger crystal.
    """
    ends: list[Any] = [None] * len(crystals)
    for group in _groups([len(crystal) for crystal in crystals], atoms_at_once):
        chosen = [crystals[index] for index in group]
        found = _together(committee, chosen, fmax, max_stress, max_steps)
        for index, end in zip(group, found, strict=True):
            ends[index] = end
    return _judged(committee, ends, fmax, max_stress)


def _groups(sizes: Sequence[int], at_once: int) -> list[list[int]]:
    """Indices by size, as many in a group as fit; torch-sim's own refilling of a batch counts the
    steps of all crystals as one (0.3)."""
    groups: list[list[int]] = []
    atoms = at_once
    for index in np.argsort(sizes, kind="stable").tolist():
        if atoms + sizes[index] > at_once:
            groups.append([])
            atoms = 0
        groups[-1].append(index)
        atoms += sizes[index]
    return groups


def _together(
    committee: Committee,
    crystals: list[ase.Atoms],
    fmax: float,
    max_stress: float,
    max_steps: int,
) -> list[ase.Atoms]:
    """Where they end; those that have converged leave the batch."""
    model = CommitteeModel(committee, compute_stress=True)

    def settled(state: Any, _: Any = None) -> torch.Tensor:
        longest = state.forces.new_zeros(state.n_systems).scatter_reduce(
            0, state.system_idx, state.forces.norm(dim=1), "amax"
        )
        return (longest <= fmax) & (state.stress.abs().amax((1, 2)) <= max_stress)

    everyone = InFlightAutoBatcher(
        model, memory_scales_with="n_atoms", max_memory_scaler=sum(map(len, crystals)) + 1
    )
    with warnings.catch_warnings():
        # Who did not converge is told in the result.
        warnings.filterwarnings("ignore", "Optimize has reached max steps")
        final = torch_sim.optimize(
            system=crystals,
            model=model,
            optimizer=torch_sim.frechet_cell_fire,
            convergence_fn=settled,
            max_steps=max_steps,
            steps_between_swaps=STEPS_BETWEEN_LOOKS,
            autobatcher=everyone,
        )
    found: list[ase.Atoms] = final.to_atoms()
    return found


def _judged(
    committee: Committee, ends: list[ase.Atoms], fmax: float, max_stress: float
) -> CellRelaxation:
    found = committee(AtomsBatch.from_atoms(ends))
    assert found.stress_mean is not None
    norms = np.split(
        np.linalg.norm(found.forces_mean.cpu().numpy(), axis=1),
        np.cumsum([len(a) for a in ends])[:-1],
    )
    forces = np.array([n.max() for n in norms])
    stress = found.stress_mean.abs().amax((1, 2)).cpu().numpy()
    # Rounding of a single-precision network, evaluated in other company.
    good = (forces <= 1.05 * fmax) & (stress <= 1.05 * max_stress)
    return CellRelaxation(ends, found.energies.cpu().numpy(), forces, stress, good)
