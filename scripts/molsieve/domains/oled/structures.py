"""Species and geometries of OLED candidates, and of what their levels are checked against.

A candidate is one species, the molecule in its ground state (role ``ground``), at one geometry: the
lowest GFN2-xTB minimum of seeded ETKDG conformers and of twists about the bonds between conjugated
parts (:mod:`molsieve.chem.twists`). Whatever goes wrong with a molecule is a row with status
``failed`` and one of the kinds

====================== =======================================================================
embedding              no conformer, or no force field knows the molecule
bad_molecule           not one closed-shell molecule
scf_not_converged      GFN2-xTB found no self-consistent density
geometry_not_converged more than ``max_steps`` steps
rearranged             bonds broke or formed on relaxation: it is another molecule now
timeout, worker_died,  the worker was stopped, died, or raised
engine_error
====================== =======================================================================
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import ase
import pandas as pd

from molsieve.chem import conformers, connectivity, identities, pools, relaxation, twists
from molsieve.chem.free_atoms import GROUND_STATE_MULTIPLICITY
from molsieve.chem.molecules import MoleculeError, parse_molecule
from molsieve.domains.oled import config
from molsieve.domains.oled.references import reference_molecules, select_references
from molsieve.domains.species_rows import failure, species_row, write_built
from molsieve.section import CampaignError, digest

__all__ = ["build_references", "build_structures", "measured_elements", "measured_systems"]

TIME_LIMIT_S = 3600.0
"""A species that takes longer becomes a failed row; one of 100 atoms takes a minute."""
ATOM, MEASURED = "atom", "measured"
"""Roles of the references' structures."""

measured_systems = reference_molecules


@dataclass(frozen=True)
class SpeciesTask:
    """What a worker needs to build one species.

    ``species`` is its row without status; ``role`` the role its structure carries.
    """

    species: dict
    role: str
    settings: dict
    seed: int
    geometry_protocol_id: str


def measured_elements(objective: config.Objective) -> set[str]:
    """Elements of the reference molecules, hydrogen included.

    Raises:
        CampaignError: a molecule that is not shipped.
    """
    chosen = select_references(objective.reference_molecules)
    atoms = (atom for smiles in chosen["smiles"] for atom in parse_molecule(smiles).GetAtoms())
    return {"H", *(atom.GetSymbol() for atom in atoms)}


def protocol_id(settings: config.Structures, seed: int) -> str:
    """Identity of the way geometries are made: settings, seed, versions of RDKit and tblite."""
    versions = {name: importlib.metadata.version(name) for name in ("rdkit", "tblite")}
    method = "ETKDGv3/twists/MMFF94/GFN2-xTB"
    return digest([method, settings.model_dump(mode="json"), seed, versions])


def build_structures(
    candidates: pd.DataFrame,
    settings: config.Structures,
    seed: int,
    species_out: Path,
    structures_out: Path,
    workers: int,
    campaign: str,
) -> dict[str, int]:
    """The ground-state species of every accepted candidate, sorted by species_id.

    Returns:
        How many species are ok (key ``ok``) and failed, by kind.
    """
    accepted = candidates[candidates["status"] == "accepted"]
    task = _task_maker(settings, seed)
    tasks = [
        task(species_row("ground", identifier) | {"candidate_id": candidate_id}, "ground")
        for candidate_id, identifier in zip(
            accepted["candidate_id"], accepted["identifier"], strict=True
        )
    ]
    return _build_all(tasks, species_out, structures_out, workers, campaign)


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
    """Reference molecules and free atoms, as ``build_structures`` writes them.

    The free atoms are those of ``elements``, of hydrogen and of every reference molecule.

    Returns:
        How many species are ok (key ``ok``) and failed, by kind.

    Raises:
        CampaignError: a molecule that is not shipped; an element beyond xenon.
    """
    task = _task_maker(settings, seed)
    chosen = select_references(objective.reference_molecules)
    tasks = [
        task(species_row("reference", smiles) | {"couple": name}, MEASURED)
        for name, smiles in zip(chosen["name"], chosen["smiles"], strict=True)
    ]
    for symbol in sorted({*elements, *measured_elements(objective)}):
        if symbol not in GROUND_STATE_MULTIPLICITY:
            raise CampaignError(
                f"candidates.filters.elements: no free-atom ground state for {symbol!r}; "
                "allowed: hydrogen to xenon"
            )
        row = species_row(
            "reference", f"[{symbol}]", multiplicity=GROUND_STATE_MULTIPLICITY[symbol]
        )
        tasks.append(task(row, ATOM))
    return _build_all(tasks, species_out, structures_out, workers, campaign)


