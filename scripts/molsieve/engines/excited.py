"""Vertical excited states of a converged PySCF ground state: TDA or full TD-DFT.

Casida's equations are solved by PySCF's own Davidson solvers. With density fitting on a CPU the
products they ask for come from :mod:`molsieve.engines.excited_response`; otherwise (exact
integrals, gpu4pyscf) they are PySCF's.

A root that does not converge, and a ground state that is no minimum (a negative eigenvalue of the
triplet or singlet problem; for full TD-DFT also of A + B), are failures: no number of such a
calculation means anything. TDA without triplet roots does not look for a triplet instability. What
is a number but may mislead is a flag (:mod:`molsieve.engines.excited_flags`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pyscf.data.elements
import pyscf.tdscf.rks
from pyscf import lib

from molsieve import units
from molsieve.engines.base import CalculationError, ExcitedStates
from molsieve.engines.excited_character import Character, characters
from molsieve.engines.excited_flags import flags
from molsieve.engines.excited_response import Response, Space, disturbed
from molsieve.excitation_settings import Excitations
from molsieve.levels import PyscfLevel

SPARE_GUESSES = 9
"""Start vectors beyond the roots asked for: so that no low root of another symmetry is missed."""
MAX_ITERATIONS = 100
UNSTABLE_HARTREE = 0.0
WAVELENGTH_NM_EV = 1239.841984


def absorption_wavelength_nm(energy_ev: np.ndarray) -> np.ndarray:
    """Wavelength (nm) of light whose photons have ``energy_ev``."""
    return WAVELENGTH_NM_EV / np.asarray(energy_ev)


def excited_states(mf: Any, level: PyscfLevel) -> ExcitedStates | None:
    """Excited states of the converged mean field ``mf``, as ``level`` asks.

    None where the level asks for none, for open shells and for lone atoms: those are labelled with
    excitations only as references of energy.

    Raises:
        CalculationError: ``roots_not_converged``, ``unstable_ground_state``.
    """
    settings = level.excitations
    if settings is None or mf.mol.spin != 0 or mf.mol.natm == 1:
        return None
    solver = _Solver(mf, level, settings)
    solver.refuse_instability()
    singlets = solver.roots(singlet=True, number=settings.singlets)
    triplets = solver.roots(singlet=False, number=settings.triplets)
    return _result(mf, singlets, triplets)


class _DenseTDA(pyscf.tdscf.rks.TDA):  # type: ignore[misc]
    """PySCF's TDA with the products of :class:`Response`."""

    _keys: ClassVar[set[str]] = {"response"}
    response: Response

    def gen_vind(self, mf: Any = None) -> tuple[Any, np.ndarray]:
        return (
            lambda vectors: self.response.a_product(np.asarray(vectors), self.singlet),
            self.response.a_diagonal(self.singlet),
        )

    def kernel(self, x0: np.ndarray, nstates: int | None = None) -> Any:
        """Davidson's method with one new vector a root and iteration: PySCF's TDA takes up to 20,
        which only pays where a product costs no more for being of many vectors."""
        products, diagonal = self.gen_vind()
        self.converged, self.e, vectors = lib.davidson1(
            lambda xs: list(products(xs)),
            list(x0),
            diagonal,
            tol=self.conv_tol**2,
            tol_residual=self.conv_tol,
            max_cycle=self.max_cycle,
            max_space=max(12, 10 * self.nstates) + len(x0),
            nroots=self.nstates,
            max_memory=self.max_memory,
            verbose=0,
        )
        shape = self.response.space.shape
        # PySCF's normalisation: ½ for each spin.
        self.xy = [(np.sqrt(0.5) * vector.reshape(shape), 0) for vector in vectors]
        return self.e, self.xy


class _DenseTDDFT(pyscf.tdscf.rks.TDDFT):  # type: ignore[misc]
    """PySCF's TD-DFT with the products of :class:`Response`."""

    _keys: ClassVar[set[str]] = {"response"}
    response: Response

    def gen_vind(self, mf: Any = None) -> tuple[Any, np.ndarray]:
        def products(vectors: np.ndarray) -> np.ndarray:
            x, y = np.hsplit(np.asarray(vectors), 2)
            top, bottom = self.response.ab_products(x, y, self.singlet)
            return np.hstack((top, -bottom))

        diagonal = self.response.a_diagonal(self.singlet)
        return products, np.hstack((diagonal, -diagonal))


