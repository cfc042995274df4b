"""The candidates a round can choose from, and what earlier choices did to them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from molsieve.acquisition.budget import candidate_cost
from molsieve.acquisition.diversity import unpack_fingerprints
from molsieve.campaign import Acquisition
from molsieve.chem.identities import BUILT_ORIGINS
from molsieve.geometry_settings import DISTORTED

HELD_OUT = ("calibration", "test")
"""Splits whose labels never train."""


@dataclass(frozen=True)
class Pool:
    """Accepted candidates whose every species has a relaxed structure, sorted by candidate_id.

    | field | shape | meaning |
    |---|---|---|
    | ``candidate_ids``, ``groups`` | (C,) | text |
    | ``fingerprints`` | (C, W) | packed fingerprints |
    | ``rows`` | C lists | which rows of ``structures`` are each candidate's, one a role |
    | ``structures`` | table | relaxed structures |
    | ``structure_ids`` | C sets | identities of each candidate's own structures |
    | ``shared_roles`` | text | roles of species that belong to many candidates |

    A shared species (an empty framework) is paid for once, always trains, and never keeps a
    candidate from being held out: what a candidate adds to it is what is predicted.
    """

    candidate_ids: np.ndarray
    groups: np.ndarray
    fingerprints: np.ndarray
    rows: list[list[int]]
    structures: pd.DataFrame
    structure_ids: list[frozenset[str]]
    shared_roles: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.candidate_ids)

    @property
    def species_counts(self) -> np.ndarray:
        """(C,) species of each candidate."""
        return np.array([len(rows) for rows in self.rows], dtype=int)

    def holds(self, candidate_ids: Iterable[str]) -> np.ndarray:
        """(C,) whether each candidate is one of these (np.isin would be quadratic for text)."""
        return pd.Index(self.candidate_ids, dtype=object).isin(list(candidate_ids))

    def costs(self, settings: Acquisition) -> np.ndarray:
        """(C,) labels that each candidate costs, shared species left out."""
        return candidate_cost(np.array([len(ids) for ids in self.structure_ids], int), settings)

    def costs_in_order(
        self, indices: np.ndarray, settings: Acquisition, paid: Iterable[str] = ()
    ) -> np.ndarray:
        """(P,) labels of each candidate after those before it: a shared species costs once.

        Args:
            indices: (P,) candidates in the order they are chosen in.
            paid: structures that have been chosen already.
        """
        known, costs = set(paid), self.costs(settings)[indices]
        for place, index in enumerate(indices):
            new = self._shared_ids(index) - known
            costs[place] += int(candidate_cost(np.array(len(new)), settings))
            known |= new
        return costs

    def _shared_ids(self, index: int) -> set[str]:
        if not self.shared_roles:
            return set()
        return {self._all_ids[row] for row in self.rows[index]} - self.structure_ids[index]

    @cached_property
    def _all_ids(self) -> list[str]:
        """structure_id of each row of ``structures``, read off once: 10^5 times takes hours."""
        return list(self.structures["structure_id"])


def build_pool(
    candidates: pd.DataFrame,
    species: pd.DataFrame,
    structures: pd.DataFrame,
    shared_roles: tuple[str, ...] = (),
) -> Pool:
    """The candidates that can be labelled whole; the order of the tables does not matter.

    A candidate with a species that has no built structure (its building failed) is left out.

    Args:
        candidates, species, structures: rows of all shards, of these contracts.
        shared_roles: of the domain's objective.
    """
    accepted = candidates.loc[candidates["status"] == "accepted"].sort_values("candidate_id")
    roles: dict[str, set[str]] = {}
    for candidate, role in _pairs(species.dropna(subset=["candidate_id"]), "role"):
        roles.setdefault(candidate, set()).add(role)
    relaxed = relaxed_structures(structures)
    found: dict[str, dict[str, int]] = {}
    for row, (candidate, role) in enumerate(_pairs(relaxed, "role")):
        found.setdefault(candidate, {})[role] = row
    whole = [c in roles and roles[c] == set(found.get(c, ())) for c in accepted["candidate_id"]]
    chosen = accepted.loc[np.array(whole, dtype=bool)]
    same = _one_row_a_species(relaxed, shared_roles)
    rows = [
        [same.get(row, row) for row in found[candidate].values()]
        for candidate in chosen["candidate_id"]
    ]
    ids, role_of = relaxed["structure_id"].tolist(), relaxed["role"].tolist()
    return Pool(
        chosen["candidate_id"].to_numpy(object),
        chosen["group"].where(chosen["group"].notna(), chosen["candidate_id"]).to_numpy(object),
        unpack_fingerprints(chosen["fingerprint"].tolist()),
        rows,
        relaxed,
        [frozenset(ids[row] for row in of if role_of[row] not in shared_roles) for of in rows],
        shared_roles,
    )


def _one_row_a_species(relaxed: pd.DataFrame, shared_roles: tuple[str, ...]) -> dict[int, int]:
    """Which row stands for each row of a shared species, the one of the smallest structure_id.

    Prediction jobs relax a shared guest from the same conformers, so its minima are one but for
    rounding, and are not to be labelled several times; a host is in one job whole. Energies of
    minima are not among the tables of a round, so a lower one could not be told.
    """
    shared = relaxed.loc[relaxed["role"].isin(shared_roles), ["species_id", "structure_id"]]
    first = shared.sort_values("structure_id").drop_duplicates("species_id")
    standing = dict(zip(first["species_id"], first.index.tolist(), strict=True))
    pairs = zip(shared.index.tolist(), shared["species_id"].tolist(), strict=True)
    return {row: standing[species] for row, species in pairs}


def relaxed_structures(structures: pd.DataFrame) -> pd.DataFrame:
    """One built structure for each (candidate, role), sorted so; the first conformer counts."""
    relaxed = structures.loc[
        structures["origin"].isin(BUILT_ORIGINS) & structures["candidate_id"].notna()
    ].sort_values(["candidate_id", "role", "conformer", "structure_id"])
    return relaxed.drop_duplicates(["candidate_id", "role"]).reset_index(drop=True)


def chosen_rows(selections: pd.DataFrame, labels_minima: bool) -> pd.Series:
    """Which ``selection`` rows chose their candidate, to know its value (bool)."""
    chosen = ~selections["reason"].isin(DISTORTED)
    return chosen & (selections["round"] > 0) if labels_minima else chosen


@dataclass(frozen=True)
class History:
    """What has been chosen so far; groups and structures never cross from training to held out."""

    structures: frozenset[str]
    candidates: frozenset[str]
    train_groups: frozenset[str]
    held_out_groups: dict[str, str]
    held_out_structures: frozenset[str]

    @classmethod
    def of(cls, selections: pd.DataFrame, labels_minima: bool = False) -> History:
        """Read off ``selection`` rows; a distorted candidate trains, but is not itself chosen.

        Args:
            labels_minima: one whose built structure was labelled (in round 0) is not chosen yet:
                its minimum is still to be labelled.
        """
        held_out = selections["split"].isin(HELD_OUT)
        chosen = selections.loc[chosen_rows(selections, labels_minima), "candidate_id"].dropna()
        return cls(
            frozenset(selections["structure_id"]),
            frozenset(chosen),
            frozenset(selections.loc[~held_out, "group"]),
            dict(zip(*(selections.loc[held_out, c] for c in ("group", "split")), strict=True)),
            frozenset(selections.loc[held_out, "structure_id"]),
        )

    def again(self, candidate_ids: Iterable[str]) -> History:
        """As if these candidates were not chosen yet; their groups stay in their splits."""
        return replace(self, candidates=self.candidates - frozenset(candidate_ids))

    def may_be_held_out(self, pool: Pool) -> np.ndarray:
        """(C,) candidates never chosen, of whose group and structures nothing trains."""
        trained = self.structures - self.held_out_structures
        return self._open(pool, self.train_groups, trained)

    def may_train(self, pool: Pool) -> np.ndarray:
        """(C,) candidates never chosen, of whose group and structures nothing is held out."""
        return self._open(pool, self.held_out_groups.keys(), self.held_out_structures)

    def _open(self, pool: Pool, groups: Collection[str], structures: frozenset[str]) -> np.ndarray:
        return np.array(
            [
                candidate not in self.candidates
                and group not in groups
                and structures.isdisjoint(ids)
                for candidate, group, ids in zip(
                    pool.candidate_ids, pool.groups, pool.structure_ids, strict=True
                )
            ],
            dtype=bool,
        )


def _pairs(frame: pd.DataFrame, column: str) -> zip:
    return zip(frame["candidate_id"].tolist(), frame[column].tolist(), strict=True)
