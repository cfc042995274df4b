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

    def utility(self, values: np.ndarray, objective: Any) -> np.ndarray:
        """How good values are, higher is better; NaN stays NaN."""

    def extrapolated(self, values: np.ndarray, calibration: Mapping[str, Any]) -> np.ndarray:
        """Which values lie beyond the measured ones that their level was fitted to (bool)."""

    def labelled_values(
        self, structures: pd.DataFrame, labels: pd.DataFrame, calibration: Mapping[str, Any]
    ) -> pd.DataFrame:
        """(candidate_id, value) of the candidates whose relaxed structures are labelled."""


def domain_objective(objective: Section) -> DomainObjective:
    """The objective module of the domain whose config ``objective`` is a section of."""
    domain = type(objective).__module__.split(".")[-2]
    return cast(DomainObjective, domain_module(domain))
