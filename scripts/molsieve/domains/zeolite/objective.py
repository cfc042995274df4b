"""The binding energy of guests in a framework, and what its level of theory is checked against.

    E = [E(complex) - E(framework) - n E(guest)] / n

a guest, or divided by the T sites in place of the n guests (Schwalbe-Koda and Gómez-Bombarelli, J.
Chem. Phys. 154, 174109 (2021)); negative: bound. Complex and empty framework are in the same fixed
cell. All three are energies of minima: of several geometries of a species the lowest counts.

Every species is neutral. For cations that framework aluminium balances the framework is the one
with protons and the guest a neutral molecule (:mod:`molsieve.docking.proton_exchange`), so that the
energy is that of H-framework + n base → complex: exact across frameworks, and between guests off by
the difference of their references.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from molsieve.chem.identities import BUILT_ORIGINS
from molsieve.domains.zeolite import config
from molsieve.domains.zeolite.calibration import calibrate_level, energy_per_t
from molsieve.domains.zeolite.config import LABELS_MINIMA
from molsieve.domains.zeolite.identifiers import parse_identifier
from molsieve.domains.zeolite.rearrangements import tell_rearranged
from molsieve.domains.zeolite.scores import ranking_columns

__all__ = ["LABELS_MINIMA", "calibrate_level", "ranking_columns"]

NAME = "binding_energy"
UNIT = "eV"
ROLES = ("complex", "framework", "guest")
SHARED_ROLES = ("framework", "guest")
POSES = True
HOSTED = ("complex", "framework")
REPORTED = (
    ("binding_ev_per_t", "binding / eV per T site", 4),
    ("competition_ev_per_t", "competition / eV per T site", 4),
    ("directivity_ev_per_t", "directivity / eV per T site", 4),
    ("templating_ev", "templating / eV", 4),
    ("t_sites_per_guest", "T sites a guest", 0),
    ("framework_ev_per_t", "framework − quartz / eV per T site", 3),
    ("sa_score", "SA score", 1),
)
"""Columns of the ranking that the page shows beside the binding energy: name, heading, decimals."""
HOW_TO_READ = (
    "The binding energy is [E(complex) − E(framework) − n E(guest)] / n, in eV a guest, negative "
    "where the guest is bound: complex and framework in the same fixed cell, without zero-point "
    "energy, heat or entropy. Per T site it is n times that over the cell's T sites. Competition "
    "is a pair's binding energy per T site less that of the second best framework for the guest, "
    "directivity less that of the second best guest of the framework: the best one is negative, by "
    "its lead. Templating is never negative: the mean free energy, −kT ln p at 400 K, of this "
    "framework among all of the guest and this guest among all of the framework, by energies per T "
    "site and per atom of the guest. Of all these lower is better. Framework − quartz is the empty "
    "framework's energy, positive where quartz is more stable. A charged guest counts as "
    "candidates.source.charged_guests says; with framework_aluminium it is told against the "
    "framework with protons and the neutral amine (of a quaternary cation an isomer of that "
    "amine): a different reference for each guest, so only energies of the same "
    "guest compare, so directivity and templating do not hold. Energies per T site of pairs with "
    "more T sites a guest (a large guest needs a repeated cell) are diluted. The SA score goes "
    "from 1, easy to make, to 10."
)


def drawn(identifier: str) -> str:
    """What the page draws of a candidate: its guest."""
    return parse_identifier(identifier).guest


def objective_values(
    energies_ev: Mapping[str, np.ndarray],
    calibration: Mapping[str, Any],
    compositions: Mapping[str, Sequence[Sequence[int] | None]],
) -> np.ndarray:
    """Binding energies a guest, eV, of energies by role (…, C); NaN where a species is unknown.

    Args:
        calibration: not needed: energy zeros cancel.
        compositions: role → atomic numbers of each candidate's structures; they tell how many
            guests a complex holds.
    """
    n = guests_a_cell(compositions)
    return np.asarray(
        (energies_ev["complex"] - energies_ev["framework"] - n * energies_ev["guest"]) / n
    )


def guests_a_cell(compositions: Mapping[str, Sequence[Sequence[int] | None]]) -> np.ndarray:
    """(C,) guests in each complex, from the numbers of atoms; NaN where one is unknown.

    Raises:
        ValueError: a complex that is no framework and a whole number of guests.
    """
    counts = []
    for whole, framework, guest in zip(*(compositions[role] for role in ROLES), strict=True):
        if whole is None or framework is None or guest is None:
            counts.append(np.nan)
            continue
        n, rest = divmod(len(whole) - len(framework), len(guest))
        if n < 1 or rest:
            raise ValueError(
                f"{len(whole)} atoms are not {len(framework)} and guests of {len(guest)}"
            )
        counts.append(float(n))
    return np.array(counts, float)


def utility(values: np.ndarray | float, objective: config.Objective) -> np.ndarray:
    """How good binding energies are, eV, higher is better: minus the energy; NaN stays NaN."""
    return -np.asarray(values, float)


def extrapolated(values: np.ndarray, calibration: Mapping[str, Any]) -> np.ndarray:
    """No level is fitted to measured binding energies, so none lies beyond them (bool)."""
    return np.zeros(np.shape(values), dtype=bool)


def labelled_values(
    structures: pd.DataFrame, labels: pd.DataFrame, calibration: Mapping[str, Any]
) -> pd.DataFrame:
    """Observed binding energy of the candidates whose minima are labelled.

    A candidate whose complex is labelled at its docked pose only (origin "built") has no value
    yet. One with a labelled minimum of the committee has the lowest labelled energy of both: any
    of them is an upper bound of the minimum's, and a young committee's minimum may lie above the
    pose it came from. A minimum that is another substance than its pose counts for nothing.

    Args:
        structures: ``structures`` rows; those with a candidate tell which species it has, the
            others count for their species too, whosever rows they are.
        labels: winning ``labels`` rows of one level.

    Returns:
        DataFrame (candidate_id, value, framework_ev_per_t, proton_moved): eV a guest; the energy of
        the empty framework against quartz, eV a T site (NaN with heteroatoms); whether a proton of
        the complex left its place on relaxation; sorted by candidate_id.
    """
    structures, moved = tell_rearranged(structures)
    chosen = _lowest_labelled(structures, labels, BUILT_ORIGINS)
    minima = _lowest_labelled(structures, labels, ("relaxed",))
    known = minima.loc[minima["role"] == "complex", "candidate_id"]
    chosen = chosen[chosen["candidate_id"].isin(known)]
    values = _values(chosen, "energy_ev", calibration)
    frameworks = chosen[chosen["role"] == "framework"].set_index("candidate_id")
    against_quartz = [
        _against_quartz(frameworks.loc[candidate], calibration) for candidate in values.index
    ]
    hopped = chosen.loc[chosen["structure_id"].isin(moved), "candidate_id"]
    return pd.DataFrame(
        {
            "candidate_id": values.index.astype(object),
            "value": values.to_numpy(float),
            "framework_ev_per_t": np.array(against_quartz, float),
            "proton_moved": values.index.isin(hopped),
        }
    )


def judged_geometries(structures: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """``structures`` rows at which the committee meets the labels of a candidate, origin "relaxed".

    Of each role the lowest labelled minimum, of a complex that was labelled at its docked pose only
    that pose: an energy is as good a test anywhere. A minimum that is another substance than its
    pose counts for nothing, as in :func:`labelled_values`. One row for each role of each candidate.
    """
    structures, _ = tell_rearranged(structures)
    minima = _lowest_labelled(structures, labels, ("relaxed",))
    poses = _lowest_labelled(structures, labels, BUILT_ORIGINS)
    rows = pd.concat([minima, poses]).drop_duplicates(["candidate_id", "role"])
    columns = [*structures.columns.drop(["candidate_id", "role", "origin"])]
    return rows[[*columns, "candidate_id", "role"]].assign(origin="relaxed")


def _against_quartz(framework: pd.Series, calibration: Mapping[str, Any]) -> float:
    if set(framework["numbers"]) != {8, 14}:
        return np.nan
    return energy_per_t(framework) - float(calibration.get("quartz_energy_ev_per_t", np.nan))


def _lowest_labelled(
    structures: pd.DataFrame, labels: pd.DataFrame, origins: Sequence[str]
) -> pd.DataFrame:
    """For each candidate and role the lowest labelled geometry of its species, if there is one."""
    owned = structures["candidate_id"].notna() & structures["role"].isin(ROLES)
    needed = structures.loc[owned, ["candidate_id", "role", "species_id"]].drop_duplicates()
    ok = labels.loc[labels["status"] == "ok", ["structure_id", "energy_ev"]]
    known = structures.loc[structures["origin"].isin(origins)].drop_duplicates("structure_id")
    known = known.drop(columns=["candidate_id", "role"]).merge(ok, on="structure_id")
    lowest = known.sort_values(["energy_ev", "structure_id"]).drop_duplicates("species_id")
    return needed.merge(lowest, on="species_id")


def _values(chosen: pd.DataFrame, energy: str, calibration: Mapping[str, Any]) -> pd.Series:
    """Binding energy by candidate_id of those with all roles, sorted."""
    roles = list(ROLES)

    def by_role(column: str) -> pd.DataFrame:
        table = chosen.pivot(index="candidate_id", columns="role", values=column)
        return table.reindex(columns=roles).dropna().sort_index()

    energies = by_role(energy)
    numbers = by_role("numbers").loc[energies.index]
    values = objective_values(
        {role: energies[role].to_numpy(float) for role in roles},
        calibration,
        {role: numbers[role].tolist() for role in roles},
    )
    return pd.Series(values, energies.index, dtype=float)
