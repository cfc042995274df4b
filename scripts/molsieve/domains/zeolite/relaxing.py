"""GFN1-xTB relaxation of what complexes are put together from, in a fixed cell.

Not a label: it brings frameworks and guests near their minima, so that docking meets the right
pores and the committee has a short way to go. What is unconverged after its steps is taken as it
is; the minima that count are the committee's, labelled.
"""

from __future__ import annotations

import ase
from ase.optimize import BFGS

from molsieve.engines.ase_calculator import LevelCalculator
from molsieve.levels import TbliteLevel

LEVEL = TbliteLevel.model_validate({"engine": "tblite", "method": "GFN1-xTB"})
MAX_STEP_ANGSTROM = 0.2


def relaxed(atoms: ase.Atoms, fmax_ev_per_angstrom: float, max_steps: int) -> ase.Atoms:
    """A copy after at most ``max_steps`` BFGS steps; ``max_steps`` 0 gives it as it is.

    Raises:
        CalculationError: GFN1-xTB found no energy.
    """
    moved = atoms.copy()
    if max_steps == 0:
        return moved
    moved.calc = LevelCalculator(LEVEL)
    optimiser = BFGS(moved, logfile=None, maxstep=MAX_STEP_ANGSTROM)
    optimiser.run(fmax=fmax_ev_per_angstrom, steps=max_steps)
    moved.calc = None
    return moved
