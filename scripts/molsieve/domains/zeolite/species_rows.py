"""Rows of ``structures`` and what became of a species, in zeolites: all are neutral."""

from __future__ import annotations

import ase

from molsieve.chem import identities, pools
from molsieve.domains.species_rows import failure
from molsieve.domains.zeolite.building import BuildFailure

Failure = BuildFailure | pools.Failure


def structure_row(
    atoms: ase.Atoms,
    species: dict,
    role: str,
    origin: str,
    protocol: str,
    conformer: int = 0,
    candidate_id: str | None = None,
) -> dict:
    """A geometry of a species, neutral.

    Raises:
        ValueError: a charged one: no level is ever given a charged cell.
    """
    if atoms.info.get("charge_e", 0):
        raise ValueError(f"{species['identifier']}: a geometry of {atoms.info['charge_e']:+d} e")
    return identities.structure_row(
        atoms,
        species_id=species["species_id"],
        origin=origin,
        geometry_protocol_id=protocol,
        conformer=conformer,
        candidate_id=candidate_id,
        role=role,
    )


def status_of(outcome: object) -> dict:
    """Columns that tell whether a species was built."""
    if isinstance(outcome, Failure):
        return failure(outcome.kind, outcome.message)
    return {"status": "ok"}
