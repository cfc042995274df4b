"""Kohn-Sham density functional theory with PySCF, on CPU or (gpu4pyscf) on a GPU.

Restricted for singlets, unrestricted otherwise. Forces hold the response of the auxiliary basis
and of the solvent, not that of the integration grid (PySCF's default): with small grids they
differ from the energy's own slope by some meV/Å, which vanishes with the grid.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import warnings
from collections.abc import Iterator
from typing import Any

import ase
import numpy as np
import pyscf.dft
import pyscf.gto
import pyscf.lib
from pyscf.gto.basis import load_ecp
from pyscf.lib.exceptions import BasisNotFoundError

from molsieve import units
from molsieve.engines.base import (
    CalculationError,
    EngineUnavailable,
    Label,
    charge_and_multiplicity,
    frontier_orbitals,
)
from molsieve.engines.dense_exchange import DenseDF
from molsieve.engines.dense_integration import DenseNumInt
from molsieve.engines.excited import excited_states
from molsieve.engines.pyscf_gradient import nuclear_gradient
from molsieve.engines.scf_ladder import converge
from molsieve.levels import PyscfLevel

NUMERICAL_ERRORS = (RuntimeError, ValueError, KeyError, np.linalg.LinAlgError)
GPU_MEMORY = ("out of memory", "outofmemory", "memoryallocation", "alloc_failed")
"""As the parts of CUDA say it, in small letters."""


class PyscfEngine:
    """PySCF at one level; the last density is the guess of the next geometry."""

    def __init__(self, level: PyscfLevel) -> None:
        self.level = level
        self._system: tuple[object, ...] = ()
        self._density: np.ndarray | None = None

    def compute(self, atoms: ase.Atoms) -> Label:
        """Energy, forces, dipole, frontier orbitals, dispersion energy, ⟨S²⟩.

        Raises:
            CalculationError: see :class:`molsieve.engines.base.Engine`.
            EngineUnavailable: the GPU failed.
            MemoryError: the GPU's memory is too small.
        """
        charge, multiplicity = charge_and_multiplicity(atoms)
        if atoms.pbc.any():
            raise CalculationError("bad_input", "pyscf levels take molecules, not periodic cells")
        mf = mean_field(molecule(atoms, charge, multiplicity, self.level.basis), self.level)
        system = (tuple(atoms.numbers), charge, multiplicity)
        guess = self._density if system == self._system else None
        try:
            step = converge(mf, guess)
            states = excited_states(mf, self.level)
            label = dataclasses.replace(_label(mf, self.level, step), excited_states=states)
        except CalculationError:
            raise
        except Exception as error:
            refuse_gpu_fault(error)
            if not isinstance(error, NUMERICAL_ERRORS):
                raise
            raise CalculationError("engine_error", f"{type(error).__name__}: {error}") from error
        self._system, self._density = system, mf.make_rdm1()
        return label


def molecule(atoms: ase.Atoms, charge: int, multiplicity: int, basis: str) -> pyscf.gto.Mole:
    """The PySCF molecule, with the effective core potentials that belong to the basis.

    Raises:
        CalculationError: ``bad_input`` for a basis that lacks an element, or two atoms in one.
    """
    symbols = atoms.get_chemical_symbols()
    distances = atoms.get_all_distances() + 10.0 * np.eye(len(atoms))
    if distances.min() < 0.1:
        raise CalculationError("bad_input", "two atoms are closer than 0.1 Å")
    with _missing_functions(f"basis {basis!r}"):
        return pyscf.gto.M(
            atom=list(zip(symbols, atoms.positions.tolist(), strict=True)),
            unit="Angstrom",
            basis=basis,
            ecp={symbol: basis for symbol in set(symbols) if has_core_potential(basis, symbol)},
            charge=charge,
            spin=multiplicity - 1,
            verbose=0,
            dump_input=False,
            parse_arg=False,
            max_memory=memory_limit_mb(),
        )


@contextlib.contextmanager
def _missing_functions(what: str) -> Iterator[None]:
    """Turn PySCF's word on an element that a basis lacks into a failure of the structure."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PySCF advertises other sources of basis sets
            yield
    except (BasisNotFoundError, KeyError) as error:
        raise CalculationError("bad_input", f"{what}: {error}") from error


def memory_limit_mb() -> float:
    """Memory (MB) that this process may use: PYSCF_MAX_MEMORY as it stands now, else PySCF's own.

    PySCF reads the variable when it is imported, before a worker may know its share.
    """
    return float(os.environ.get("PYSCF_MAX_MEMORY") or pyscf.lib.param.MAX_MEMORY)