def build_species(task: SpeciesTask) -> tuple[dict, list[dict]]:
    """The ``species`` row and the ``structures`` rows (one, or none if it failed) of a task."""
    settings = config.Structures.model_validate(task.settings)
    try:
        atoms, conformer, force_field = _geometry(task, settings)
    except conformers.EmbeddingError as error:
        return task.species | failure("embedding", str(error)), []
    except MoleculeError as error:
        return task.species | failure("bad_molecule", str(error)), []
    except relaxation.RelaxationError as error:
        return task.species | failure(error.kind, str(error)), []
    row = identities.structure_row(
        atoms,
        species_id=task.species["species_id"],
        origin="relaxed",
        geometry_protocol_id=task.geometry_protocol_id,
        conformer=conformer,
        candidate_id=task.species.get("candidate_id"),
        role=task.role,
    )
    return task.species | {"status": "ok", "force_field": force_field}, [row]


def _geometry(task: SpeciesTask, settings: config.Structures) -> tuple[ase.Atoms, int, str | None]:
    """(atoms, conformer number, force field) of the lowest minimum, or of a free atom."""
    if task.role == ATOM:
        symbol = task.species["identifier"].strip("[]")
        info = {"charge_e": 0, "multiplicity": task.species["multiplicity"]}
        return ase.Atoms(symbol, positions=[[0.0, 0.0, 0.0]], info=info), 0, None
    molecule = parse_molecule(task.species["identifier"])
    seed = int(digest(["embedding", task.seed, task.species["species_id"]]), 16) % 2**31
    found = conformers.embed_conformers(molecule, settings.conformers, seed)
    found = twists.with_twists(found, settings.twists, seed)
    atoms, conformer = lowest_minimum(found, settings)
    return atoms, conformer, found.force_field


def lowest_minimum(
    found: conformers.Conformers, settings: config.Structures
) -> tuple[ase.Atoms, int]:
    """(atoms, conformer number) of the lowest GFN2-xTB minimum that kept its bonds, of the lowest
    distinct force-field minima.

    Raises:
        RelaxationError: the first conformer's, if none gives a minimum of this molecule.
    """
    minima: list[tuple[float, int, ase.Atoms]] = []
    errors: list[relaxation.RelaxationError] = []
    for rank in twists.distinct_ranks(found, settings.relaxed_conformers):
        try:
            relaxed = relaxation.relax(
                found.atoms(rank),
                settings.fmax_ev_per_angstrom,
                settings.max_steps,
                found.hessian_ev_per_angstrom2(rank),
            )
            _check_bonds(found, relaxed.atoms)
        except relaxation.RelaxationError as error:
            errors.append(error)
            continue
        # Rounded to 0.1 meV: conformers that fell into one minimum tie, and the first is taken.
        minima.append((round(relaxed.energy_ev, 4), rank, relaxed.atoms))
    if not minima:
        raise errors[0]
    _, rank, atoms = min(minima, key=lambda entry: entry[:2])
    return atoms, found.order[rank]


def _check_bonds(found: conformers.Conformers, atoms: ase.Atoms) -> None:
    seen = connectivity.bonds_of_geometry(atoms.numbers, atoms.positions)
    change = connectivity.describe_change(found.bonds(), seen, atoms.get_chemical_symbols())
    if change:
        raise relaxation.RelaxationError("rearranged", f"on relaxation: {change}")


def _task_maker(settings: config.Structures, seed: int):  # type: ignore[no-untyped-def]
    """A function (species row, role) → task, the rest being the same for all."""
    protocol, dumped = protocol_id(settings, seed), settings.model_dump(mode="json")
    return lambda row, role: SpeciesTask(row, role, dumped, seed, protocol)


def _build_all(
    tasks: list[SpeciesTask], species_out: Path, structures_out: Path, workers: int, campaign: str
) -> dict[str, int]:
    species: list[dict] = []
    structures: list[dict] = []
    outcomes = pools.guarded_map(build_species, tasks, workers, TIME_LIMIT_S)
    for task, outcome in zip(tasks, outcomes, strict=True):
        if isinstance(outcome, pools.Failure):
            species.append(task.species | failure(outcome.kind, outcome.message))
            continue
        row, geometries = outcome
        species.append(row)
        structures += geometries
    return write_built(species, structures, species_out, structures_out, campaign)