class _Solver:
    """Roots of one ground state; what singlets and triplets share is built once."""

    def __init__(self, mf: Any, level: PyscfLevel, settings: Excitations) -> None:
        self.mf, self.level, self.settings = mf, level, settings
        self.frozen: list[int] = []
        self.response: Response | None = None
        if level.device == "cpu" and level.density_fitting:
            mf._numint.forget()  # the response wants the memory
            self.frozen = frozen_orbitals(mf, settings)
            # PySCF's own continuum at the dielectric constant of light, 1.78.
            follows = hasattr(mf, "with_solvent") and settings.solvent_response
            solvent = mf.TDA(equilibrium_solvation=False).with_solvent if follows else None
            grid_level = settings.kernel_grid_level
            self.response = Response(
                mf,
                Space.of(mf, self.frozen),
                mf.grids.level if grid_level is None else grid_level,
                settings.method == "tddft",
                solvent,
            )

    def roots(self, singlet: bool, number: int) -> Any:
        """PySCF's TD object with ``number`` converged roots; None where none is asked for.

        Raises:
            CalculationError: ``roots_not_converged`` or ``unstable_ground_state``.
        """
        number = min(number, self.configurations())
        if number == 0:
            return None
        td = self._method()
        td.singlet, td.nstates = singlet, number
        td.conv_tol, td.max_cycle = self.settings.residual_tolerance, MAX_ITERATIONS
        td.positive_eig_threshold = -np.inf  # a negative root is found and refused, not skipped
        td.kernel(x0=self._guess(td))
        spin = "singlet" if singlet else "triplet"
        converged = _on_host(td.converged)
        if len(td.e) < number or not converged.all():
            raise CalculationError(
                "roots_not_converged",
                f"{converged.sum()} of {number} {spin} roots converged in "
                f"{MAX_ITERATIONS} iterations",
            )
        lowest = float(_on_host(td.e).min())
        if not lowest > UNSTABLE_HARTREE:  # nor a number that is none
            raise _unstable(spin, lowest)
        return td

    def refuse_instability(self) -> None:
        """Full TD-DFT has imaginary roots where A + B has a negative eigenvalue: look for it.

        PySCF's solvers would leave those roots out and go on with the next.

        Raises:
            CalculationError: ``unstable_ground_state``.
        """
        if self.settings.method != "tddft":
            return
        for singlet in (False, True):
            td = self._method()
            td.singlet, td.nstates = singlet, 1
            product, diagonal = _a_plus_b(td, self.mf, self.configurations())
            lowest = np.argsort(diagonal)[:SPARE_GUESSES]
            guess = list((np.arange(diagonal.size) == lowest[:, None]).astype(float))
            converged, roots, _ = lib.davidson1(
                product, guess, diagonal, tol=1e-6, max_cycle=MAX_ITERATIONS, verbose=0
            )
            if np.min(roots) <= UNSTABLE_HARTREE:
                raise _unstable("singlet" if singlet else "triplet", float(np.min(roots)))
            if not np.all(converged):
                raise CalculationError(
                    "roots_not_converged", "the ground state's stability could not be determined"
                )

    def configurations(self) -> int:
        """How many roots there are: the products of an occupied and a virtual orbital."""
        return len(_gaps(self.mf) if self.response is None else self.response.gaps)

    def _method(self) -> Any:
        tda = self.settings.method == "tda"
        if self.response is None:
            return _plain_method(self.mf, tda, self.settings)
        td = (_DenseTDA if tda else _DenseTDDFT)(_without_solvent(self.mf), self.frozen)
        td.response = self.response
        td.verbose = 0
        return td

    def _guess(self, td: Any) -> np.ndarray:
        number = td.nstates + SPARE_GUESSES
        if self.response is not None:
            guess = self.response.guess(number, td.singlet)
        else:
            gaps = _gaps(self.mf)
            guess = disturbed(np.eye(gaps.size)[np.argsort(gaps, kind="stable")[:number]])
            if not self.mf._numint.libxc.is_hybrid_xc(self.mf.xc):
                return guess  # PySCF's solvers without exact exchange look for X + Y alone
        return guess if self.settings.method == "tda" else np.hstack((guess, 0 * guess))


