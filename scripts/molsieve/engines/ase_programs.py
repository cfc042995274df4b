"""Quantum ESPRESSO and VASP: how ASE is asked for them, what they say, how their SCF is helped."""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase
from ase.calculators.espresso import Espresso, EspressoProfile
from ase.calculators.vasp import Vasp

from molsieve.engines.program_folder import ProgramFolder
from molsieve.levels import AseLevel

Gentler = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Program:
    """What must be known of a program: how it is asked, and what it says.

    ``steps`` is its recovery ladder: settings of the SCF's search, never of its equations, that
    are put on top of the level's own at each step.
    """

    calculator: Callable[[AseLevel, ase.Atoms, int, int, ProgramFolder, Gentler], Any]
    output: str
    not_converged: str
    version: str
    """Regular expression; its group is the version."""
    error: str
    """Regular expression; its group are the program's own words."""
    steps: tuple[Gentler, ...]
    own: tuple[str, ...]
    """Parameters that follow from the structure or the level's other keys."""
    box_times: float = 1.0


def _on_top(settings: dict[str, Any], gentler: Gentler) -> dict[str, Any]:
    """A step's settings over the level's; the larger limit of cycles counts."""
    both = {**settings, **gentler}
    for key in ("electron_maxstep", "nelm"):
        if key in settings and key in gentler:
            both[key] = max(settings[key], gentler[key])
    return both


def _espresso(
    level: AseLevel,
    atoms: ase.Atoms,
    charge: int,
    multiplicity: int,
    folder: ProgramFolder,
    gentler: Gentler,
) -> Espresso:
    sections = {name: dict(values) for name, values in level.parameters.items()}
    periodic = bool(atoms.pbc.all())
    control = sections.setdefault("control", {})
    control |= {"tprnfor": True, "tstress": periodic, "disk_io": "none", "outdir": "."}
    system = sections.setdefault("system", {})
    if charge:
        system["tot_charge"] = charge
    if multiplicity > 1:
        system |= {"nspin": 2, "tot_magnetization": multiplicity - 1}
    if not periodic:
        system["assume_isolated"] = "mt"
    electrons = _on_top({"conv_thr": 1e-8, **sections.get("electrons", {})}, gentler)
    used = sorted(set(atoms.get_chemical_symbols()))
    return Espresso(
        profile=EspressoProfile(
            command=shlex.join(folder.words(shlex.split(level.command))),
            pseudo_dir=Path(level.pseudopotential_folder).resolve(),
        ),
        directory=folder.path,
        input_data={**sections, "electrons": electrons},
        pseudopotentials={element: level.pseudopotentials[element] for element in used},
        kpts=level.k_points if periodic else None,
    )


def vasp(
    level: AseLevel,
    atoms: ase.Atoms,
    charge: int,
    multiplicity: int,
    folder: ProgramFolder,
    gentler: Gentler,
) -> Vasp:
    """The calculator; a mesh that holds Γ."""
    # ASE knows no other way to say where they are.
    os.environ["VASP_PP_PATH"] = str(Path(level.pseudopotential_folder).resolve())
    keys = _on_top({"ediff": 1e-6, "lreal": False, **level.parameters}, gentler)
    keys |= {"ibrion": -1, "nsw": 0, "isif": 2, "lwave": False, "lcharg": False}
    if charge:
        keys["charge"] = charge
    if multiplicity > 1:
        keys |= {"ispin": 2, "nupdown": multiplicity - 1}
    return Vasp(
        directory=str(folder.path),
        command=folder.shell_line(shlex.split(level.command)),
        setups=dict(level.pseudopotentials) or None,
        kpts=level.k_points or (1, 1, 1),
        gamma=True,
        **keys,
    )


PROGRAMS = {
    "quantum-espresso": Program(
        _espresso,
        output="espresso.pwo",
        not_converged="convergence NOT achieved",
        version=r"Program PWSCF v\.(\S+)",
        error=r"%%%+\s*(Error in routine.*?)%%%",
        steps=(
            {},
            {"mixing_beta": 0.2, "mixing_ndim": 12, "electron_maxstep": 200},
            {"mixing_beta": 0.1, "electron_maxstep": 400, "diagonalization": "cg"},
        ),
        own=(
            *("prefix", "calculation", "tprnfor", "tstress", "outdir", "pseudo_dir", "ibrav"),
            *("nat", "ntyp", "tot_charge", "tot_magnetization", "nspin", "assume_isolated"),
        ),
        box_times=2.0,
    ),
    "vasp": Program(
        vasp,
        output="OUTCAR",
        not_converged="EDIFF was not reached",
        version=r"vasp\.(\d\S*)",
        error=r"(?:VERY BAD NEWS!|\| *E R R O R|Error)\s*(.*?)\n\s*\n",
        steps=(
            {},
            {"algo": "Normal", "amix": 0.1, "bmix": 1e-4, "nelm": 200},
            {"algo": "All", "nelm": 400},
        ),
        own=(
            *("ibrion", "nsw", "isif", "charge", "nelect", "nupdown", "ispin", "kpts", "gamma"),
            *("command", "directory", "setups", "atoms", "txt"),
        ),
    ),
}
