"""Kohn-Sham DFT with CP2K (Quickstep: Gaussians and plane waves), driven through ASE.

Kühne et al., J. Chem. Phys. 152, 194103 (2020). Pseudopotentials: Goedecker, Teter, Hutter, Phys.
Rev. B 54, 1703 (1996); basis sets: VandeVondele, Hutter, J. Chem. Phys. 127, 114105 (2007).

CP2K's shell is a process of its own, in a folder under the scratch, with one thread; it lives as
long as its engine, and dies with the process that owns it.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
from typing import Any

import ase
import numpy as np
from ase.calculators.cp2k import CP2K

from molsieve import programs
from molsieve.engines import cp2k_output
from molsieve.engines.base import (
    CalculationError,
    EngineUnavailable,
    Label,
    charge_and_multiplicity,
)
from molsieve.engines.cells import calculated_cell, in_a_box, is_periodic, label_of_given_cell
from molsieve.engines.cp2k_input import STEPS, input_text
from molsieve.engines.program_folder import ProgramFolder
from molsieve.levels import Cp2kLevel, program_version

END_PATIENCE_S = 5.0
NAME = "calculation"
OUTPUT = f"{NAME}.out"
TROUBLES_OF_THE_SHELL = (AssertionError, ValueError, OSError, RuntimeError)
"""What ASE raises where the shell falls silent, dies or answers something else."""


class Cp2kEngine:
    """CP2K at one level; the last wavefunctions are the guess of the next geometry.

    Raises:
        EngineUnavailable: there is no CP2K here, or not of the level's version.
    """

    def __init__(self, level: Cp2kLevel) -> None:
        self.level = level
        self.command = _command(level)
        self._system: tuple[object, ...] = ()
        self._step = 0
        self._folder: ProgramFolder | None = None
        self._calculator: CP2K | None = None

    def compute(self, atoms: ase.Atoms) -> Label:
        """Energy, forces; stress of a cell periodic in all directions.

        Raises:
            CalculationError: see :class:`molsieve.engines.base.Engine`.
            MemoryError: CP2K was killed.
        """
        charge, multiplicity = charge_and_multiplicity(atoms)
        periodic, copies = is_periodic(atoms), 1
        if periodic:
            atoms, charge, multiplicity, copies = calculated_cell(
                atoms, charge, multiplicity, self.level
            )
        else:
            atoms = in_a_box(atoms, self.level.box_margin_angstrom)
        # Wavefunctions and grids only fit the same atoms in the same state and cell.
        system = (tuple(atoms.numbers), atoms.cell.array.tobytes(), charge, multiplicity, periodic)
        warm = system == self._system and self._calculator is not None
        label = self._climb_ladder(atoms, charge, multiplicity, warm)
        self._system, self._step = system, label.recovery_step
        return label_of_given_cell(label, copies)

    def close(self) -> None:
        """End CP2K's process and remove its folder."""
        self._system = ()
        if self._calculator is not None and self._calculator._shell is not None:
            _kill(self._calculator._shell)
            self._calculator._shell = None
        self._calculator = None
        if self._folder is not None:
            self._folder.remove()
        self._folder = None

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()

    def _climb_ladder(self, atoms: ase.Atoms, charge: int, multiplicity: int, warm: bool) -> Label:
        """The label by the first step that converges: :data:`molsieve.engines.cp2k_input.STEPS`.

        A running shell goes on from its last geometry; what fails there begins anew.
        """
        if warm:
            with contextlib.suppress(CalculationError):
                return self._single_point(atoms, self._step)
        failures = []
        for step in range(len(STEPS)):
            self._start(atoms, charge, multiplicity, step)
            try:
                return self._single_point(atoms, step)
            except CalculationError as error:
                self.close()
                failures.append(error)
                if error.kind != "scf_not_converged":
                    break
        raise failures[-1]

    def _start(self, atoms: ase.Atoms, charge: int, multiplicity: int, step: int) -> None:
        """A shell of its own, in a folder of its own."""
        self.close()
        self._folder = ProgramFolder()
        try:
            self._calculator = CP2K(
                command=self._folder.shell_line(self.command),
                label=NAME,
                inp=input_text(self.level, atoms, charge, multiplicity, step),
                basis_set=self.level.basis,
                basis_set_file=self.level.basis_file,
                pseudo_potential=self.level.potential,
                potential_file=self.level.potential_file,
                xc=None,
                cutoff=None,
                max_scf=None,
                poisson_solver=None,
                stress_tensor=bool(atoms.pbc.all()),
                print_level="MEDIUM",  # LOW leaves out the parts of the energy
            )
        except TROUBLES_OF_THE_SHELL as error:
            said = self._folder.errors()
            self.close()
            raise EngineUnavailable(f"CP2K's shell does not start: {said or error}") from error

    def _single_point(self, atoms: ase.Atoms, step: int) -> Label:
        assert self._calculator is not None and self._folder is not None
        before = len(self._folder.text(OUTPUT))
        try:
            self._calculator.calculate(atoms, ["energy"], _changes(self._calculator, atoms))
        except TROUBLES_OF_THE_SHELL as error:
            if _was_killed(self._calculator._shell):
                raise MemoryError("CP2K was killed, most often for want of memory") from error
            output = self._folder.text(OUTPUT)[before:]
            raise cp2k_output.failure(output, self._folder.errors()) from error
        output = self._folder.text(OUTPUT)[before:]
        # Up to version 2023 CP2K hands out the energy of an SCF that did not converge.
        if cp2k_output.NOT_CONVERGED in output:
            raise cp2k_output.failure(output, "")
        return _label(self._calculator.results, output, atoms, step)


