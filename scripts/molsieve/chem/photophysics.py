"""Rates of light emission and of the way back from T1 to S1, from vertical excitations.

Simple models, for order-of-magnitude comparisons inside one family of molecules; vibronic coupling,
the change of spin-orbit coupling with the twist and the charge-transfer character are left out.
"""

from __future__ import annotations

import numpy as np

from molsieve.units import BOLTZMANN_EV_PER_K, EV_NM, EV_PER_CM, HBAR_EV_FS

RADIATIVE_CM2_S = 1.4992
"""Of a two-level emitter in vacuum: f ν̄² τ, from A = 2 π e² ν̄² f / (ε₀ m c), cm⁻² s."""


def wavelength_nm(energy_ev: np.ndarray | float) -> np.ndarray:
    """Wavelength of a photon in vacuum, nm."""
    return np.asarray(EV_NM / np.asarray(energy_ev, float))


def radiative_rate_per_s(
    oscillator_strength: np.ndarray | float, energy_ev: np.ndarray | float
) -> np.ndarray:
    """Einstein's coefficient of spontaneous emission, s⁻¹: f ν̄² / 1.4992, ν̄ in cm⁻¹, in vacuum.

    Hilborn, Am. J. Phys. 50, 982 (1982), eq. 21 with equal degeneracies; a medium of refractive
    index n is faster by about n².

    Args:
        oscillator_strength: of absorption from the ground state.
        energy_ev: of the emitted photon.
    """
    wavenumber_per_cm = np.asarray(energy_ev, float) / EV_PER_CM
    return np.asarray(oscillator_strength, float) * wavenumber_per_cm**2 / RADIATIVE_CM2_S


def reverse_crossing_rate_per_s(
    gap_ev: np.ndarray | float,
    spin_orbit_coupling_per_cm: float,
    reorganisation_energy_ev: float,
    temperature_k: float,
) -> np.ndarray:
    """Rate of reverse intersystem crossing T1 → S1, s⁻¹, by Fermi's golden rule and Marcus' states.

    2 π / ħ V² (4 π λ k T)^-1/2 exp(-(ΔE_ST + λ)² / (4 λ k T)): Marcus, Annu. Rev. Phys. Chem. 15,
    155 (1964); for emitters of delayed fluorescence Samanta, Kim, Coropceanu, Brédas, J. Am. Chem.
    Soc. 139, 4042 (2017), eq. 1. It has a maximum at ΔE_ST = -λ.

    Args:
        gap_ev: ΔE_ST = S1 - T1; ASSUME the vertical one stands for the adiabatic one.
        spin_orbit_coupling_per_cm: V, ASSUME the same for all molecules.
        reorganisation_energy_ev: λ.
    """
    coupling_ev = spin_orbit_coupling_per_cm * EV_PER_CM
    width_ev2 = 4 * reorganisation_energy_ev * BOLTZMANN_EV_PER_K * temperature_k
    barrier_ev = np.asarray(gap_ev, float) + reorganisation_energy_ev
    density_per_ev = np.exp(-(barrier_ev**2) / width_ev2) / np.sqrt(np.pi * width_ev2)
    return np.asarray(2e15 * np.pi / HBAR_EV_FS * coupling_ev**2 * density_per_ev)
