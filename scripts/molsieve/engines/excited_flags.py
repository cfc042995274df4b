"""Words on excited states that are numbers, but may mislead.

======================  ==========================================================================
flag                    the lowest roots ...
======================  ==========================================================================
s1_s2_near_degenerate   S1 and S2 are within 0.1 eV: which is S1 may change with the geometry
t1_t2_near_degenerate   T1 and T2 are within 0.1 eV
inverted_gap            S1 is below T1; TDA and TD-DFT seldom find it, even where it is so
s1_charge_transfer      Λ of S1 is below 0.4: hybrids without range separation place it too low
s1_rydberg              S1's electron is 1 Å wider than its hole, and over 1 Å wide where it is
                        narrowest: basis and functional may lack it
s1_above_ionisation     S1 is above −ε_HOMO, in the functional's continuum (Casida et al., J. Chem.
                        Phys. 108, 4439 (1998))
======================  ==========================================================================
"""

from __future__ import annotations

import numpy as np

from molsieve.engines.excited_character import Character

NEAR_DEGENERATE_EV = 0.1
CHARGE_TRANSFER_OVERLAP = 0.4
"""Peach et al. (2008): below, errors of B3LYP exceed those of local states by far."""
RYDBERG_SPREAD_ANGSTROM = 1.0
RYDBERG_WIDTH_ANGSTROM = 1.0
"""A π* orbital, long as it may be, is 0.4 to 0.9 Å thick; S1 of water, ammonia, ethylene, pyrrole,
furan and imidazole, Rydberg states all, are 1.0 to 1.6 Å (def2-SVPD, PBE0 and CAM-B3LYP). Both
conditions together miss some: methanol's S1 (spread 0.94 Å), 3p states of water and ammonia."""


def flags(
    singlets_ev: np.ndarray, triplets_ev: np.ndarray, character: Character, homo_ev: float
) -> list[str]:
    """The flags (module docstring) of ascending roots; ``character``: singlets, then triplets."""
    found = []
    for energies, name in ((singlets_ev, "s1_s2"), (triplets_ev, "t1_t2")):
        if len(energies) > 1 and energies[1] - energies[0] < NEAR_DEGENERATE_EV:
            found.append(f"{name}_near_degenerate")
    if len(singlets_ev) == 0:
        return found
    if len(triplets_ev) and singlets_ev[0] < triplets_ev[0]:
        found.append("inverted_gap")
    if character.orbital_overlaps[0] < CHARGE_TRANSFER_OVERLAP:
        found.append("s1_charge_transfer")
    spread, width = character.electron_spreads_angstrom[0], character.electron_widths_angstrom[0]
    if is_rydberg(spread, width):
        found.append("s1_rydberg")
    if singlets_ev[0] > -homo_ev:
        found.append("s1_above_ionisation")
    return found


def is_rydberg(spread_angstrom: float, width_angstrom: float) -> bool:
    """Whether an electron ``spread`` beyond its hole and ``width`` where narrowest is so diffuse.

    An n→π* state of a long molecule, such as azobenzene's, is spread by as much, but flat.
    """
    return bool(
        spread_angstrom > RYDBERG_SPREAD_ANGSTROM and width_angstrom > RYDBERG_WIDTH_ANGSTROM
    )
