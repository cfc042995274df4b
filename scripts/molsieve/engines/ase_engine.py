"""Programs of your own through their ASE calculators: Quantum ESPRESSO and VASP.

Cells are periodic; a structure that is periodic in no direction stands in a cube: alone in it with
Quantum ESPRESSO (Martyna, Tuckerman, J. Chem. Phys. 110, 2810 (1999); twice its size), with images
of itself at twice ``box_margin_angstrom`` with VASP, which therefore refuses charged ones.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from typing import Any

import ase
import numpy as np
from ase.calculators.calculator import CalculatorError
from ase.stress import voigt_6_to_full_3x3_stress

from molsieve.engines.ase_programs import PROGRAMS
from molsieve.engines.base import (
    CalculationError,
    EngineUnavailable,
    Label,
    charge_and_multiplicity,
)
from molsieve.engines.cells import (
    calculated_cell,
    in_a_box,
    is_periodic,
    label_of_given_cell,
    refuse_charged_cell,
)
from molsieve.engines.program_folder import ProgramFolder
from molsieve.levels import AseLevel

MESSAGE_LENGTH = 400
TROUBLES = (
    CalculatorError,
    subprocess.CalledProcessError,
    AssertionError,
    RuntimeError,
    KeyError,
    ValueError,
    IndexError,
    OSError,
)
"""What ASE raises where a program ended badly, or wrote no output that can be read."""


class AseEngine:
    """A program of :data:`PROGRAMS` at one level; each calculation in a folder of its own.

    Raises:
        EngineUnavailable: the program is not here.
    """

    def __init__(self, level: AseLevel) -> None:
        self.level = level
        self.program = PROGRAMS[level.calculator]
        command = shlex.split(level.command)
        if not command or shutil.which(command[0]) is None:
            raise EngineUnavailable(f"the level's command {level.command!r} is not found on PATH")

    def compute(self, atoms: ase.Atoms) -> Label:
        """Energy, forces; stress of a cell periodic in all directions.

        Raises:
            CalculationError: see :class:`molsieve.engines.base.Engine`.
        """
        charge, multiplicity = charge_and_multiplicity(atoms)
        copies = 1
        if is_periodic(atoms):
            atoms, charge, multiplicity, copies = calculated_cell(
                atoms, charge, multiplicity, self.level
            )
        else:
            if self.level.calculator == "vasp":
                refuse_charged_cell(charge, self.level)
            atoms = in_a_box(atoms, self.level.box_margin_angstrom, self.program.box_times)
        for step in range(len(self.program.steps)):
            try:
                label = self._single_point(atoms, charge, multiplicity, step)
                return label_of_given_cell(label, copies)
            except CalculationError as error:
                if error.kind != "scf_not_converged" or step + 1 == len(self.program.steps):
                    raise
        raise AssertionError("the last step returns or raises")

    def _single_point(self, atoms: ase.Atoms, charge: int, multiplicity: int, step: int) -> Label:
        folder = ProgramFolder()
        try:
            gentler = self.program.steps[step]
            calculator = self.program.calculator(
                self.level, atoms, charge, multiplicity, folder, gentler
            )
            try:
                results = _results(calculator, atoms)
            except TROUBLES as error:
                raise self._failure(folder, error) from error
            said = folder.text(self.program.output)
            self._check_version(said)
            if self.program.not_converged in said:
                raise CalculationError("scf_not_converged", self.program.not_converged)
            return _label(results, atoms, step)
        finally:
            folder.remove()

    def _failure(self, folder: ProgramFolder, error: Exception) -> Exception:
        """What the program said, else what ASE did."""
        said = folder.text(self.program.output)
        self._check_version(said)
        if self.program.not_converged in said:
            return CalculationError("scf_not_converged", self.program.not_converged)
        words = re.findall(self.program.error, said, re.DOTALL)
        message = words[-1] if words else f"{folder.text('espresso.err')} {folder.errors()}"
        message = " ".join(message.split()) or f"{type(error).__name__}: {error}"
        return CalculationError(
            "engine_error", f"{self.level.calculator}: {message}"[:MESSAGE_LENGTH]
        )

    def _check_version(self, said: str) -> None:
        found = re.search(self.program.version, said)
        if found and not found[1].startswith(self.level.version):
            raise EngineUnavailable(
                f"{self.level.command} is version {found[1]}, the level says {self.level.version}"
            )


def _results(calculator: Any, atoms: ase.Atoms) -> dict[str, Any]:
    wanted = ["energy", "forces"] + (["stress"] if atoms.pbc.all() else [])
    calculator.calculate(atoms, wanted, ["positions", "numbers", "cell", "pbc"])
    return dict(calculator.results)


def _label(results: dict[str, Any], atoms: ase.Atoms, step: int) -> Label:
    """Of occupations that are smeared, the free energy: forces are its slope."""
    energy = float(results.get("free_energy", results["energy"]))
    forces = np.asarray(results["forces"], float)
    if not (np.isfinite(energy) and np.isfinite(forces).all()):
        raise CalculationError("engine_error", "the program returned numbers that are not finite")
    stress = None
    if atoms.pbc.all():
        stress = voigt_6_to_full_3x3_stress(np.asarray(results["stress"], float))
    return Label(
        energy_ev=energy,
        forces_ev_per_angstrom=forces,
        stress_ev_per_angstrom3=stress,
        recovery_step=step,
    )