def _command(level: Cp2kLevel) -> list[str]:
    command = programs.cp2k_command()
    if command is None:
        raise EngineUnavailable(
            "there is no cp2k_shell on PATH; install CP2K (Debian: apt-get install cp2k), load its "
            f"module, or set {programs.CP2K_COMMAND}"
        )
    found = programs.cp2k_version()
    if found != program_version(level):
        raise EngineUnavailable(
            f"the CP2K on PATH is version {found}, the level says {level.version}"
        )
    return command


def _changes(calculator: CP2K, atoms: ase.Atoms) -> list[str]:
    """What CP2K must be told: all of a new system, the positions of one that it has."""
    if calculator._force_env_id is None:
        return ["numbers", "cell", "positions"]
    return ["positions"]


def _label(results: dict[str, Any], output: str, atoms: ase.Atoms, step: int) -> Label:
    forces = np.asarray(results["forces"], float)
    stress = None
    if atoms.pbc.all():
        xx, yy, zz, yz, xz, xy = results["stress"]
        stress = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    if not (np.isfinite(results["energy"]) and np.isfinite(forces).all()):
        raise CalculationError("engine_error", "CP2K returned numbers that are not finite")
    return Label(
        energy_ev=float(results["energy"]),
        forces_ev_per_angstrom=forces,
        stress_ev_per_angstrom3=stress,
        dispersion_energy_ev=cp2k_output.dispersion_energy_ev(output),
        spin_square=cp2k_output.spin_square(output),
        recovery_step=step,
    )


def _was_killed(shell: Any) -> bool:
    """Whether CP2K was ended by SIGKILL and not by itself; it may still be about to end."""
    with contextlib.suppress(subprocess.TimeoutExpired, AttributeError):
        return bool(shell._child.wait(timeout=END_PATIENCE_S) == -signal.SIGKILL)
    return False


def _kill(shell: Any) -> None:
    """End the shell at once; ASE would wait for what it is doing, or warn."""
    child, shell._child, shell.isready = shell._child, None, False
    if child is not None:
        child.kill()
        with contextlib.suppress(OSError, ValueError):
            child.communicate()
