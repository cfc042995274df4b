"""The candidates a round can choose from, and what earlier choices did to them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from molsieve.acquisition.budget import candidate_cost
from molsieve.acquisition.diversity import unpack_fingerprints
from molsieve.campaign import Acquisition
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
    | ``structure_ids`` | C sets | identities of each candidate's relaxed structures |
    """

    candidate_ids: np.ndarray
    groups: np.ndarray
    fingerprints: np.ndarray
    rows: list[list[int]]
    structures: pd.DataFrame
    structure_ids: list[frozenset[str]]

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
        """(C,) labels that each candidate costs."""
        return candidate_cost(self.species_counts, settings)


def build_pool(candidates: pd.DataFrame, species: pd.DataFrame, structures: pd.DataFrame) -> Pool:
    """The candidates that can be labelled whole; the order of the tables does not matter.

    A candidate with a species that has no relaxed structure (its building failed) is left out.

    Args:
        candidates, species, structures: rows of all shards, of these contracts.
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
    rows = [list(found[candidate].values()) for candidate in chosen["candidate_id"]]
    ids = relaxed["structure_id"].tolist()
    return Pool(
        chosen["candidate_id"].to_numpy(object),
        chosen["group"].where(chosen["group"].notna(), chosen["candidate_id"]).to_numpy(object),
        unpack_fingerprints(chosen["fingerprint"].tolist()),
        rows,
        relaxed,
        [frozenset(ids[row] for row in of) for of in rows],
    )


def relaxed_structures(structures: pd.DataFrame) -> pd.DataFrame:
    """One relaxed structure for each (candidate, role), sorted so; the first conformer counts."""
    relaxed = structures.loc[
        (structures["origin"] == "relaxed") & structures["candidate_id"].notna()
    ].sort_values(["candidate_id", "role", "conformer", "structure_id"])
    return relaxed.drop_duplicates(["candidate_id", "role"]).reset_index(drop=True)


@dataclass(frozen=True)
class History:
    """What has been chosen so far; groups and structures never cross from training to held out."""

    structures: frozenset[str]
    candidates: frozenset[str]
    train_groups: frozenset[str]
    held_out_groups: dict[str, str]
    held_out_structures: frozenset[str]

    @classmethod
    def of(cls, selections: pd.DataFrame) -> History:
        """Read off ``selection`` rows; a distorted candidate trains, but is not itself chosen."""
        held_out = selections["split"].isin(HELD_OUT)
        chosen = selections.loc[~selections["reason"].isin(DISTORTED), "candidate_id"].dropna()
        return cls(
            frozenset(selections["structure_id"]),
            frozenset(chosen),
            frozenset(selections.loc[~held_out, "group"]),
            dict(zip(*(selections.loc[held_out, c] for c in ("group", "split")), strict=True)),
            frozenset(selections.loc[held_out, "structure_id"]),
        )

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