def _gaps(mf: Any) -> np.ndarray:
    """(ov,) ε_a − ε_i, hartree."""
    energies, occupations = _on_host(mf.mo_energy), _on_host(mf.mo_occ)
    return (energies[occupations == 0] - energies[occupations > 0][:, None]).ravel()


def frozen_orbitals(mf: Any, settings: Excitations) -> list[int]:
    """Indices of the orbitals that take no part: inner shells, virtuals too high."""
    core = pyscf.data.elements.chemcore(mf.mol) if settings.frozen_core else 0
    frozen = list(range(min(core, mf.mol.nelectron // 2 - 1)))
    if settings.highest_virtual_ev is not None:
        above = mf.mo_energy * units.EV_PER_HARTREE > settings.highest_virtual_ev
        virtual = np.flatnonzero(mf.mo_occ == 0)
        frozen += [int(i) for i in virtual[1:] if above[i]]
    return frozen


Product = Callable[[list[np.ndarray]], list[np.ndarray]]


def _a_plus_b(td: Any, mf: Any, configurations: int) -> tuple[Product, np.ndarray]:
    """Product with A + B, and its diagonal (configurations,), hartree."""
    products, diagonal = td.gen_vind(mf)
    diagonal = _on_host(diagonal)
    if len(diagonal) == configurations:
        # PySCF's solver for functionals without exact exchange has √Δ (A + B) √Δ, hartree², Δ the
        # orbitals' gaps: its eigenvalues have the same signs (Sylvester's law of inertia).
        return lambda vectors: list(_on_host(products(np.asarray(vectors)))), diagonal

    def product(vectors: list[np.ndarray]) -> list[np.ndarray]:
        x = np.asarray(vectors)
        return list(np.hsplit(_on_host(products(np.hstack((x, x)))), 2)[0])

    return product, diagonal[:configurations]


def _without_solvent(mf: Any) -> Any:
    return mf.undo_solvent() if hasattr(mf, "with_solvent") else mf


def _plain_method(mf: Any, tda: bool, settings: Excitations) -> Any:
    if hasattr(mf, "with_solvent") and not settings.solvent_response:
        mf = _without_solvent(mf)
    td = mf.TDA() if tda else mf.TDDFT()
    td.verbose = 0
    return td


def _unstable(spin: str, lowest: float) -> CalculationError:
    return CalculationError(
        "unstable_ground_state",
        f"the lowest {spin} eigenvalue is {lowest:.4f} hartree: the closed-shell determinant is no "
        "minimum (a diradical, a stretched bond), so it has no excitations",
    )


def _result(mf: Any, singlets: Any, triplets: Any) -> ExcitedStates:
    roots = [td for td in (singlets, triplets) if td is not None]
    character = Character.joined([characters(mf, td) for td in roots])
    energies = {td.singlet: _on_host(td.e) * units.EV_PER_HARTREE for td in roots}
    dipoles, strengths = np.zeros((0, 3)), np.zeros(0)
    if singlets is not None:
        dipoles = _on_host(singlets.transition_dipole()) * units.ANGSTROM_PER_BOHR
        strengths = _on_host(singlets.oscillator_strength(gauge="length"))
    s, t = energies.get(True, np.zeros(0)), energies.get(False, np.zeros(0))
    homo = float(np.max(_on_host(mf.mo_energy)[_on_host(mf.mo_occ) > 0])) * units.EV_PER_HARTREE
    return ExcitedStates(
        singlet_energies_ev=s,
        triplet_energies_ev=t,
        oscillator_strengths=strengths,
        transition_dipoles_e_angstrom=dipoles,
        root_converged=(True,) * (len(s) + len(t)),
        orbital_overlaps=character.orbital_overlaps,
        hole_electron_distances_angstrom=character.hole_electron_distances_angstrom,
        electron_spreads_angstrom=character.electron_spreads_angstrom,
        electron_widths_angstrom=character.electron_widths_angstrom,
        excitation_flags=tuple(flags(s, t, character, homo)),
    )


def _on_host(array: Any) -> np.ndarray:
    return np.asarray(array.get() if hasattr(array, "get") else array)
