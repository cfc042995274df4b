"""Species and geometries of zeolite candidates, and of what their levels are checked against.

Three steps, each a pool of guarded workers: every framework and every guest of the shard is relaxed
once (:mod:`molsieve.domains.zeolite.relaxing`), then each candidate's guests are docked
(:mod:`molsieve.docking`). A candidate has three species: its empty ``framework``, in the cell of
the complex; its ``guest``, a molecule; the ``complex``, whose poses are rows of ``structures`` with
origin "built" and the pose's place in the order of docking scores as ``conformer``.

What cannot be built is a ``species`` row with status ``failed`` and one of the kinds

====================== =======================================================================
embedding              no conformer of the guest, or no force field knows it
no_pose                no room for the guests; the message says what is in the way
too_large              more atoms than ``structures.max_atoms``
bad_input, scf_…       GFN1-xTB gave no energy (see :mod:`molsieve.engines.base`)
timeout, worker_died,  the worker was stopped, died, or raised
engine_error
====================== =======================================================================
"""

from __future__ import annotations

import importlib.metadata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase
import pandas as pd

from molsieve import tables
from molsieve.chem import identities, pools
from molsieve.chem.free_atoms import GROUND_STATE_MULTIPLICITY
from molsieve.domains.zeolite import config
from molsieve.domains.zeolite.building import (
    BuildFailure,
    BuiltComplex,
    BuiltGuest,
    ComplexTask,
    FrameworkTask,
    GuestTask,
    build_complex,
    build_framework,
    build_guest,
)
from molsieve.domains.zeolite.identifiers import Identifier, parse_identifier
from molsieve.domains.zeolite.references import (
    QUARTZ,
    measured_elements,
    measured_systems,
    reference_tasks,
)
from molsieve.section import digest

__all__ = ["build_references", "build_structures", "measured_elements", "measured_systems"]

TIME_LIMIT_S = 3600.0
"""Of one relaxation or docking; a longer one becomes a failed row."""

Failure = BuildFailure | pools.Failure


@dataclass(frozen=True)
class _Candidate:
    """A row of ``candidates``, read."""

    candidate_id: str
    parts: Identifier
    framework: FrameworkTask
    guest: GuestTask


def protocol_id(settings: config.Structures, seed: int) -> str:
    """Identity of the way geometries are made: settings, seed, versions of the programs."""
    versions = {name: importlib.metadata.version(name) for name in ("rdkit", "tblite", "spglib")}
    return digest(["GFN1-xTB/docking", settings.model_dump(mode="json"), seed, versions])


def build_structures(
    candidates: pd.DataFrame,
    settings: config.Structures,
    seed: int,
    species_out: Path,
    structures_out: Path,
    workers: int,
    campaign: str,
) -> dict[str, int]:
    """The three species of every accepted candidate, sorted by (species_id, candidate_id).

    Candidates that share a framework or a guest have a row each of it, and the same geometry.

    Returns:
        How many species are ok (key ``ok``) and failed, by kind.
    """
    rows = candidates[candidates["status"] == "accepted"].to_dict("records")
    wanted = [_read(row, settings, seed) for row in rows]
    frameworks = _built(build_framework, (c.framework for c in wanted), workers)
    guests = _built(build_guest, (c.guest for c in wanted), workers)
    tasks = {
        c.candidate_id: _complex_task(c, frameworks[c.framework], guests[c.guest], settings, seed)
        for c in sorted(wanted, key=lambda c: c.parts.host)
        if isinstance(frameworks[c.framework], ase.Atoms)
        and isinstance(guests[c.guest], BuiltGuest)
    }
    poses = pools.guarded_map(build_complex, tasks.values(), workers, TIME_LIMIT_S)
    complexes: dict[str, Any] = dict(zip(tasks, poses, strict=True))
    species: list[dict] = []
    structures: list[dict] = []
    protocol = protocol_id(settings, seed)
    for c in wanted:
        of_this = _rows(
            c,
            frameworks[c.framework],
            guests[c.guest],
            complexes.get(c.candidate_id),
            protocol,
        )
        species += of_this[0]
        structures += of_this[1]
    return _write(species, structures, species_out, structures_out, campaign)


def build_references(
    settings: config.Structures,
    objective: config.Objective,
    elements: Iterable[str],
    seed: int,
    species_out: Path,
    structures_out: Path,
    workers: int,
    campaign: str,
) -> dict[str, int]:
    """Quartz, measured frameworks and free atoms, as ``build_structures`` writes them.

    Returns:
        How many species are ok (key ``ok``) and failed, by kind.

    Raises:
        CampaignError: a framework without a measured enthalpy, or one that cannot be read.
    """
    protocol = protocol_id(settings, seed)
    tasks = reference_tasks(objective, settings.fmax_ev_per_angstrom, settings.framework_steps)
    built = _built(build_framework, tasks.values(), workers)
    species: list[dict] = []
    structures: list[dict] = []
    for name, task in tasks.items():
        role = QUARTZ if name == QUARTZ else "measured"
        species_row = _species_row("reference", f"{name}|pure|1x1x1") | {"couple": name}
        outcome = built[task]
        if isinstance(outcome, ase.Atoms):
            structures.append(_structure_row(outcome, species_row, role, "relaxed", protocol))
        species.append(species_row | _status(outcome))
    for symbol in sorted({"H", *elements, *measured_elements(objective)}):
        row = _species_row("reference", f"[{symbol}]", GROUND_STATE_MULTIPLICITY[symbol])
        info = {"charge_e": 0, "multiplicity": row["multiplicity"]}
        atom = ase.Atoms(symbol, positions=[[0.0, 0.0, 0.0]], info=info)
        structures.append(_structure_row(atom, row, "atom", "relaxed", protocol))
        species.append(row | {"status": "ok"})
    return _write(species, structures, species_out, structures_out, campaign)