def has_core_potential(basis: str, symbol: str) -> bool:
    """Whether the basis replaces that element's core by a potential (def2 beyond Kr, LANL)."""
    try:
        return bool(load_ecp(basis, symbol))
    except (BasisNotFoundError, KeyError, RuntimeError):
        return False


def mean_field(mol: pyscf.gto.Mole, level: PyscfLevel) -> Any:
    """The level's Kohn-Sham object for ``mol``, not yet converged.

    Raises:
        CalculationError: ``bad_input`` for an auxiliary basis that lacks an element.
        EngineUnavailable: ``device: gpu`` is asked of a machine without it.
    """
    mf = pyscf.dft.RKS(mol) if mol.spin == 0 else pyscf.dft.UKS(mol)
    mf.xc = level.functional
    mf.grids.level = level.grid_level
    mf._numint = DenseNumInt()
    if level.dispersion != "none":
        mf.disp = level.dispersion
    if level.density_fitting:
        mf = mf.density_fit(auxbasis=level.auxiliary_basis)
        if level.device == "cpu":
            mf.with_df = DenseDF(mol, mf.with_df.auxbasis)
    if level.solvent == "SMD":
        mf = mf.SMD()
        mf.with_solvent.solvent = level.solvent_name
    elif level.solvent != "none":
        mf = mf.PCM()
        mf.with_solvent.method = level.solvent
        mf.with_solvent.eps = level.dielectric_constant
    if level.device == "gpu":
        mf = _on_gpu(mf)
    elif level.density_fitting:
        # Kept in memory: without it PySCF recomputes the integrals every cycle.
        with _missing_functions(f"auxiliary basis of {level.basis!r}"):
            mf.with_df.build()
    mf.conv_tol = level.scf_tolerance_hartree
    mf.max_cycle = level.max_cycles
    mf.chkfile = None
    mf.conv_check = False
    return mf


def _on_gpu(mf: Any) -> Any:
    try:
        import gpu4pyscf.tdscf  # noqa: F401  (older ones leave it out of the package itself)
    except ImportError as error:
        raise EngineUnavailable(
            "device: gpu needs gpu4pyscf and a CUDA device on the machine that labels "
            f"(pip install gpu4pyscf-cuda12x, or set device: cpu); {error}"
        ) from error
    try:
        mf._numint = pyscf.dft.numint.NumInt()
        return mf.to_gpu()
    except Exception as error:  # cupy has its own zoo of errors for a missing driver or device
        raise EngineUnavailable(f"no usable GPU: {error}") from error


def refuse_gpu_fault(error: Exception) -> None:
    """Raise another error in place of one that tells of the GPU, not of the structure.

    cupy, and cupy_backends under it, have their own classes for a device that failed or is lost.

    Raises:
        MemoryError: its memory is too small.
        EngineUnavailable: anything else of cupy's.
    """
    if not type(error).__module__.startswith("cupy"):
        return
    message = f"{type(error).__name__}: {error}"
    if isinstance(error, MemoryError) or any(word in message.lower() for word in GPU_MEMORY):
        raise MemoryError(f"on the GPU, {message}") from error
    raise EngineUnavailable(f"the GPU failed: {message}") from error


def _label(mf: Any, level: PyscfLevel, step: int) -> Label:
    energy = float(mf.e_tot) * units.EV_PER_HARTREE
    forces = -nuclear_gradient(mf) * units.EV_PER_ANGSTROM_PER_HARTREE_PER_BOHR
    if not (np.isfinite(energy) and np.isfinite(forces).all()):
        raise CalculationError("engine_error", "PySCF returned numbers that are not finite")
    restricted = mf.mol.spin == 0
    orbitals = _on_host(mf.mo_energy) * units.EV_PER_HARTREE
    occupations = _on_host(mf.mo_occ)
    homo, lumo = frontier_orbitals(
        [np.sort(e) for e in np.atleast_2d(orbitals)],
        [int((o > 0).sum()) for o in np.atleast_2d(occupations)],
    )
    dispersion = None
    if level.dispersion != "none":
        dispersion = float(mf.scf_summary["dispersion"]) * units.EV_PER_HARTREE
    dipole = _on_host(mf.dip_moment(unit="AU", verbose=0)) * units.ANGSTROM_PER_BOHR
    return Label(
        energy_ev=energy,
        forces_ev_per_angstrom=forces,
        dipole_e_angstrom=dipole,
        dispersion_energy_ev=dispersion,
        homo_ev=homo,
        lumo_ev=lumo,
        spin_square=None if restricted else float(mf.spin_square()[0]),
        recovery_step=step,
    )


def _on_host(array: Any) -> np.ndarray:
    return np.asarray(array.get() if hasattr(array, "get") else array)
