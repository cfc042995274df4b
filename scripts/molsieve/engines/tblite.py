"""Extended tight binding (GFN2-xTB, GFN1-xTB) with tblite.

GFN2-xTB: Bannwarth, Ehlert, Grimme, J. Chem. Theory Comput. 15, 1652 (2019);
GFN1-xTB: Grimme, Bannwarth, Shushkov, J. Chem. Theory Comput. 13, 1989 (2017).

Cells are computed at the Γ point, all that tblite knows, and repeated until they are as wide as
``min_cell_angstrom`` says. GFN1-xTB of ABW silica (Si8O16, 5.25 Å wide), eV a cell against 11 Å
(3 x 2 x 2): as given +2.458, at 8 Å +0.024, at 9 Å +0.008, at 10 Å -0.014: from 8 Å on within 1 meV
an atom. Both methods work in cells: their slopes, stresses, supercells and limits of wide boxes
agree with tblite 0.8; GFN2-xTB takes two to seven times longer.
"""

from __future__ import annotations

import ase
import numpy as np
from ase.data import atomic_numbers
from tblite.exceptions import TBLiteRuntimeError
from tblite.interface import Calculator, Result

from molsieve import units
from molsieve.engines.base import (
    CalculationError,
    Label,
    charge_and_multiplicity,
    frontier_orbitals,
)
from molsieve.engines.cells import calculated_cell, is_periodic, label_of_given_cell
from molsieve.levels import TbliteLevel
from molsieve.section import CampaignError

LAST_ELEMENT = 86
"""Both methods are parametrised up to radon."""

HARTREE_PER_KELVIN = units.BOLTZMANN_EV_PER_K / units.EV_PER_HARTREE
CAREFUL_MIXING = 0.1
ANNEALING_K = 5000.0
EEQ_GUESS = 1


class TbliteEngine:
    """tblite at one level; the last wavefunction is the guess of the next geometry."""

    def __init__(self, level: TbliteLevel) -> None:
        self.level = level
        self._system: tuple[object, ...] = ()
        self._result: Result | None = None

    def compute(self, atoms: ase.Atoms) -> Label:
        """Energy, forces, dipole, frontier orbitals; stress of a cell periodic in all directions.

        Raises:
            CalculationError: see :class:`molsieve.engines.base.Engine`.
        """
        charge, multiplicity = charge_and_multiplicity(atoms)
        periodic, copies = is_periodic(atoms), 1
        if periodic:
            atoms, charge, multiplicity, copies = calculated_cell(
                atoms, charge, multiplicity, self.level
            )
        # A wavefunction only fits the same atoms in the same state.
        system = (tuple(atoms.numbers), charge, multiplicity, periodic)
        previous = self._result if system == self._system else None
        calculator = _calculator(atoms, charge, multiplicity, periodic, self.level)
        result, step = _climb_ladder(calculator, previous, self.level)
        self._system, self._result = system, result
        return label_of_given_cell(_label(atoms, result, multiplicity, periodic, step), copies)


def check_level(level: TbliteLevel, elements: set[str]) -> None:
    """Raise CampaignError for an element outside the parametrisation."""
    for element in sorted(elements):
        if atomic_numbers.get(element, LAST_ELEMENT + 1) > LAST_ELEMENT:
            raise CampaignError(
                f"element {element!r} has no parameters in {level.method} (H to Rn have): "
                "leave it out of the candidates or choose a pyscf level"
            )


def _calculator(
    atoms: ase.Atoms, charge: int, multiplicity: int, periodic: bool, level: TbliteLevel
) -> Calculator:
    try:
        calculator = Calculator(
            level.method,
            atoms.numbers,
            atoms.positions / units.ANGSTROM_PER_BOHR,
            charge=float(charge),
            uhf=multiplicity - 1,
            lattice=np.array(atoms.cell) / units.ANGSTROM_PER_BOHR if periodic else None,
            periodic=np.array([True] * 3) if periodic else None,
        )
    except TBLiteRuntimeError as error:
        raise CalculationError("bad_input", str(error)) from error
    calculator.set("verbosity", 0)
    calculator.set("accuracy", level.accuracy)
    calculator.set("max-iter", level.max_iterations)
    calculator.set("temperature", level.electronic_temperature_k * HARTREE_PER_KELVIN)
    return calculator


def _climb_ladder(
    calculator: Calculator, previous: Result | None, level: TbliteLevel
) -> tuple[Result, int]:
    """The converged result and the step that gave it; all steps end at the level's own settings.

    0 plain; 1 small mixing from an EEQ guess; 2 from a wavefunction converged hot (5000 K).
    """
    try:
        return _single_point(calculator, previous), 0
    except CalculationError as error:
        if error.kind != "scf_not_converged":
            raise
    calculator.set("mixer-damping", CAREFUL_MIXING)
    calculator.set("guess", EEQ_GUESS)
    try:
        return _single_point(calculator, None), 1
    except CalculationError as error:
        if error.kind != "scf_not_converged":
            raise
    calculator.set("temperature", ANNEALING_K * HARTREE_PER_KELVIN)
    hot = _single_point(calculator, None)
    calculator.set("temperature", level.electronic_temperature_k * HARTREE_PER_KELVIN)
    return _single_point(calculator, hot), 2


def _single_point(calculator: Calculator, guess: Result | None) -> Result:
    try:
        return calculator.singlepoint(guess)
    except TBLiteRuntimeError as error:
        message = str(error).strip()
        if "not converged" in message:
            raise CalculationError("scf_not_converged", message) from error
        if "Too close" in message or "No support" in message:
            raise CalculationError("bad_input", message) from error
        raise CalculationError("engine_error", message) from error


def _label(atoms: ase.Atoms, result: Result, multiplicity: int, periodic: bool, step: int) -> Label:
    energy = float(result.get("energy")) * units.EV_PER_HARTREE
    forces = -np.array(result.get("gradient")) * units.EV_PER_ANGSTROM_PER_HARTREE_PER_BOHR
    if not (np.isfinite(energy) and np.isfinite(forces).all()):
        raise CalculationError("engine_error", "tblite returned numbers that are not finite")
    stress, dipole = None, None
    if periodic:
        stress = np.array(result.get("virial")) * units.EV_PER_HARTREE / abs(atoms.cell.volume)
    else:
        dipole = np.array(result.get("dipole")) * units.ANGSTROM_PER_BOHR
    # Both spins share the orbitals: the last one the majority spin fills is the HOMO.
    electrons = round(float(np.sum(result.get("orbital-occupations"))))
    majority = (electrons + multiplicity - 1) // 2
    orbitals = np.array(result.get("orbital-energies")) * units.EV_PER_HARTREE
    homo, lumo = frontier_orbitals([orbitals], [majority])
    return Label(
        energy_ev=energy,
        forces_ev_per_angstrom=forces,
        stress_ev_per_angstrom3=stress,
        dipole_e_angstrom=dipole,
        homo_ev=homo,
        lumo_ev=lumo,
        recovery_step=step,
    )
