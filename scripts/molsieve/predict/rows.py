"""Rows of ``structure_predictions``: batches of structures of like size, in the order given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import ase
import numpy as np
from threadpoolctl import threadpool_limits

from molsieve.chem.connectivity import bonds_of_geometry, describe_change
from molsieve.chem.identities import charge_and_multiplicity
from molsieve.minima import CONVERGED_ENOUGH
from molsieve.potential.calibrated import CalibratedCommittee
from molsieve.potential.committee_prediction import CommitteePrediction
from molsieve.potential.graphs import AtomsBatch
from molsieve.potential.model import MAX_ATOMIC_NUMBER
from molsieve.predict.heads import CalibratedHeads
from molsieve.predict.structures import Given
from molsieve.relax import relax_batch

WINDOW_STRUCTURES = 2000
"""Read ahead, so that structures of like size meet; what the memory holds."""
ATOMS_PER_BATCH = {"cpu": 2_000, "gpu": 50_000}


@dataclass(frozen=True)
class Relaxation:
    """How structures are relaxed; cells stay as they are.

    Attributes:
        every: those given with a geometry too; False: of SMILES only.
        fmax_ev_per_angstrom: largest force on an atom at the end.
        max_steps: committee calls of a structure.
    """

    every: bool = False
    fmax_ev_per_angstrom: float = 0.05
    max_steps: int = 200


@dataclass(frozen=True)
class _Relaxed:
    atoms: ase.Atoms
    steps: int | None = None
    reason: str | None = None


def predict_structures(
    given: Iterable[Given],
    committee: CalibratedCommittee,
    relaxation: Relaxation,
    heads: CalibratedHeads | None = None,
) -> Iterator[dict[str, Any]]:
    """A row of ``structure_predictions`` for each structure, in their order; with property heads
    of ``property_predictions``."""
    structures = iter(given)
    while window := list(islice(structures, WINDOW_STRUCTURES)):
        rows = {g.index: _failed(g, reason) for g in window if (reason := _refused(g, committee))}
        usable = [g for g in window if g.index not in rows]
        if heads is not None:
            usable = [_at_minimum(g, relaxation) if g.rough else g for g in usable]
            rows |= {g.index: _failed(g, g.reason) for g in usable if g.reason is not None}
            usable = [g for g in usable if g.index not in rows]
        for rough in (False, True):
            relaxed = relaxation if rough or relaxation.every else None
            for batch in _batches([g for g in usable if g.rough is rough], committee.device):
                rows |= _batch_rows(batch, committee, relaxed, heads)
        yield from (rows[g.index] for g in window)


def _refused(given: Given, committee: CalibratedCommittee) -> str | None:
    """Why the committee cannot say anything."""
    if given.atoms is None:
        return given.reason or "no structure"
    if not np.isfinite(given.atoms.positions).all():
        return "a position is not a number"
    if given.atoms.numbers.max() > MAX_ATOMIC_NUMBER:
        return f"an element beyond number {MAX_ATOMIC_NUMBER}, the last that the network has"
    state = charge_and_multiplicity(given.atoms)
    if committee.electronic_embedding or state in committee.states:
        return None
    known = "; ".join(_state(*one) for one in sorted(committee.states))
    return (
        f"{_state(*state)}: the committee was trained without potential.electronic_embedding and "
        f"knows only {known}"
    )


def _at_minimum(given: Given, how: Relaxation) -> Given:
    """A force field's geometry moved to its GFN2-xTB minimum, which heads learned excited states
    at; with the reason where there is none."""
    from molsieve.chem.relaxation import RelaxationError, relax

    assert given.atoms is not None
    try:
        with threadpool_limits(1):  # a small molecule: more threads only wait for each other
            moved = relax(given.atoms, how.fmax_ev_per_angstrom, how.max_steps).atoms
    except RelaxationError as error:
        return replace(given, reason=str(error))
    return replace(given, atoms=moved, reason=_rearranged(given.atoms, moved), rough=False)


def _state(charge_e: int, multiplicity: int) -> str:
    return f"charge {f'{charge_e:+d}' if charge_e else '0'}, multiplicity {multiplicity}"


def _batches(given: list[Given], device: str) -> Iterator[list[Given]]:
    """Structures of like size together, up to a number of atoms; a larger one is a batch alone."""
    limit = ATOMS_PER_BATCH["cpu" if device == "cpu" else "gpu"]
    batch: list[Given] = []
    atoms = 0
    for one in sorted(given, key=lambda g: (_size(g), g.index)):
        if batch and atoms + _size(one) > limit:
            yield batch
            batch, atoms = [], 0
        batch.append(one)
        atoms += _size(one)
    if batch:
        yield batch


def _size(given: Given) -> int:
    return len(given.atoms) if given.atoms is not None else 0


def _batch_rows(
    given: list[Given],
    committee: CalibratedCommittee,
    relaxation: Relaxation | None,
    heads: CalibratedHeads | None,
) -> dict[int, dict[str, Any]]:
    relaxed = [_Relaxed(g.atoms) for g in given if g.atoms is not None]
    if relaxation is not None:
        relaxed = _relax([r.atoms for r in relaxed], committee, relaxation)
    found = committee.predict([r.atoms for r in relaxed])
    told, unknown = (
        heads.predict([r.atoms for r in relaxed]) if heads else ([], [None] * len(given))
    )
    sizes = [len(r.atoms) for r in relaxed]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    rows = {}
    for s, (g, r) in enumerate(zip(given, relaxed, strict=True)):
        row = _row(g, r, found, s, slice(starts[s], starts[s + 1]))
        if row["status"] == "ok":
            row["reason"] = row["reason"] or unknown[s]
            row["in_domain"] = row["reason"] is None
            for one in told:
                row |= one.columns(s)
        rows[g.index] = row
    return rows


def _relax(
    structures: list[ase.Atoms], committee: CalibratedCommittee, how: Relaxation
) -> list[_Relaxed]:
    batch = AtomsBatch.from_atoms(structures).to(committee.device)
    result = relax_batch(committee, batch, how.fmax_ev_per_angstrom, how.max_steps)
    places = result.positions.detach().cpu().split(batch.sizes.tolist())
    relaxed = []
    for s, (atoms, place) in enumerate(zip(structures, places, strict=True)):
        moved = atoms.copy()
        moved.positions = place.numpy()
        left = float(result.forces_max[s])
        if bool(result.failed[s]):
            reason: str | None = "the relaxation failed"
        elif left > CONVERGED_ENOUGH * how.fmax_ev_per_angstrom:
            reason = f"not relaxed: {left:.2f} eV/Å left"
        else:
            reason = _rearranged(atoms, moved)
        relaxed.append(_Relaxed(moved, int(result.steps[s]), reason))
    return relaxed


def _rearranged(before: ase.Atoms, after: ase.Atoms) -> str | None:
    if before.pbc.any():  # bonds through the cell's walls are not seen
        return None
    change = describe_change(
        bonds_of_geometry(before.numbers, before.positions),
        bonds_of_geometry(after.numbers, after.positions),
        before.get_chemical_symbols(),
    )
    return f"rearranged in relaxation: {change}" if change else None


def _described(given: Given, atoms: ase.Atoms | None) -> dict[str, Any]:
    charge, multiplicity = charge_and_multiplicity(atoms) if atoms is not None else (0, 1)
    row: dict[str, Any] = {
        "index": given.index,
        "name": given.name,
        "charge_e": charge,
        "multiplicity": multiplicity,
    }
    if atoms is None:
        return row
    return row | {
        "formula": atoms.get_chemical_formula(),
        "numbers": atoms.numbers.tolist(),
        "positions_angstrom": atoms.positions.ravel().tolist(),
        "cell_angstrom": atoms.cell.array.ravel().tolist(),
        "pbc": atoms.pbc.tolist(),
    }


def _failed(given: Given, reason: str) -> dict[str, Any]:
    return _described(given, given.atoms) | {
        "status": "failed",
        "in_domain": False,
        "reason": reason,
    }


def _row(
    given: Given, relaxed: _Relaxed, found: CommitteePrediction, s: int, atoms: slice
) -> dict[str, Any]:
    forces, forces_std = found.forces[atoms], found.forces_std[atoms]
    if not np.isfinite(found.energy[s]) or not np.isfinite(forces).all():
        return _failed(given, "the energy is not finite")
    reason = found.reasons[s] or relaxed.reason
    return (
        _described(given, relaxed.atoms)
        | {"status": "ok", "in_domain": reason is None, "reason": reason}
        | _energies(found, s)
        | {
            "force_max_ev_per_angstrom": float(np.linalg.norm(forces, axis=1).max()),
            "force_std_max_ev_per_angstrom": float(forces_std.max()),
            "forces_ev_per_angstrom": forces.ravel().tolist(),
            "forces_std_ev_per_angstrom": forces_std.ravel().tolist(),
            "relaxation_steps": relaxed.steps,
        }
        | _stresses(found, s)
    )


def _energies(found: CommitteePrediction, s: int) -> dict[str, Any]:
    return {
        "energy_ev": float(found.energy[s]),
        "energy_std_ev": float(found.energy_std[s]),
        "energy_std_raw_ev": float(found.energy_std_raw[s]),
        "energy_interval_68_ev": found.energy_interval_68[s].tolist(),
        "energy_interval_95_ev": found.energy_interval_95[s].tolist(),
        "energy_members_ev": found.members.energies[:, s].tolist(),
    }


def _stresses(found: CommitteePrediction, s: int) -> dict[str, Any]:
    if found.stress is None or found.stress_std is None or np.isnan(found.stress[s]).any():
        return {}
    return {
        "stress_ev_per_angstrom3": found.stress[s].ravel().tolist(),
        "stress_std_ev_per_angstrom3": found.stress_std[s].ravel().tolist(),
    }