def _read(row: dict, settings: config.Structures, seed: int) -> _Candidate:
    parts = parse_identifier(row["identifier"])
    path = row["framework_file"] if isinstance(row["framework_file"], str) else None
    fmax = settings.fmax_ev_per_angstrom
    return _Candidate(
        row["candidate_id"],
        parts,
        FrameworkTask(
            parts.framework,
            path,
            float(row["min_cell_angstrom"]),
            parts.arrangement,
            fmax,
            settings.framework_steps,
        ),
        GuestTask(parts.guest, settings.conformers, fmax, seed),
    )


def _built(function: Callable, tasks: Iterable, workers: int) -> dict[Any, Any]:
    """Each distinct task with what became of it."""
    once = list(dict.fromkeys(tasks))
    return dict(zip(once, pools.guarded_map(function, once, workers, TIME_LIMIT_S), strict=True))


def _complex_task(
    c: _Candidate, framework: ase.Atoms, guest: BuiltGuest, settings: config.Structures, seed: int
) -> ComplexTask:
    return ComplexTask(
        str(c.parts),
        framework,
        guest.conformers,
        guest.energies_ev,
        c.parts.guest,
        c.parts.loading,
        settings.model_dump(mode="json"),
        seed,
    )


def _rows(
    c: _Candidate,
    framework: ase.Atoms | Failure,
    guest: BuiltGuest | Failure,
    complex_: BuiltComplex | Failure | None,
    protocol: str,
) -> tuple[list[dict], list[dict]]:
    """Species and structures of a candidate; of one that failed the species only, with reasons."""
    repeats = complex_.repeats if isinstance(complex_, BuiltComplex) else (1, 1, 1)
    cell = "x".join(map(str, repeats))
    named = {
        "framework": (f"{c.parts.host}|{cell}", framework),
        "guest": (c.parts.guest, guest),
        "complex": (str(c.parts), complex_ or BuildFailure("no_pose", "its parts failed")),
    }
    species = {
        role: _species_row(role, identifier) | {"candidate_id": c.candidate_id} | _status(outcome)
        for role, (identifier, outcome) in named.items()
    }
    structures = []
    if isinstance(complex_, BuiltComplex):
        assert isinstance(framework, ase.Atoms) and isinstance(guest, BuiltGuest)
        made = [("framework", framework.repeat(repeats), "relaxed", 0)]
        made += [("guest", atoms, "relaxed", k) for k, atoms in enumerate(guest.conformers)]
        made += [("complex", atoms, "built", k) for k, atoms in enumerate(complex_.poses)]
        structures = [
            _structure_row(atoms, species[role], role, origin, protocol, k, c.candidate_id)
            for role, atoms, origin, k in made
        ]
    return list(species.values()), structures


def _species_row(role: str, identifier: str, multiplicity: int = 1) -> dict:
    return {
        "species_id": identities.species_id(identifier, 0, multiplicity),
        "role": role,
        "identifier": identifier,
        "charge_e": 0,
        "multiplicity": multiplicity,
    }


def _structure_row(
    atoms: ase.Atoms,
    species: dict,
    role: str,
    origin: str,
    protocol: str,
    conformer: int = 0,
    candidate_id: str | None = None,
) -> dict:
    return identities.structure_row(
        atoms,
        species_id=species["species_id"],
        origin=origin,
        geometry_protocol_id=protocol,
        conformer=conformer,
        candidate_id=candidate_id,
        role=role,
    )


def _status(outcome: object) -> dict:
    if isinstance(outcome, Failure):
        return {"status": "failed", "error_kind": outcome.kind, "error_message": outcome.message}
    return {"status": "ok"}


def _write(
    species: list[dict],
    structures: list[dict],
    species_out: Path,
    structures_out: Path,
    campaign: str,
) -> dict[str, int]:
    tables.write_table(_sorted(species, "species"), "species", species_out, campaign)
    tables.write_table(_sorted(structures, "structures"), "structures", structures_out, campaign)
    return dict(sorted(Counter(row.get("error_kind") or "ok" for row in species).items()))


def _sorted(rows: list[dict], table: str) -> pd.DataFrame:
    rows = sorted(rows, key=lambda row: (row["species_id"], row.get("candidate_id") or ""))
    return pd.DataFrame(rows) if rows else tables.empty_table(table)
