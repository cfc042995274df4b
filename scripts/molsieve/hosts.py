"""Empty hosts relaxed from where their guests have taken them.

A framework that was relaxed from its crystal structure keeps that symmetry: it may sit in a local
minimum, or on a saddle, above a distorted one. A guest breaks the symmetry, the framework of the
complex goes downhill, and what it gains would be counted as binding: GFN1-xTB silica ACO lies 0.37
eV a cell lower once a guest has been in it, ABW 0.11 eV, SOD and CHA do not. So an empty host is
relaxed from its complexes' minima too, guests taken out, and its lowest minimum counts.
"""

from __future__ import annotations

import ase
import numpy as np
import pandas as pd

from molsieve.campaign import Prediction
from molsieve.chem.identities import structure_row
from molsieve.minima import Minimum, lowest_poses, relax_structures
from molsieve.potential.committee import Committee

STARTS = 3
"""Further starts of a host, the lowest: ten guests lead into few basins."""
SAME_BASIN_ANGSTROM = 0.15
"""A host none of whose atoms is further than this from its own minimum would go back there."""


def emptied_hosts(
    built: pd.DataFrame,
    minima: dict[str, Minimum],
    committee: Committee,
    settings: Prediction,
    complex_role: str,
    host_role: str,
) -> pd.DataFrame:
    """Further ``structures`` rows of the hosts: sound minima of their complexes without guests.

    Args:
        built: rows that were relaxed, all poses; minima: of these rows.
        complex_role, host_role: a complex's atoms begin with its host's; one whose do not (charged
            guests took the place of the host's protons) leads nowhere.

    Returns:
        Rows like ``built``, at most STARTS geometries of each host, one row for each candidate
        that shares it; parent is the docked pose of the complex.
    """
    own = built[built["role"] == host_role].drop_duplicates("candidate_id")
    complexes = lowest_poses(built[built["role"] == complex_role], minima)
    pairs = complexes.merge(own, on="candidate_id", suffixes=("", "_host"))
    rows = [
        structure_row(
            emptied,
            species_id=pair["species_id_host"],
            origin="built",
            geometry_protocol_id=pair["geometry_protocol_id_host"],
            parent_structure_id=pair["structure_id"],
            role=host_role,
        )
        for pair in pairs.to_dict("records")
        if (emptied := _emptied(minima[pair["structure_id"]], minima[pair["structure_id_host"]]))
    ]
    if not rows:
        return built.head(0)
    starts = _lowest(pd.DataFrame(rows).drop_duplicates("structure_id"), committee, settings)
    who = own[["candidate_id", "species_id"]]
    return starts.drop(columns="candidate_id").merge(who, on="species_id")


def _emptied(whole: Minimum, host: Minimum) -> ase.Atoms | None:
    """The host as the complex has it; None where that is doubtful, or where the host is."""
    atoms: ase.Atoms = whole.atoms[: len(host.atoms)]
    if whole.reason is not None or not np.isfinite(whole.energies_ev).all():
        return None
    if not np.array_equal(atoms.numbers, host.atoms.numbers):
        return None
    moved = np.linalg.norm(atoms.positions - host.atoms.positions, axis=1).max()
    return atoms if moved > SAME_BASIN_ANGSTROM else None


def _lowest(rows: pd.DataFrame, committee: Committee, settings: Prediction) -> pd.DataFrame:
    """The STARTS lowest of each host as they are, numbered from 1 as conformers."""
    as_they_are = settings.model_copy(update={"max_steps": 0})
    found = relax_structures(rows, committee, as_they_are)
    energy = [found[key].energies_ev.mean() for key in rows["structure_id"]]
    ranked = rows.assign(_energy=energy).sort_values(["species_id", "_energy", "structure_id"])
    place = ranked.groupby("species_id").cumcount()
    return ranked.assign(conformer=place + 1)[place < STARTS].drop(columns="_energy")
