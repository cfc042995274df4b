"""What every level of theory is checked against: quartz, measured frameworks, free atoms."""

from __future__ import annotations

from importlib import resources

import pandas as pd

from molsieve.crystals.framework import FrameworkError
from molsieve.domains.zeolite import config
from molsieve.domains.zeolite.building import FrameworkTask
from molsieve.domains.zeolite.folders import cif_paths
from molsieve.domains.zeolite.frameworks import load_framework
from molsieve.section import CampaignError

QUARTZ = "quartz"
REFERENCE_CELL_ANGSTROM = 7.5
"""Least width of the cells of quartz and the measured frameworks."""


def measured_systems() -> pd.DataFrame:
    """Measured enthalpies of transition from quartz: name, enthalpy_kj_per_mol, error, source.

    At 298 K, per mole of SiO2. ``status`` read: seen in the source named; recalled: from memory.
    """
    with resources.files(__package__).joinpath("frameworks.csv").open() as lines:
        return pd.read_csv(lines)


def measured_elements(objective: config.Objective) -> set[str]:
    """Elements of quartz and the measured frameworks.

    Raises:
        CampaignError: a framework that is not measured, or cannot be read.
    """
    symbols = {"Si", "O"}
    for task in reference_tasks(objective, 0.05, 0).values():
        try:
            found = load_framework(task.code, task.path, task.min_cell_angstrom)
        except (FrameworkError, OSError, ValueError) as error:
            raise CampaignError(f"objective.reference_frameworks: {task.code}: {error}") from error
        symbols |= set(found.atoms.get_chemical_symbols())
    return symbols


def reference_tasks(
    objective: config.Objective, fmax_ev_per_angstrom: float, max_steps: int
) -> dict[str, FrameworkTask]:
    """By name, quartz first: the frameworks that every level labels.

    Raises:
        CampaignError: a framework without a measured enthalpy or without a file.
    """
    known = set(measured_systems()["name"])
    paths = {path.stem: str(path) for path in cif_paths(objective.reference_folder, None)}
    files: dict[str, str | None] = {QUARTZ: None}
    for index, code in enumerate(objective.reference_frameworks):
        key = f"objective.reference_frameworks[{index}]"
        if code not in known:
            raise CampaignError(
                f"{key}: no measured enthalpy of {code!r}; allowed: {', '.join(sorted(known))}"
            )
        if objective.reference_folder is not None and code not in paths:
            raise CampaignError(f"{key}: no {code}.cif in {objective.reference_folder!r}")
        if objective.reference_folder is None and code not in config.KNOWN:
            raise CampaignError(
                f"{key}: {code!r} is not typed in; give objective.reference_folder, a folder that "
                f"has {code}.cif"
            )
        files[code] = paths.get(code)
    return {
        name: FrameworkTask(
            name, path, REFERENCE_CELL_ANGSTROM, "pure", fmax_ev_per_angstrom, max_steps
        )
        for name, path in files.items()
    }
