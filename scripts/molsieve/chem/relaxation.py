"""Relaxation of one molecule with GFN2-xTB, quick from a force-field geometry.

Quasi-Newton (BFGS) steps that start from the force field's own Hessian, so that stiff bonds and
soft torsions are told apart from the first step.
"""

from __future__ import annotations

from dataclasses import dataclass

import ase
import numpy as np
from ase.calculators.calculator import CalculationFailed, Calculator, all_changes
from ase.optimize import BFGS
from tblite.exceptions import TBLiteRuntimeError
from tblite.interface import Calculator as TbliteCalculator
from tblite.interface import Result

from molsieve.chem.identities import charge_and_multiplicity
from molsieve.units import (
    ANGSTROM_PER_BOHR,
    EV_PER_ANGSTROM_PER_HARTREE_PER_BOHR,
    EV_PER_HARTREE,
)

METHOD = "GFN2-xTB"
MAX_SCF_ITERATIONS = 250
SOFTEST_EV_PER_ANGSTROM2 = 1.0
"""Floor of the starting Hessian's eigenvalues: no first step along a soft mode runs away."""


class RelaxationError(Exception):
    """No minimum; ``kind`` is scf_not_converged, geometry_not_converged or engine_error."""

    def __init__(self, kind: str, message: str):
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Relaxed:
    """A minimum: the moved copy, its energy, the steps it took."""

    atoms: ase.Atoms
    energy_ev: float
    steps: int


def relax(
    atoms: ase.Atoms,
    fmax_ev_per_angstrom: float,
    max_steps: int,
    hessian_ev_per_angstrom2: np.ndarray | None = None,
) -> Relaxed:
    """The GFN2-xTB minimum near ``atoms``; charge and multiplicity from ``info``.

    Args:
        fmax_ev_per_angstrom: largest force on an atom at the end.
        hessian_ev_per_angstrom2: (3 n, 3 n) guess, e.g. a force field's; None: 70 eV/Å² everywhere.

    Raises:
        RelaxationError: the SCF or the geometry does not converge.
    """
    moved = atoms.copy()
    moved.calc = _ReusedTblite(*charge_and_multiplicity(atoms))
    optimiser = BFGS(moved, logfile=None, maxstep=0.2)
    if hessian_ev_per_angstrom2 is not None and len(atoms) > 1:
        optimiser.H0 = _made_positive(hessian_ev_per_angstrom2)
    try:
        converged = optimiser.run(fmax=fmax_ev_per_angstrom, steps=max_steps)
        energy = float(moved.get_potential_energy())
    except CalculationFailed as error:
        kind = "scf_not_converged" if "converge" in str(error).lower() else "engine_error"
        raise RelaxationError(kind, f"{METHOD}: {error}") from error
    if not converged:
        raise RelaxationError(
            "geometry_not_converged",
            f"{METHOD}: forces above {fmax_ev_per_angstrom} eV/Å after {max_steps} steps",
        )
    moved.calc = None
    return Relaxed(moved, energy, int(optimiser.nsteps))


class _ReusedTblite(Calculator):
    """GFN2-xTB that keeps its parameters and its last density from step to step."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012 (ASE's way to declare them)

    def __init__(self, charge_e: int, multiplicity: int):
        super().__init__()
        self._charge_e, self._unpaired = charge_e, multiplicity - 1
        self._calculator: TbliteCalculator | None = None
        self._result: Result | None = None

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):  # type: ignore[no-untyped-def]
        """Energy (eV) and forces (eV/Å); tblite's bohr and hartree stay inside."""
        super().calculate(atoms, properties, system_changes)
        assert self.atoms is not None, "ASE's calculate() keeps a copy"
        positions = self.atoms.positions / ANGSTROM_PER_BOHR
        try:
            if self._calculator is None:
                self._calculator = TbliteCalculator(
                    METHOD, self.atoms.numbers, positions, self._charge_e, self._unpaired
                )
                self._calculator.set("verbosity", 0)
                self._calculator.set("max-iter", MAX_SCF_ITERATIONS)
            else:
                self._calculator.update(positions)
            result = self._calculator.singlepoint(self._result)
        except TBLiteRuntimeError as error:
            raise CalculationFailed(str(error)) from error
        energy = float(result.get("energy")) * EV_PER_HARTREE
        if not np.isfinite(energy):
            raise CalculationFailed("the SCF did not converge: its energy is not a number")
        self._result = result
        gradient = result.get("gradient") * EV_PER_ANGSTROM_PER_HARTREE_PER_BOHR
        self.results = {"energy": energy, "forces": -gradient}


def _made_positive(hessian: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(hessian)
    return (vectors * np.maximum(np.abs(values), SOFTEST_EV_PER_ANGSTROM2)) @ vectors.T
