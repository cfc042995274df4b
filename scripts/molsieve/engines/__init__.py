"""Levels of theory: one function that turns a structure and a level into a label.

Importing this package is cheap; an engine is imported when one of its levels is used.

Adding an engine: a level in ``levels.py`` and a module here with a class of the shape of
:class:`molsieve.engines.base.Engine` and a ``check_level``, named in :func:`open_engine` and
:func:`check_level`.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
from typing import TYPE_CHECKING

from molsieve.engines.base import CalculationError, Engine, Label
from molsieve.levels import (
    ENGINE_DISTRIBUTIONS,
    AseLevel,
    Cp2kLevel,
    Level,
    TbliteLevel,
    program_version,
)

if TYPE_CHECKING:
    import ase

__all__ = [
    "CalculationError",
    "Engine",
    "Label",
    "check_level",
    "compute_label",
    "engine_version",
    "open_engine",
]


def open_engine(level: Level) -> Engine:
    """The engine of a level, for single points of one or many structures."""
    if isinstance(level, TbliteLevel):
        from molsieve.engines.tblite import TbliteEngine

        return TbliteEngine(level)
    if isinstance(level, Cp2kLevel):
        from molsieve.engines.cp2k import Cp2kEngine

        return Cp2kEngine(level)
    if isinstance(level, AseLevel):
        from molsieve.engines.ase_engine import AseEngine

        return AseEngine(level)
    from molsieve.engines.pyscf import PyscfEngine

    return PyscfEngine(level)


def compute_label(atoms: ase.Atoms, level: Level) -> Label:
    """Compute ``atoms`` at ``level``, its geometry relaxed first where the level says so.

    ``atoms.info`` holds ``charge_e`` and ``multiplicity``; ``atoms`` is left as it is.

    Raises:
        CalculationError: the calculation gave no label, with the reason.
    """
    if level.geometry == "single_point":
        return open_engine(level).compute(atoms)
    from molsieve.engines.ase_calculator import optimise

    relaxed, label = optimise(atoms, level)
    return dataclasses.replace(label, final_positions_angstrom=relaxed.get_positions())


def check_level(level: Level, elements: set[str]) -> None:
    """Refuse a level that cannot work for ``elements`` (symbols), before anything is queued.

    The presence of a GPU is not checked: a campaign is checked on a login node.

    Raises:
        CampaignError: key, value, what is allowed, nearest names.
    """
    if isinstance(level, TbliteLevel):
        from molsieve.engines.tblite import check_level as check
    elif isinstance(level, Cp2kLevel):
        from molsieve.engines.cp2k_names import check_level as check  # type: ignore[assignment]
    elif isinstance(level, AseLevel):
        from molsieve.engines.ase_names import check_level as check  # type: ignore[assignment]
    else:
        from molsieve.engines.pyscf_names import check_level as check  # type: ignore[assignment]
    check(level, elements)  # type: ignore[arg-type]


def engine_version(level: Level) -> str:
    """Version of the program behind a level, e.g. ``0.8.0``.

    Raises:
        ImportError: it is not on this machine.
    """
    if isinstance(level, Cp2kLevel | AseLevel):
        version = program_version(level)
        if version == "absent":
            raise ImportError(f"no {level.engine} on PATH, and the level names no version")
        return version
    return importlib.metadata.version(ENGINE_DISTRIBUTIONS[level.engine][0])
