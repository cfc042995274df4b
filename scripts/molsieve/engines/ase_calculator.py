"""Any level of theory as an ASE calculator, and the relaxation of a structure with it."""

from __future__ import annotations

from typing import Any

import ase
from ase.calculators.calculator import Calculator, all_changes
from ase.optimize import BFGS
from ase.stress import full_3x3_to_voigt_6_stress

from molsieve.engines import open_engine
from molsieve.engines.base import CalculationError, Label
from molsieve.levels import Level, PyscfLevel

MAX_STEP_ANGSTROM = 0.2


class LevelCalculator(Calculator):
    """A level of theory behind ASE's calculator interface (eV, Å).

    Each geometry starts from the state of the last one. ``last_label`` is the last label, whole.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress", "dipole"]  # noqa: RUF012

    def __init__(self, level: Level, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.engine = open_engine(level)
        self.last_label: Label | None = None

    def calculate(
        self,
        atoms: ase.Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Fill ``results``. Raises CalculationError when there is no number."""
        super().calculate(atoms, properties or ["energy"], system_changes)
        label = self.engine.compute(self.atoms)  # type: ignore[arg-type]
        self.last_label = label
        self.results = {
            "energy": label.energy_ev,
            "free_energy": label.energy_ev,
            "forces": label.forces_ev_per_angstrom,
        }
        if label.stress_ev_per_angstrom3 is not None:
            self.results["stress"] = full_3x3_to_voigt_6_stress(label.stress_ev_per_angstrom3)
        if label.dipole_e_angstrom is not None:
            self.results["dipole"] = label.dipole_e_angstrom


def optimise(atoms: ase.Atoms, level: Level) -> tuple[ase.Atoms, Label]:
    """Relax the atoms (BFGS, fixed cell) until no force component exceeds the level's threshold.

    Returns the relaxed copy and its label.

    Raises:
        CalculationError: ``geometry_not_converged`` after ``max_optimiser_steps``, or the
            failure of one of the calculations.
    """
    relaxed = atoms.copy()
    on_the_way = level
    if isinstance(level, PyscfLevel) and level.excitations:
        on_the_way = level.model_copy(update={"excitations": None})  # roots at the minimum only
    calculator = LevelCalculator(on_the_way)
    relaxed.calc = calculator
    # ASE's criterion is the norm of an atom's force, never smaller than its largest component.
    optimiser = BFGS(relaxed, logfile=None, maxstep=MAX_STEP_ANGSTROM)
    converged = optimiser.run(fmax=level.fmax_ev_per_angstrom, steps=level.max_optimiser_steps)
    if not converged or calculator.last_label is None:
        raise CalculationError(
            "geometry_not_converged",
            f"largest force still {abs(relaxed.get_forces()).max():.3f} eV/Å after "
            f"{level.max_optimiser_steps} steps (threshold {level.fmax_ev_per_angstrom})",
        )
    relaxed.calc = None
    if on_the_way is not level:
        return relaxed, open_engine(level).compute(relaxed)
    return relaxed, calculator.last_label
