"""From members' energies of a candidate's species to arrays of the domain's objective.

A domain's own arithmetic is in ``molsieve/domains/<name>/objective.py``: NAME, UNIT, ROLES and
``objective_values`` of its species' energies. Whatever is asked here is answered member by member:
the spread of an objective comes from the members' own values, never from summed spreads, because
the errors of a candidate's species are correlated.

What else a domain may say of its species there, and what is so where it says nothing:

==================== ==========================================================================
``SHARED_ROLES``     roles whose species many candidates share (an empty framework): labelled
                     once, always trained on. None.
``POSES``            a species may have several built structures, its energy is the lowest
                     minimum's. False: the first one counts.
``HOSTED``           roles of a complex and of the host that its atoms begin with: the empty host is
                     relaxed from its complexes' minima too. None.
``LABELS_MINIMA``    built structures are far from minima: after the first round the committee's
                     minima are labelled, and only they tell a candidate's value. False.
``OBJECTIVES``       :class:`Objective` by objective, in place of NAME and UNIT: the domain has
                     several, ``objective_values`` and ``labelled_values`` give each by its name,
                     and a campaign's ``objective.goals`` say which way of each is better. None.
``PROPERTIES``       what the committee tells of a structure beside its energy, of which
                     ``objective_values`` is given the members' values. None.
==================== ==========================================================================
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Objective:
    """A quantity of a candidate that is predicted, and how the page shows it."""

    name: str
    unit: str
    heading: str = ""
    decimals: int = 3


def domain_module(domain: str) -> ModuleType:
    """``molsieve.domains.<domain>.objective``."""
    return importlib.import_module(f"molsieve.domains.{domain}.objective")


def objectives(domain: str) -> tuple[Objective, ...]:
    """What a domain predicts of a candidate: its OBJECTIVES, else the one that NAME names."""
    module = domain_module(domain)
    several: tuple[Objective, ...] | None = getattr(module, "OBJECTIVES", None)
    return (Objective(module.NAME, module.UNIT),) if several is None else several


def has_several(domain: str) -> bool:
    """Whether a domain names its objectives in OBJECTIVES, so that tables tell them apart."""
    return hasattr(domain_module(domain), "OBJECTIVES")


def properties(domain: str) -> tuple[str, ...]:
    """What the committee must tell of a structure beside its energy."""
    return tuple(getattr(domain_module(domain), "PROPERTIES", ()))


def species_roles(domain: str) -> tuple[str, ...]:
    """Roles of the species an objective needs, in order."""
    roles: tuple[str, ...] = domain_module(domain).ROLES
    return roles


def shared_roles(domain: str) -> tuple[str, ...]:
    """Roles whose species belong to many candidates."""
    return tuple(getattr(domain_module(domain), "SHARED_ROLES", ()))


def has_poses(domain: str) -> bool:
    """Whether a species may have several built structures, the lowest of which counts."""
    return bool(getattr(domain_module(domain), "POSES", False))


def hosted_roles(domain: str) -> tuple[str, str] | None:
    """Roles of a complex and its host, where a domain has them."""
    roles: tuple[str, str] | None = getattr(domain_module(domain), "HOSTED", None)
    return roles


def labels_minima(domain: str) -> bool:
    """Whether rounds after the first label the committee's minima."""
    return bool(getattr(domain_module(domain), "LABELS_MINIMA", False))


def member_values(
    domain: str,
    energies_ev: Mapping[str, np.ndarray],
    level_calibration: Mapping[str, Any],
    compositions: Mapping[str, Sequence[Sequence[int] | None]] | None = None,
    properties: Mapping[str, Mapping[str, np.ndarray]] | None = None,
) -> dict[str, np.ndarray]:
    """The objectives as each member sees them.

    Args:
        energies_ev: role → (M, C) energies of M members for C candidates, eV; NaN where unknown.
        level_calibration: the level's ``calibration.json``.
        compositions: role → atomic numbers of each of the C candidates' structures, None where
            there is none; a domain whose objective counts atoms needs them.
        properties: role → name → (M, C), of a domain that names PROPERTIES.

    Returns:
        Objective → (M, C), in its unit.
    """
    energies = {role: np.asarray(energies_ev[role], float) for role in species_roles(domain)}
    values_of = domain_module(domain).objective_values
    if has_several(domain):
        several = values_of(energies, level_calibration, compositions or {}, properties or {})
        return {o.name: np.asarray(several[o.name]) for o in objectives(domain)}
    (only,) = objectives(domain)
    return {only.name: np.asarray(values_of(energies, level_calibration, compositions or {}))}


def labelled_values(
    domain: str,
    structures: pd.DataFrame,
    labels: pd.DataFrame,
    level_calibration: Mapping[str, Any],
) -> pd.DataFrame:
    """(candidate_id, value) of candidates all of whose relaxed species have an ok label.

    Of a domain with several objectives (candidate_id, objective …): a column each.
    """
    frame: pd.DataFrame = domain_module(domain).labelled_values(
        structures, labels, level_calibration
    )
    return frame


def judged_geometries(domain: str, structures: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Of a domain that labels minima: the ``structures`` rows at which labels and committee meet.

    One row for each role of each candidate all of whose roles are labelled; origin "relaxed".
    """
    frame: pd.DataFrame = domain_module(domain).judged_geometries(structures, labels)
    return frame


def mean_and_spread(members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(M, C) → mean (C,) and standard deviation over members (C,), one degree of freedom less."""
    return members.mean(axis=0), members.std(axis=0, ddof=1)
