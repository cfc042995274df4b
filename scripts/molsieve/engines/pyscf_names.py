"""Whether PySCF can compute a level at all: functional, basis, dispersion and solvent by name."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable

import pyscf.gto
from ase.data import atomic_numbers
from pyscf.dft import libxc
from pyscf.dispersion import dftd3, dftd4
from pyscf.gto import basis as basis_sets
from pyscf.lib.exceptions import BasisNotFoundError
from pyscf.scf.dispersion import parse_dft, parse_disp
from pyscf.solvent.smd import solvent_db

from molsieve.levels import PyscfLevel
from molsieve.section import CampaignError

COMMON_ELEMENTS = ("H", "C", "O", "Si", "Fe")
"""A basis that none of these has is taken for a misspelt name."""


def check_level(level: PyscfLevel, elements: set[str]) -> None:
    """Refuse names PySCF does not know, and elements they do not cover.

    Raises:
        CampaignError: key, value, what is allowed, nearest names, what to do.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PySCF advertises other sources of basis sets
        _check_functional(level.functional)
        _check_elements(elements)
        _check_basis("basis", level.basis, elements)
        if level.density_fitting and level.auxiliary_basis is not None:
            _check_basis("auxiliary_basis", level.auxiliary_basis, elements)
        _check_dispersion(level, elements)
        _check_solvent(level)


def _check_functional(functional: str) -> None:
    known = [*libxc.XC_ALIAS, *libxc.XC_CODES]
    try:
        bare, _, dispersion = parse_dft(functional)
        libxc.parse_xc(bare)
    except (KeyError, ValueError, NotImplementedError) as error:
        raise CampaignError(
            f"functional: {functional!r} is not known to PySCF (libxc); "
            f"{_nearest(functional, known)}any libxc name or combination 'exchange,correlation'"
        ) from error
    if not functional.strip():
        raise CampaignError("functional: empty; give a name, e.g. PBE or B3LYP (HF: no functional)")
    if dispersion is not None:
        raise CampaignError(
            f"functional: {functional!r} names a dispersion correction; write the functional alone "
            "and 'dispersion: d3bj', d3zero or d4"
        )
    if libxc.needs_laplacian(functional):
        raise CampaignError(
            f"functional: {functional!r} needs the density's Laplacian, for which PySCF has no "
            "forces; choose another functional"
        )


def _check_elements(elements: set[str]) -> None:
    for element in sorted(elements):
        if element not in atomic_numbers or element == "X":
            raise CampaignError(f"elements: {element!r} is not a chemical element")


def _check_basis(key: str, name: str, elements: set[str]) -> None:
    missing = [e for e in sorted(elements, key=atomic_numbers.__getitem__) if not _has(name, e)]
    if not missing:
        return
    if not any(_has(name, element) for element in COMMON_ELEMENTS):
        raise CampaignError(
            f"{key}: {name!r} is not a basis set PySCF ships; "
            f"{_nearest(name, basis_sets.ALIAS)}e.g. def2-SVP, def2-TZVP, cc-pVDZ, 6-31G*"
        )
    raise CampaignError(
        f"{key}: {name!r} has no functions for {', '.join(missing)}; choose a basis that has them "
        "(def2-SVP: H to Rn without lanthanides) or leave these elements out of the candidates"
    )


def _has(basis: str, element: str) -> bool:
    try:
        return bool(basis_sets.load(basis, element))
    except (BasisNotFoundError, KeyError, ValueError, RuntimeError, IndexError):
        return False


def _check_dispersion(level: PyscfLevel, elements: set[str]) -> None:
    if level.dispersion == "none":
        return
    if libxc.is_nlc(level.functional):
        raise CampaignError(
            f"dispersion: {level.dispersion!r} would count dispersion twice, {level.functional!r} "
            "holds non-local correlation (VV10); set 'dispersion: none'"
        )
    # One atom of each element, far apart: the correction is built, not evaluated on a molecule.
    symbols = sorted(elements) or ["H"]
    atoms = [(symbol, (50.0 * i, 0.0, 0.0)) for i, symbol in enumerate(symbols)]
    mol = pyscf.gto.Mole(atom=atoms, basis="sto-3g", spin=None, verbose=0)
    mol.build(basis={symbol: [[0, [1.0, 1.0]]] for symbol in symbols}, parse_arg=False)
    try:
        method, version, _ = parse_disp(level.functional, level.dispersion)
        if version == "d4":
            dftd4.DFTD4Dispersion(mol, xc=method).get_dispersion()
        else:
            dftd3.DFTD3Dispersion(mol, xc=method, version=version).get_dispersion()
    except (RuntimeError, TypeError, ValueError) as error:
        raise CampaignError(
            f"dispersion: {level.dispersion!r} has no parameters for {level.functional!r} with "
            f"{', '.join(symbols)} ({error}); set 'dispersion: none', another of d3bj, d3zero, d4, "
            "or a functional that has them (e.g. PBE, B3LYP, PBE0, TPSS)"
        ) from error


def _check_solvent(level: PyscfLevel) -> None:
    if level.solvent == "SMD" and level.solvent_name not in solvent_db:
        raise CampaignError(
            f"solvent_name: {level.solvent_name!r} is none of SMD's {len(solvent_db)} solvents; "
            f"{_nearest(level.solvent_name, solvent_db)}e.g. water, ethanol, acetonitrile"
        )


def _nearest(name: str, known: Iterable[str]) -> str:
    folded = {candidate.lower(): candidate for candidate in known}
    plain = name.lower().replace("-", "").replace("_", "")
    near = difflib.get_close_matches(plain, folded, n=3, cutoff=0.6)
    return f"nearest: {', '.join(folded[n] for n in near)}; " if near else ""
