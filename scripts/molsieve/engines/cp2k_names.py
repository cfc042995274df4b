"""Whether a CP2K level can work: its program, basis sets and pseudopotentials by name."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path

from molsieve import programs
from molsieve.levels import Cp2kLevel
from molsieve.section import CampaignError

DATA_FOLDERS = ("/usr/share/cp2k", "/usr/share/cp2k/data", "/usr/local/share/cp2k/data")
D3_FUNCTIONALS = {"PBE", "PBE0", "REVPBE", "PBESOL", "RPBE", "BLYP", "B3LYP", "BP", "TPSS", "SCAN"}
"""ASSUME: those of dftd3.dat that are functionals of CP2K's by one name, too."""


def data_folder() -> Path | None:
    """CP2K's basis sets and pseudopotentials: ``CP2K_DATA_DIR``, else where packages put them."""
    given = os.environ.get("CP2K_DATA_DIR")
    folders = [given] if given else DATA_FOLDERS
    return next((Path(folder) for folder in folders if Path(folder).is_dir()), None)


def check_level(level: Cp2kLevel, elements: set[str]) -> None:
    """Refuse a level without its program, or without a basis set or potential of an element.

    Where this machine has no CP2K (a login node without its module) and the level says which
    version computes it, names are left to the calculation.

    Raises:
        CampaignError: key, value, what is allowed, nearest names.
    """
    command = programs.cp2k_command()
    if command is None and level.version is None:
        raise CampaignError(
            "version: null, and there is no cp2k_shell on PATH to ask; allowed: the version of the "
            "CP2K that will compute this level, e.g. 2023.1, or install CP2K here (Debian: apt-get "
            "install cp2k)"
        )
    if command is not None and level.version not in (None, found := programs.cp2k_version()):
        raise CampaignError(f"version: {level.version!r} given, but the CP2K on PATH is {found}")
    if level.dispersion != "none" and level.functional.upper() not in D3_FUNCTIONALS:
        raise CampaignError(
            f"dispersion: {level.dispersion!r} has no parameters for {level.functional}; allowed "
            f"with it: none; with dispersion: {', '.join(sorted(D3_FUNCTIONALS))}"
        )
    folder = data_folder()
    if folder is not None:
        _check_entry(folder, "basis_file", level.basis_file, "basis", level.basis, elements)
        _check_entry(
            folder, "potential_file", level.potential_file, "potential", level.potential, elements
        )


def _check_entry(
    folder: Path, file_key: str, file: str, key: str, name: str, elements: set[str]
) -> None:
    path = Path(file) if Path(file).is_absolute() else folder / file
    if not path.exists():
        near = difflib.get_close_matches(file, [p.name for p in folder.iterdir()], n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise CampaignError(f"{file_key}: {file!r} is not a file of {folder}{hint}")
    names = _names(path)
    known = {entry for entries in names.values() for entry in entries}
    if name.upper() not in known:
        near = difflib.get_close_matches(name.upper(), sorted(known), n=3)
        hint = f"; near: {', '.join(near)}" if near else ""
        raise CampaignError(f"{key}: {name!r} is not in {path}{hint}")
    lacking = sorted(e for e in elements if name.upper() not in names.get(e.upper(), set()))
    if lacking:
        raise CampaignError(
            f"{key}: {name!r} has nothing for {', '.join(lacking)} in {path}; leave these "
            f"elements out of the candidates or choose another {key}"
        )


def _names(path: Path) -> dict[str, set[str]]:
    """Names of a basis set or pseudopotential file by element, all in capitals."""
    names: dict[str, set[str]] = {}
    for line in path.read_text(errors="replace").splitlines():
        words = line.split("#")[0].split()
        if len(words) > 1 and re.fullmatch("[A-Za-z]{1,2}", words[0]):
            names.setdefault(words[0].upper(), set()).update(word.upper() for word in words[1:])
    return names
