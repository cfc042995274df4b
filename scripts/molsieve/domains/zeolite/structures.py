"""Species and geometries of zeolite candidates, and of what their levels are checked against.

Three steps, each a pool of guarded workers: every framework and every guest of the shard is relaxed
once (:mod:`molsieve.domains.zeolite.relaxing`), then each candidate's guests are docked
(:mod:`molsieve.docking`). A candidate has three species: its empty ``framework``, in the cell of
the complex; its ``guest``, a molecule; the ``complex``, whose poses are rows of ``structures`` with
origin "built" and the pose's place in the order of docking scores as ``conformer``.

All three are neutral, and the atoms of the complex are those of the framework and its n guests. Of
cations that aluminium balances, the framework therefore has a proton for each charge, and the guest
is the neutral base of :mod:`molsieve.docking.proton_exchange`: the binding energy is that of

    H-framework + n base → complex.

What cannot be built is a ``species`` row with status ``failed`` and one of the kinds

====================== =======================================================================
embedding              no conformer of the guest, or no force field knows it
no_pose                no room for the guests; the message says what is in the way
too_large              more atoms than ``structures.max_atoms``
rearranged             bonds of the framework or the guest broke or formed on relaxation
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

from molsieve.chem import pools
from molsieve.chem.free_atoms import GROUND_STATE_MULTIPLICITY
from molsieve.docking.proton_exchange import exchange_base
from molsieve.domains.species_rows import species_row, write_built
from molsieve.domains.zeolite import config
from molsieve.domains.zeolite.building import (
    BuildFailure,
    BuiltGuest,
    FrameworkTask,
    GuestTask,
    build_framework,
    build_guest,
)
from molsieve.domains.zeolite.complexes import BuiltComplex, ComplexTask, build_complex
from molsieve.domains.zeolite.identifiers import Identifier, parse_identifier
from molsieve.domains.zeolite.references import (
    QUARTZ,
    measured_elements,
    measured_systems,
    reference_tasks,
)
from molsieve.domains.zeolite.species_rows import Failure, status_of, structure_row
from molsieve.section import digest

__all__ = ["build_references", "build_structures", "measured_elements", "measured_systems"]

TIME_LIMIT_S = 3600.0
"""Of one relaxation or docking; a longer one becomes a failed row."""


@dataclass(frozen=True)
class _Candidate:
    """A row of ``candidates``, read."""

    candidate_id: str
    parts: Identifier
    framework: FrameworkTask
    docked: GuestTask
    guest: GuestTask
    """What the binding energy is told against: the same, of a cation its neutral base."""


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
    guests = _built(build_guest, (g for c in wanted for g in (c.docked, c.guest)), workers)
    tasks = {
        c.candidate_id: _complex_task(c, frameworks[c.framework], guests[c.docked], settings, seed)
        for c in sorted(wanted, key=lambda c: c.parts.host)
        if isinstance(frameworks[c.framework], ase.Atoms)
        and isinstance(guests[c.docked], BuiltGuest)
        and isinstance(guests[c.guest], BuiltGuest)
    }
    poses = pools.guarded_map(build_complex, tasks.values(), workers, TIME_LIMIT_S)
    complexes: dict[str, Any] = dict(zip(tasks, poses, strict=True))
    unbuilt = {c.candidate_id: guests[c.docked] for c in wanted if c.docked != c.guest}
    complexes = {k: v for k, v in unbuilt.items() if isinstance(v, Failure)} | complexes
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
    return write_built(species, structures, species_out, structures_out, campaign)


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
        of_this = species_row("reference", f"{name}|pure|1x1x1") | {"couple": name}
        outcome = built[task]
        if isinstance(outcome, ase.Atoms):
            structures.append(structure_row(outcome, of_this, role, "relaxed", protocol))
        species.append(of_this | status_of(outcome))
    for symbol in sorted({"H", *elements, *measured_elements(objective)}):
        row = species_row("reference", f"[{symbol}]", 0, GROUND_STATE_MULTIPLICITY[symbol])
        info = {"charge_e": 0, "multiplicity": row["multiplicity"]}
        atom = ase.Atoms(symbol, positions=[[0.0, 0.0, 0.0]], info=info)
        structures.append(structure_row(atom, row, "atom", "relaxed", protocol))
        species.append(row | {"status": "ok"})
    return write_built(species, structures, species_out, structures_out, campaign)


def _read(row: dict, settings: config.Structures, seed: int) -> _Candidate:
    parts = parse_identifier(row["identifier"])
    path = row["framework_file"] if isinstance(row["framework_file"], str) else None
    fmax = settings.fmax_ev_per_angstrom
    charge = int(row["charge_e"])
    base = exchange_base(parts.guest) if charge else parts.guest
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
            charge * parts.loading,
        ),
        GuestTask(parts.guest, settings.conformers, fmax, seed),
        GuestTask(base, settings.conformers, fmax, seed),
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
    host = c.parts.host + ("+H" if c.framework.protons else "")
    named = {
        "framework": (f"{host}|{cell}", framework),
        "guest": (c.guest.smiles, guest),
        "complex": (str(c.parts), complex_ or BuildFailure("no_pose", "its parts failed")),
    }
    species = {
        role: species_row(role, identifier) | {"candidate_id": c.candidate_id} | status_of(outcome)
        for role, (identifier, outcome) in named.items()
    }
    structures = []
    if isinstance(complex_, BuiltComplex):
        assert isinstance(framework, ase.Atoms) and isinstance(guest, BuiltGuest)
        made = [("framework", framework.repeat(repeats), "relaxed", 0)]
        made += [("guest", atoms, "relaxed", k) for k, atoms in enumerate(guest.conformers)]
        made += [("complex", atoms, "built", k) for k, atoms in enumerate(complex_.poses)]
        _check_balance(c, made)
        structures = [
            structure_row(atoms, species[role], role, origin, protocol, k, c.candidate_id)
            for role, atoms, origin, k in made
        ]
    return list(species.values()), structures


def _check_balance(c: _Candidate, made: list[tuple[str, ase.Atoms, str, int]]) -> None:
    """Raises ValueError where a complex has not the atoms of its framework and guests."""
    atoms = {role: Counter(geometry.numbers.tolist()) for role, geometry, _, _ in made}
    parts = atoms["framework"].copy()
    for _ in range(c.parts.loading):
        parts += atoms["guest"]
    if atoms["complex"] != parts:
        raise ValueError(f"{c.parts}: its complex is not its framework and its guests")
