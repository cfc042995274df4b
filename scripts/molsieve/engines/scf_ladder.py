"""Converging a PySCF mean field: a cheap start, plain DIIS, and what is tried when that fails.

No step changes the level of theory: every one ends with an unshifted, undamped SCF (or a
second-order one) on the level's own functional, basis and grid, at the level's own tolerance.

====  ===================================================================
step  how
====  ===================================================================
0     DIIS from the coarse-grid density (or the last geometry's)
1     damping and level shift first, then DIIS from that density
2     DIIS from other initial guesses: Hückel, superposed atoms, bare core
3     second-order SCF (co-iterative augmented Hessian, Q. Sun 2016)
====  ===================================================================
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pyscf import lib

from molsieve.engines.base import CalculationError
from molsieve.engines.dense_exchange import DenseDF
from molsieve.engines.dense_integration import DenseNumInt

DAMPING = 0.5
LEVEL_SHIFT_HARTREE = 0.3
LOOSE_GRADIENT = 1e-2
OTHER_GUESSES = ("huckel", "atom", "1e")
COARSE_GRID_LEVEL = 0
STATE = ("e_tot", "mo_energy", "mo_coeff", "mo_occ", "converged")

EXCITED_HARTREE = 1e-4
"""A step that converges this far above a determinant met on the way has found no ground state."""


def converge(mf: Any, guess: np.ndarray | None = None) -> int:
    """Converge the mean field ``mf`` in place.

    Args:
        mf: a PySCF mean field, tolerance and cycles set.
        guess: density matrix to start from, (nao, nao) or (2, nao, nao); None: PySCF's own.

    Returns:
        The step of the ladder that converged.

    Raises:
        CalculationError: ``scf_not_converged`` after the last step.
    """
    if _run(mf, _coarse_density(mf, guess)):
        return 0
    lowest = _state(mf)
    for name in ("shifted", *OTHER_GUESSES):
        start = _shifted_density(mf) if name == "shifted" else _initial_guess(mf, name)
        if _run(mf, start) and mf.e_tot < lowest["e_tot"] + EXCITED_HARTREE:
            return 1 if name == "shifted" else 2
        lowest = min(lowest, _state(mf), key=lambda state: state["e_tot"])
    if _second_order(mf, lowest):
        return 3
    raise CalculationError(
        "scf_not_converged",
        f"no step of the recovery ladder converged {mf.xc} in {mf.max_cycle} cycles each",
    )


def _run(mf: Any, guess: np.ndarray | None) -> bool:
    mf.kernel(dm0=guess)
    return bool(mf.converged)


def _state(mf: Any) -> dict[str, Any]:
    return {name: getattr(mf, name) for name in STATE}


def _coarse_density(mf: Any, guess: np.ndarray | None) -> np.ndarray | None:
    """A density from a coarse grid, where a cycle costs a fifth; ``guess`` if nothing came of it.

    Unless exact exchange costs as much, the coarse grid's potential is then corrected by its
    difference to the fine one at the last density (Brandt's defect correction) and iterated again:
    the fine grid is asked a few times instead of every cycle.
    """
    if (
        mf.grids.level <= COARSE_GRID_LEVEL
        or not isinstance(mf._numint, DenseNumInt)  # a GPU has no need of it
        or mf.do_nlc()  # whose own grid would cost the most
    ):
        return guess
    fine, coarse = mf.grids, type(mf.grids)(mf.mol)
    coarse.level = COARSE_GRID_LEVEL
    try:
        mf.grids = coarse
        density = _loose_density(mf, guess, LOOSE_GRADIENT)
        if density is None:
            return guess
        if mf._numint.libxc.is_hybrid_xc(mf.xc) and not _cheap_exchange(mf):
            return density  # a cycle's cost is exchange there, which no grid makes cheaper
        for threshold in (1e-3, 0.3 * np.sqrt(mf.conv_tol)):
            correction = _potential(mf, fine, density) - _potential(mf, coarse, density)
            density = _corrected_density(mf, correction, density, threshold)
            if density is None:
                return guess
        return density
    finally:
        mf.grids = fine


def _cheap_exchange(mf: Any) -> bool:
    return isinstance(getattr(mf, "with_df", None), DenseDF)


def _potential(mf: Any, grids: Any, density: np.ndarray) -> np.ndarray:
    mf.grids = grids
    return np.asarray(mf.get_veff(dm=density))


def _corrected_density(
    mf: Any, correction: np.ndarray, guess: np.ndarray, threshold: float
) -> np.ndarray | None:
    plain = mf.get_veff

    def corrected(*args: Any, **keywords: Any) -> np.ndarray:
        potential = plain(*args, **keywords)
        return lib.tag_array(np.asarray(potential) + correction, **vars(potential))

    mf.get_veff = corrected
    try:
        return _loose_density(mf, guess, threshold)
    finally:
        del mf.get_veff


def _shifted_density(mf: Any) -> np.ndarray | None:
    damping, shift = mf.damp, mf.level_shift
    mf.damp, mf.level_shift = DAMPING, LEVEL_SHIFT_HARTREE
    try:
        return _loose_density(mf, None, LOOSE_GRADIENT)
    finally:
        mf.damp, mf.level_shift = damping, shift


def _loose_density(mf: Any, guess: np.ndarray | None, gradient: float) -> np.ndarray | None:
    """The density of an SCF stopped at an orbital gradient; None where even that is not reached."""
    mf.check_convergence = lambda cycle: cycle["norm_gorb"] < gradient
    try:
        return mf.make_rdm1() if _run(mf, guess) else None
    finally:
        mf.check_convergence = None


def _initial_guess(mf: Any, name: str) -> np.ndarray | None:
    """The guess of that name; PySCF's own where it has none such for these elements."""
    try:
        density: np.ndarray = mf.get_init_guess(mf.mol, name)
        return density
    except (KeyError, ValueError, RuntimeError, NotImplementedError):
        return None


def _second_order(mf: Any, start: dict[str, Any]) -> bool:
    """Descend from the lowest determinant so far: from a poor one it may end on a saddle point."""
    if not hasattr(mf, "newton"):
        return False
    newton = mf.newton()
    newton.kernel(mo_coeff=start["mo_coeff"], mo_occ=start["mo_occ"])
    for name in STATE:
        setattr(mf, name, getattr(newton, name))
    return bool(mf.converged) and mf.e_tot < start["e_tot"] + EXCITED_HARTREE
