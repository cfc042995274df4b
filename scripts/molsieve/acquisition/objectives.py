"""What acquisition asks of a domain's objective, found beside its config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, cast

import numpy as np
import pandas as pd

from molsieve.objective import domain_module
from molsieve.section import Section


class DomainObjective(Protocol):
    """What acquisition and ranking use of ``molsieve/domains/<name>/objective.py``."""

    NAME: str
    UNIT: str
    ROLES: tuple[str, ...]

    def utility(self, values: np.ndarray, objective: Any) -> np.ndarray:
        """How good values are, higher is better; NaN stays NaN."""

    def extrapolated(self, values: np.ndarray, calibration: Mapping[str, Any]) -> np.ndarray:
        """Which values lie beyond the measured ones that their level was fitted to (bool)."""

    def labelled_values(
        self, structures: pd.DataFrame, labels: pd.DataFrame, calibration: Mapping[str, Any]
    ) -> pd.DataFrame:
        """(candidate_id, value) of the candidates whose relaxed structures are labelled."""


def domain_name(objective: Section) -> str:
    """The domain whose config ``objective`` is a section of."""
    return type(objective).__module__.split(".")[-2]


def domain_objective(objective: Section) -> DomainObjective:
    """The objective module of that domain."""
    return cast(DomainObjective, domain_module(domain_name(objective)))


def with_domain_columns(
    table: pd.DataFrame, predictions: pd.DataFrame, built: pd.DataFrame, objective: Section
) -> pd.DataFrame:
    """``table`` with what its domain tells beside the objective, if it does (``ranking_columns``).

    The domain is given the members' predictions and the atoms of each candidate's built framework.
    """
    columns = getattr(domain_objective(objective), "ranking_columns", None)
    if columns is None or table.empty:
        return table
    by_id = predictions.drop_duplicates("candidate_id").set_index("candidate_id")["members"]
    told = by_id.reindex(table["candidate_id"]).tolist()
    size = max((len(m) for m in told if isinstance(m, list | np.ndarray)), default=2)
    unknown = np.full(size, np.nan)
    members = np.array([m if isinstance(m, list | np.ndarray) else unknown for m in told], float).T
    frameworks = built[built["role"] == "framework"].drop_duplicates("candidate_id")
    numbers = frameworks.set_index("candidate_id")["numbers"].reindex(table["candidate_id"])
    own = columns(table, members, [n if len(np.atleast_1d(n)) > 1 else None for n in numbers])
    return table.drop(columns=own.columns, errors="ignore").join(own)
