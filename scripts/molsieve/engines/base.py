"""What every engine shares: a calculation's label, its typed failure, what may be computed.

Atomic units stop at the engines' door: everything here is in eV, Å and e.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import ase
import numpy as np
from ase.data import chemical_symbols

ErrorKind = Literal[
    "scf_not_converged",
    "geometry_not_converged",
    "bad_input",
    "worker_died",
    "timeout",
    "engine_error",
    "roots_not_converged",
    "unstable_ground_state",
]


class CalculationError(Exception):
    """A calculation that gave no label: ``kind`` of the failure and ``message``, its story."""

    def __init__(self, kind: ErrorKind, message: str) -> None:
        super().__init__(kind, message)  # both arguments, so that it survives a process boundary
        self.kind = kind
        self.message = message

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


class EngineUnavailable(Exception):
    """This machine lacks the program or the device behind a level: no word on a structure."""


@dataclass(frozen=True)
class ExcitedStates:
    """Vertical excitations of one geometry: s singlet roots, then t triplet roots, ascending.

    ==================================  ==========  ==============================================
    field                               shape       meaning
    ==================================  ==========  ==============================================
    singlet_energies_ev                 (s,)        above the ground state
    triplet_energies_ev                 (t,)        above the ground state
    oscillator_strengths                (s,)        from the ground state, length gauge
    transition_dipoles_e_angstrom       (s, 3)      from the ground state; the sign is arbitrary
    root_converged                      (s + t,)    all true: an unconverged root is a failure
    orbital_overlaps                    (s + t,)    Λ, 0 charge transfer to 1 local (Peach et al.,
                                                    J. Chem. Phys. 128, 044118 (2008), eq. 5)
    hole_electron_distances_angstrom    (s + t,)    between the centroids of hole and electron
    electron_spreads_angstrom           (s + t,)    electron's root-mean-square radius less the
                                                    hole's (Bäppler et al., Phys. Rev. A 90,
                                                    052521 (2014), for both)
    electron_widths_angstrom            (s + t,)    electron's root-mean-square width where it is
                                                    narrowest: of a π* orbital its thickness
    excitation_flags                    any         words of ``engines.excited_flags``
    ==================================  ==========  ==============================================
    """

    singlet_energies_ev: np.ndarray
    triplet_energies_ev: np.ndarray
    oscillator_strengths: np.ndarray
    transition_dipoles_e_angstrom: np.ndarray
    root_converged: tuple[bool, ...]
    orbital_overlaps: np.ndarray
    hole_electron_distances_angstrom: np.ndarray
    electron_spreads_angstrom: np.ndarray
    electron_widths_angstrom: np.ndarray
    excitation_flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Label:
    """The result of one calculation of N atoms.

    ==========================  ========  ==================================================
    field                       shape     meaning
    ==========================  ========  ==================================================
    energy_ev                             electronic + nuclear repulsion (+ dispersion, solvent)
    forces_ev_per_angstrom      (N, 3)    −∂E/∂R
    stress_ev_per_angstrom3     (3, 3)    ∂E/∂ε / V, periodic cells only; positive: the cell
                                          wants to shrink (ASE's convention)
    dipole_e_angstrom           (3,)      molecules only; charged ones about their centre of mass
                                          (pyscf) or the origin (tblite)
    dispersion_energy_ev                  part of ``energy_ev`` that the dispersion correction is
    homo_ev, lumo_ev                      highest occupied / lowest empty orbital, either spin
    spin_square                           ⟨S²⟩ of an unrestricted determinant
    recovery_step                         step of the recovery ladder that converged, 0: plain
    final_positions_angstrom    (N, 3)    where the geometry was optimised
    excited_states                        where the level asks for them (pyscf)
    ==========================  ========  ==================================================
    """

    energy_ev: float
    forces_ev_per_angstrom: np.ndarray
    stress_ev_per_angstrom3: np.ndarray | None = None
    dipole_e_angstrom: np.ndarray | None = None
    dispersion_energy_ev: float | None = None
    homo_ev: float | None = None
    lumo_ev: float | None = None
    spin_square: float | None = None
    recovery_step: int = 0
    final_positions_angstrom: np.ndarray | None = None
    excited_states: ExcitedStates | None = None


class Engine(Protocol):
    """One level of theory, ready to compute; keeps its last state as the next one's guess."""

    def compute(self, atoms: ase.Atoms) -> Label:
        """The label of ``atoms`` as they stand.

        Raises:
            CalculationError: no number came out; nothing else is raised on purpose.
        """
        ...


def charge_and_multiplicity(atoms: ase.Atoms) -> tuple[int, int]:
    """Total charge (e) and spin multiplicity of ``atoms``; 0 and the lowest possible by default.

    Raises:
        CalculationError: ``bad_input`` where they contradict the number of electrons, or the
            structure is none (no atoms, unknown element, positions that are not finite).
    """
    numbers = atoms.get_atomic_numbers()
    if len(numbers) == 0:
        raise CalculationError("bad_input", "the structure has no atoms")
    if numbers.min() < 1 or numbers.max() >= len(chemical_symbols):
        raise CalculationError("bad_input", f"no element has these atomic numbers: {set(numbers)}")
    if not np.isfinite(atoms.get_positions()).all():
        raise CalculationError("bad_input", "some positions are not finite numbers")
    charge = int(atoms.info.get("charge_e", 0))
    electrons = int(numbers.sum()) - charge
    multiplicity = int(atoms.info.get("multiplicity", 1 + electrons % 2))
    unpaired = multiplicity - 1
    if electrons < 1 or unpaired < 0 or unpaired > electrons or (electrons - unpaired) % 2:
        raise CalculationError(
            "bad_input",
            f"multiplicity {multiplicity} is impossible for {electrons} electrons, charge {charge}",
        )
    return charge, multiplicity


def frontier_orbitals(
    energies: Sequence[np.ndarray], occupied: Sequence[int]
) -> tuple[float | None, float | None]:
    """HOMO and LUMO, in the unit of ``energies``; None where there is no such orbital.

    Args:
        energies: ascending orbital energies of each spin (or one set for all electrons).
        occupied: number of occupied orbitals of each set.
    """
    below = [e[n - 1] for e, n in zip(energies, occupied, strict=True) if n > 0]
    above = [e[n] for e, n in zip(energies, occupied, strict=True) if n < len(e)]
    return (float(max(below)) if below else None), (float(min(above)) if above else None)
