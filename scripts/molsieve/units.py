"""Every unit conversion, CODATA 2018. Inside the project: eV, Å, eV/Å, eV/Å³, e, V, K."""

from __future__ import annotations

EV_PER_HARTREE = 27.211386245988
ANGSTROM_PER_BOHR = 0.529177210903
EV_PER_ANGSTROM_PER_HARTREE_PER_BOHR = EV_PER_HARTREE / ANGSTROM_PER_BOHR
E_ANGSTROM_PER_DEBYE = 0.20819433270
BOLTZMANN_EV_PER_K = 8.617333262e-5
EV_PER_KCAL_PER_MOL = 0.043364115
EV_PER_KJ_PER_MOL = 0.010364269656
ANGSTROM_PER_FS2_PER_EV_PER_ANGSTROM_DALTON = 9.64853321233e-3
"""Acceleration of one dalton under a force of 1 eV/Å, Å/fs²."""
HBAR_EV_FS = 0.6582119569
EV_PER_CM = 1.239841984e-4
"""Photon energy of a wavenumber of one cm⁻¹."""
EV_NM = 1239.841984
"""Photon energy times vacuum wavelength."""
