"""Distorted geometries of training species for a round to label, from all sources of the mix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from molsieve.chem.duplicates import without_duplicates
from molsieve.chem.identities import atoms_from_row, structure_row
from molsieve.geometries.sources import SOURCES, Offer, Proposal, Starts
from molsieve.geometries.starts import choose_starts, own_minima
from molsieve.geometry_settings import REASONS, Geometries
from molsieve.potential.committee import Committee
from molsieve.potential.graphs import AtomsBatch
from molsieve.section import digest
from molsieve.tables import write_table

ORIGINS = {
    "attack": "attack",
    "dynamics": "dynamics",
    "normal_modes": "displaced",
    "random": "displaced",
}
"""``structures.origin`` of each source's geometries."""


def propose_geometries(
    dataset: pd.DataFrame,
    structures: pd.DataFrame,
    committee: Committee,
    settings: Geometries,
    seed: int,
    round: int,
    geometries_out: Path,
    metrics_out: Path,
    campaign: str = "",
) -> dict[str, int]:
    """Ask every source of the mix for geometries of training species; write them interleaved.

    Args:
        dataset, structures: the round's frozen dataset and its geometries.
        geometries_out: a ``geometries`` table. Each source's rows come by its own score, the
            sources in turn by their weights: the first rows, however many are taken, keep the mix,
            and where a source has too few the others fill in. No geometry is there twice, nor one
            that is known.
        metrics_out: ``metrics`` of the sources (the stability of the dynamics).

    Returns:
        Counts: starts, rows offered by each source, duplicates.
    """
    known = choose_starts(dataset, structures, settings.starts, [seed, round], settings.start_from)
    offers: dict[str, Offer] = {}
    if len(known):
        starts = _starts(committee, known, settings.start_from, seed, round)
        offers = {name: SOURCES[name](committee, starts, settings) for name in settings.mix.sources}
    rows = {
        name: [_row(p, known, name, settings, [seed, round]) for p in offer.proposals]
        for name, offer in offers.items()
    }
    weights = settings.mix.model_dump()
    kept = without_duplicates(interleaved(rows, weights), structures)
    # A second time, as the duplicates have left gaps in the turns of their sources.
    sources = {name: [r for r in kept if r["source"] == REASONS[name]] for name in rows}
    write_table(interleaved(sources, weights), "geometries", geometries_out, campaign)
    write_table(_metrics(offers, round), "metrics", metrics_out, campaign)
    offered = {name: len(own) for name, own in rows.items()}
    return {"starts": len(known), **offered, "duplicates": sum(offered.values()) - len(kept)}


def interleaved(rows: dict[str, list[dict]], weights: dict[str, float]) -> list[dict]:
    """The rows of all sources, each in its order, taking turns in proportion to their weights."""
    turns = [
        ((place + 0.5) / weights[name], rank, place, row)
        for rank, (name, own) in enumerate(rows.items())
        for place, row in enumerate(own)
    ]
    return [row for *_, row in sorted(turns, key=lambda turn: turn[:3])]


def _starts(
    committee: Committee, known: pd.DataFrame, start_from: str, seed: int, round: int
) -> Starts:
    """The chosen species at the committee's minima."""
    atoms = [atoms_from_row(row) for row in known.to_dict("records")]
    batch = AtomsBatch.from_atoms(atoms).to(committee.device)
    batch, e_min = own_minima(committee, batch, start_from)
    own_seed = int(np.random.SeedSequence([seed, round]).generate_state(1)[0])
    return Starts(known, batch, e_min, own_seed)


def _row(
    proposal: Proposal, known: pd.DataFrame, source: str, settings: Geometries, seed: list[int]
) -> dict:
    """A ``geometries`` row."""
    parent = known.iloc[proposal.start]
    atoms = atoms_from_row(parent.to_dict())
    atoms.cell = proposal.cell
    atoms.positions = proposal.positions
    own = getattr(settings, source).model_dump(mode="json")
    row = structure_row(
        atoms,
        species_id=parent["species_id"],
        origin=ORIGINS[source],
        geometry_protocol_id=digest([source, own, settings.starts, *seed]),
        parent_structure_id=parent["structure_id"],
        candidate_id=parent["candidate_id"],
        role=parent["role"],
    )
    told = {"source": REASONS[source], "score": proposal.score, "rebonded": proposal.rebonded}
    return {**row, **told}


def _metrics(offers: dict[str, Offer], round: int) -> list[dict]:
    """``metrics`` rows of what the sources measured on their way."""
    return [
        {
            "round": round,
            "split": "train",
            "name": name,
            "unit": "1",
            "n": n,
            "value": value,
            "interval": interval,
        }
        for offer in offers.values()
        for name, value, n, interval in offer.metrics
    ]
