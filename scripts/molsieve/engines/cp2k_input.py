"""A level of theory in CP2K's words, and its recovery ladder."""

from __future__ import annotations

import math
from dataclasses import dataclass

import ase

from molsieve.levels import Cp2kLevel

INNER_CYCLES = 25
"""Of orbital transformation, before it renews its preconditioner."""
DISPERSION_CUTOFF_ANGSTROM = 16.0
"""Of the pairs of the dispersion correction; CP2K's own 10.6 leaves out more of a dense cell."""
EPS_DEFAULT = 1e-12
"""CP2K's 1e-10 shows in forces and stresses."""


@dataclass(frozen=True)
class Step:
    """One way to converge the SCF."""

    solver: str
    """``own``: the level's; ``other``: the other one, where both can."""
    careful: bool = False


STEPS = (Step("own"), Step("own", careful=True), Step("other", careful=True))
"""The recovery ladder. No step changes the equations that are solved, nor when they are solved.

====  ==================================================================================
step  how
====  ==================================================================================
0     the level's solver: orbital transformation (DIIS), or diagonalisation with mixing
1     the same with care: conjugate gradients with line search and the full
      preconditioner, or little mixing of a longer history
2     the other solver, with care; with k-points diagonalisation with less mixing still
====  ==================================================================================
"""


def input_text(
    level: Cp2kLevel, atoms: ase.Atoms, charge_e: int, multiplicity: int, step: int
) -> str:
    """CP2K's input without atoms, cell, basis sets and pseudopotentials, which ASE adds."""
    periodic = bool(atoms.pbc.all())
    spins = f"UKS ON\nMULTIPLICITY {multiplicity}" if multiplicity > 1 else ""
    return f"""
&FORCE_EVAL
&DFT
CHARGE {charge_e}
{spins}
&QS
EPS_DEFAULT {EPS_DEFAULT:g}
&END QS
&MGRID
CUTOFF {level.cutoff_ry:g}
REL_CUTOFF {level.rel_cutoff_ry:g}
&END MGRID
&XC
&XC_FUNCTIONAL
&{level.functional.upper()}
&END {level.functional.upper()}
&END XC_FUNCTIONAL
{_dispersion(level)}
&END XC
{_poisson(periodic)}
{_k_points(level) if periodic else ""}
{_scf(level, step, periodic)}
&END DFT
&END FORCE_EVAL
"""


def _dispersion(level: Cp2kLevel) -> str:
    if level.dispersion == "none":
        return ""
    kind = {"d3bj": "DFTD3(BJ)", "d3zero": "DFTD3"}[level.dispersion]
    return f"""&VDW_POTENTIAL
POTENTIAL_TYPE PAIR_POTENTIAL
&PAIR_POTENTIAL
TYPE {kind}
PARAMETER_FILE_NAME dftd3.dat
REFERENCE_FUNCTIONAL {level.functional.upper()}
R_CUTOFF [angstrom] {DISPERSION_CUTOFF_ANGSTROM:g}
&END PAIR_POTENTIAL
&END VDW_POTENTIAL"""


def _poisson(periodic: bool) -> str:
    """Wavelets (Genovese et al., J. Chem. Phys. 125, 074105 (2006)) for what is not periodic:
    exact for a free charge distribution whose density has ended at the walls of a cube."""
    if periodic:
        return "&POISSON\nPERIODIC XYZ\nPOISSON_SOLVER PERIODIC\n&END POISSON"
    return "&POISSON\nPERIODIC NONE\nPOISSON_SOLVER WAVELET\n&END POISSON"


def _k_points(level: Cp2kLevel) -> str:
    """A mesh with Γ among its points, as the other engines have it: Monkhorst and Pack's own has it
    with odd divisions only, and is shifted by half a step otherwise."""
    if level.k_points is None:
        return ""
    divisions = " ".join(str(n) for n in level.k_points)
    shifts = " ".join(f"{(n + 1) % 2 / (2 * n):.10g}" for n in level.k_points)
    return f"&KPOINTS\nSCHEME MACDONALD {divisions} {shifts}\nFULL_GRID OFF\n&END KPOINTS"


def _scf(level: Cp2kLevel, step: int, periodic: bool) -> str:
    how = STEPS[step]
    mesh = periodic and level.k_points is not None
    transformation = not mesh and (level.scf_solver == "ot") == (how.solver == "own")
    gentleness = step if mesh else int(how.careful)
    body = _transformation(level, how) if transformation else _mixing(level, gentleness)
    return f"""&SCF
EPS_SCF {level.scf_tolerance:g}
SCF_GUESS ATOMIC
{body}
&PRINT
&RESTART OFF
&END RESTART
&END PRINT
&END SCF"""


def _transformation(level: Cp2kLevel, how: Step) -> str:
    minimiser, preconditioner = "DIIS", "FULL_SINGLE_INVERSE"
    if how.careful:
        minimiser, preconditioner = "CG\nLINESEARCH 3PNT", "FULL_ALL\nENERGY_GAP 0.01"
    inner = min(INNER_CYCLES, level.max_scf)
    return f"""MAX_SCF {inner}
&OT
MINIMIZER {minimiser}
PRECONDITIONER {preconditioner}
&END OT
&OUTER_SCF
EPS_SCF {level.scf_tolerance:g}
MAX_SCF {math.ceil(level.max_scf / inner) - 1}
&END OUTER_SCF"""


def _mixing(level: Cp2kLevel, gentleness: int) -> str:
    return f"""MAX_SCF {level.max_scf}
&DIAGONALIZATION
ALGORITHM STANDARD
&END DIAGONALIZATION
&MIXING
METHOD BROYDEN_MIXING
ALPHA {(0.3, 0.1, 0.03)[gentleness]}
NBROYDEN {(8, 12, 16)[gentleness]}
&END MIXING"""
