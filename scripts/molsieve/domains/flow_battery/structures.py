"""Species and geometries of quinone couples, and of the references they are measured against.

A species is built by :func:`build_species`: seeded ETKDG, MMFF94 (UFF where MMFF94 has no
parameters; the ``species`` row says which), GFN2-xTB on the lowest few, the lowest kept. Whatever
goes wrong with a molecule is a row with status ``failed`` and one of the kinds

====================== =======================================================================
embedding              no conformer, or no force field knows the molecule
not_a_quinone          nothing to reduce
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
from rdkit import Chem

from molsieve.chem import conformers, connectivity, identities, pools, quinones, relaxation
from molsieve.chem.free_atoms import GROUND_STATE_MULTIPLICITY
from molsieve.chem.molecules import MoleculeError, canonical_smiles, parse_molecule
from molsieve.domains.flow_battery import config
from molsieve.domains.flow_battery.couples import reference_couples, select_couples
from molsieve.domains.species_rows import failure, species_row, write_built
from molsieve.section import CampaignError, digest

__all__ = [
    "build_references",
    "build_structures",
    "measured_elements",
    "measured_systems",
    "reference_couples",
    "select_couples",
    "species_of",
]

TIME_LIMIT_S = 600.0
"""A species that takes longer becomes a failed row; a 60-atom one takes seconds."""
DIHYDROGEN = "[H][H]"
DIHYDROGEN_BOND_ANGSTROM = 0.7414


@dataclass(frozen=True)
class SpeciesTask:
    """What a worker needs to build one species.

    ``species`` is its row without status; ``role`` the role its structures carry.
    """

    species: dict
    role: str
    settings: dict
    seed: int
    geometry_protocol_id: str


def species_of(identifier: str) -> list[dict]:
    """The oxidised and the reduced species of a quinone: rows of ``species`` without status.

    The reduced one is the aromatic diol, oxidised + 2 H, by :func:`quinones.reduce_quinone`.

    Raises:
        NotAQuinone: nothing to reduce.
        MoleculeError: ``identifier`` is not one closed-shell molecule.
    """
    oxidised = parse_molecule(identifier)
    reduced = quinones.reduce_quinone(oxidised)
    return [
        species_row("oxidised", canonical_smiles(oxidised), Chem.GetFormalCharge(oxidised), 1),
        species_row("reduced", canonical_smiles(reduced), Chem.GetFormalCharge(reduced), 1),
    ]


measured_systems = reference_couples


def measured_elements(objective: config.Objective) -> set[str]:
    """Elements of the measured couples, hydrogen included.

    Raises:
        CampaignError: a couple that is not shipped.
    """
    couples = select_couples(objective.reference_couples)
    atoms = (atom for smiles in couples["smiles"] for atom in parse_molecule(smiles).GetAtoms())
    return {"H", *(atom.GetSymbol() for atom in atoms)}


def protocol_id(settings: config.Structures, seed: int) -> str:
    """Identity of the way geometries are made: settings, seed, versions of RDKit and tblite."""
    versions = {name: importlib.metadata.version(name) for name in ("rdkit", "tblite")}
    return digest(["ETKDGv3/MMFF94/GFN2-xTB", settings.model_dump(mode="json"), seed, versions])


def build_structures(
    candidates: pd.DataFrame,
    settings: config.Structures,
    seed: int,
    species_out: Path,
    structures_out: Path,
    workers: int,
    campaign: str,
) -> dict[str, int]:
    """Both species of every accepted candidate, sorted by (species_id, candidate_id).

    Two candidates that reduce to the same diol have a ``species`` row each, and the same geometry.

    Returns:
        How many species are ok (key ``ok``) and failed, by kind.
    """
    accepted = candidates[candidates["status"] == "accepted"]
    protocol = protocol_id(settings, seed)
    dumped = settings.model_dump(mode="json")
    tasks, failed = [], []
    for candidate_id, identifier in zip(
        accepted["candidate_id"], accepted["identifier"], strict=True
    ):
        try:
            pair = species_of(identifier)
        except (quinones.NotAQuinone, MoleculeError) as error:
            row = species_row("oxidised", identifier, 0, 1) | {"candidate_id": candidate_id}
            failed.append(row | failure("not_a_quinone", str(error)))
            continue
        for row in pair:
            row["candidate_id"] = candidate_id
            tasks.append(SpeciesTask(row, row["role"], dumped, seed, protocol))
    return _build_all(tasks, failed, species_out, structures_out, workers, campaign)


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
    """Measured couples, H2 and free atoms, as ``build_structures`` writes them.

    The free atoms are those of ``elements``, of hydrogen and of every couple.

    Returns:
        How many species are ok (key ``ok``) and failed, by kind.

    Raises:
        CampaignError: a couple that is not shipped; an element beyond xenon.
    """
    protocol = protocol_id(settings, seed)
    dumped = settings.model_dump(mode="json")

    def task(row: dict, role: str) -> SpeciesTask:
        return SpeciesTask(row | {"role": "reference"}, role, dumped, seed, protocol)

    tasks, needed = [], {*elements, *measured_elements(objective)}
    couples = select_couples(objective.reference_couples)
    for name, smiles in zip(couples["name"], couples["smiles"], strict=True):
        tasks += [task(row | {"couple": name}, row["role"]) for row in species_of(smiles)]
    tasks.append(task(species_row("reference", DIHYDROGEN, 0, 1), "dihydrogen"))
    for symbol in sorted(needed):
        if symbol not in GROUND_STATE_MULTIPLICITY:
            raise CampaignError(
                f"candidates.filters.elements: no free-atom ground state for {symbol!r}; "
                "allowed: hydrogen to xenon"
            )
        multiplicity = GROUND_STATE_MULTIPLICITY[symbol]
        tasks.append(task(species_row("reference", f"[{symbol}]", 0, multiplicity), "atom"))
    return _build_all(tasks, [], species_out, structures_out, workers, campaign)


def build_species(task: SpeciesTask) -> tuple[dict, list[dict]]:
    """The ``species`` row and the ``structures`` rows (one, or none if it failed) of a task."""
    settings = config.Structures.model_validate(task.settings)
    try:
        atoms, conformer, force_field = _geometry(task, settings)
    except conformers.EmbeddingError as error:
        return task.species | failure("embedding", str(error)), []
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
    """(atoms, conformer number, force field) of the lowest minimum."""
    if task.role == "atom":
        symbol = task.species["identifier"].strip("[]")
        info = {"charge_e": 0, "multiplicity": task.species["multiplicity"]}
        return ase.Atoms(symbol, positions=[[0.0, 0.0, 0.0]], info=info), 0, None
    if task.role == "dihydrogen":
        atoms = ase.Atoms("H2", positions=[[0, 0, 0], [0, 0, DIHYDROGEN_BOND_ANGSTROM]])
        atoms.info.update(charge_e=0, multiplicity=1)
        relaxed = relaxation.relax(atoms, settings.fmax_ev_per_angstrom, settings.max_steps)
        return relaxed.atoms, 0, None
    molecule = parse_molecule(task.species["identifier"])
    found = conformers.embed_conformers(
        molecule, settings.conformers, embedding_seed(task.seed, task.species["species_id"])
    )
    atoms, conformer = _lowest_minimum(found, settings)
    return atoms, conformer, found.force_field


def _lowest_minimum(
    found: conformers.Conformers, settings: config.Structures
) -> tuple[ase.Atoms, int]:
    """(atoms, conformer number) of the lowest of the relaxed conformers that kept their bonds.

    Raises:
        RelaxationError: the first conformer's, if none gives a minimum of this molecule.
    """
    minima: list[tuple[float, int, ase.Atoms]] = []
    errors: list[relaxation.RelaxationError] = []
    for rank in range(min(settings.relaxed_conformers, len(found.order))):
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


def embedding_seed(seed: int, species_id: str) -> int:
    """The seed of a species' conformers, 0 … 2**31 - 1: its own, whatever is built before it."""
    return int(digest(["embedding", seed, species_id]), 16) % 2**31


def _build_all(
    tasks: list[SpeciesTask],
    failed: list[dict],
    species_out: Path,
    structures_out: Path,
    workers: int,
    campaign: str,
) -> dict[str, int]:
    species: list[dict] = list(failed)
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
