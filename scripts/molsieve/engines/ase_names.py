"""Whether a level of a program of your own can work: command, pseudopotentials, parameters."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import ase
import numpy as np

from molsieve.engines.ase_programs import PROGRAMS, vasp
from molsieve.engines.program_folder import ProgramFolder
from molsieve.levels import AseLevel
from molsieve.section import CampaignError


def check_level(level: AseLevel, elements: set[str]) -> None:
    """Refuse a level whose program or pseudopotentials are not here, or that says a thing twice.

    Raises:
        CampaignError: key, value, what is allowed, what to do.
    """
    command = shlex.split(level.command)
    if not command or shutil.which(command[0]) is None:
        raise CampaignError(
            f"command: {level.command!r} is not found on PATH; load the program's module before "
            "you start, or give its whole path"
        )
    folder = Path(level.pseudopotential_folder)
    if not folder.is_dir():
        raise CampaignError(
            f"pseudopotential_folder: {level.pseudopotential_folder!r} is not a folder here"
        )
    _check_parameters(level)
    if level.calculator == "quantum-espresso":
        _check_files(level, folder, elements)
    else:
        _check_potcars(level, elements)


def _check_parameters(level: AseLevel) -> None:
    own = PROGRAMS[level.calculator].own
    given = dict(level.parameters)
    if level.calculator == "quantum-espresso":
        if wrong := [name for name, values in given.items() if not isinstance(values, dict)]:
            raise CampaignError(
                f"parameters: {', '.join(wrong)} given; allowed: sections of pw.x with their "
                "keys, e.g. system: {ecutwfc: 60}"
            )
        if "ecutwfc" not in given.get("system", {}):
            raise CampaignError("parameters: system.ecutwfc is missing; pw.x has no default for it")
        given = {key: value for values in given.values() for key, value in values.items()}
    if taken := sorted(set(given) & set(own)):
        raise CampaignError(
            f"parameters: {', '.join(taken)} given, which follow from the structure or from other "
            "keys of the level (k_points, charged_cells, pseudopotentials); leave them out"
        )


def _check_files(level: AseLevel, folder: Path, elements: set[str]) -> None:
    if lacking := sorted(elements - set(level.pseudopotentials)):
        raise CampaignError(
            f"pseudopotentials: no file for {', '.join(lacking)}; give one for every element of "
            "the candidates, e.g. Si: Si.pbe-n-kjpaw_psl.1.0.0.UPF"
        )
    for element in sorted(elements):
        if not (folder / level.pseudopotentials[element]).is_file():
            raise CampaignError(
                f"pseudopotentials: {level.pseudopotentials[element]!r} ({element}) is not a file "
                f"of {folder}"
            )


def _check_potcars(level: AseLevel, elements: set[str]) -> None:
    """ASE looks for them as it will at the calculation: under a folder named after ``xc``."""
    atoms = ase.Atoms(sorted(elements), positions=np.arange(3.0 * len(elements)).reshape(-1, 3))
    folder = ProgramFolder()
    try:
        vasp(level, atoms, 0, 1, folder, {}).initialize(atoms)
    except (RuntimeError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CampaignError(
            f"pseudopotential_folder: ASE finds no POTCAR of every element, or refuses "
            f"parameters: {' '.join(str(error).split())}"
        ) from error
    finally:
        folder.remove()
