"""From members' energies of a candidate's species to arrays of the domain's objective.

A domain's own arithmetic is in ``molsieve/domains/<name>/objective.py``: NAME, UNIT, ROLES and
``objective_values`` of its species' energies. Whatever is asked here is answered member by member:
the spread of an objective comes from the members' own values, never from summed spreads, because
the errors of a candidate's species are correlated.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd


def domain_module(domain: str) -> ModuleType:
    """``molsieve.domains.<domain>.objective``."""
    return importlib.import_module(f"molsieve.domains.{domain}.objective")


def objective_name(domain: str) -> tuple[str, str]:
    """Name and unit of a domain's objective."""
    module = domain_module(domain)
    return module.NAME, module.UNIT


def species_roles(domain: str) -> tuple[str, ...]:
    """Roles of the species an objective needs, in order."""
    roles: tuple[str, ...] = domain_module(domain).ROLES
    return roles


def member_values(
    domain: str, energies_ev: Mapping[str, np.ndarray], level_calibration: Mapping[str, Any]
) -> np.ndarray:
    """The objective as each member sees it.

    Args:
        energies_ev: role → (M, C) energies of M members for C candidates, eV; NaN where unknown.
        level_calibration: the level's ``calibration.json``.

    Returns:
        (M, C), in the objective's unit.
    """
    arguments = [np.asarray(energies_ev[role], float) for role in species_roles(domain)]
    return np.asarray(domain_module(domain).objective_values(*arguments, level_calibration))


def labelled_values(
    domain: str,
    structures: pd.DataFrame,
    labels: pd.DataFrame,
    level_calibration: Mapping[str, Any],
) -> pd.DataFrame:
    """(candidate_id, value) of candidates all of whose relaxed species have an ok label."""
    frame: pd.DataFrame = domain_module(domain).labelled_values(
        structures, labels, level_calibration
    )
    return frame


def mean_and_spread(members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(M, C) → mean (C,) and standard deviation over members (C,), one degree of freedom less."""
    return members.mean(axis=0), members.std(axis=0, ddof=1)
