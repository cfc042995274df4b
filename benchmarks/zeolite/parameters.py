"""Published constants of the force field, each with where it was read again.

Framework: Nicholas, Hopfinger, Trouw, Iton, J. Am. Chem. Soc. 113, 4792 (1991): 597.32 kcal/mol/Å²
(Si-O), 138.12 kcal/mol/rad² (O-Si-O), the quadratic 10.85 kcal/mol/rad² of Si-O-Si and the
Urey-Bradley 54.66 kcal/mol/Å² of Si...Si, as two programs have them; its cubic and quartic terms of
Si-O-Si and its torsion (-0.7 kcal/mol) are left out. Charges: TraPPE-zeo, Bai, Tsapatsis,
Siepmann, J. Phys. Chem. C 117, 24375 (2013).
Contacts and guests: Dreiding, Mayo, Olafson, Goddard, J. Phys. Chem. 94, 8897 (1990), by the table
and the rules of Goddard's own group (github.com/caltechmsc/dreid-forge: default.params.toml,
paramgen.rs). All hydrogens are its H_: hydrogen bonds come from charges.
"""

from __future__ import annotations

EV_PER_KCAL = 0.0433641

DREIDING = {
    1: (3.195, 0.0152, 12.382),
    5: (4.02, 0.095, 14.23),
    6: (3.8983, 0.0951, 14.034),
    7: (3.6621, 0.0774, 13.843),
    8: (3.4046, 0.0957, 13.483),
    9: (3.4720, 0.0725, 14.444),
    11: (3.144, 0.5, 12.0),
    13: (4.39, 0.31, 12.0),
    14: (4.27, 0.31, 12.0),
    15: (4.15, 0.32, 12.0),
    16: (4.03, 0.344, 12.0),
    17: (3.9503, 0.2833, 13.861),
    32: (4.27, 0.40, 12.0),
    33: (4.15, 0.41, 12.0),
    34: (4.03, 0.43, 12.0),
    35: (3.95, 0.37, 12.0),
    53: (4.15, 0.51, 12.0),
}
"""By atomic number: distance of the minimum (Å), depth (kcal/mol), steepness ζ of the
exponential-6. Of a pair: the mean, the geometric mean, the mean."""

SI_O, O_SI_O, SI_O_SI, SI_SI = (k * EV_PER_KCAL for k in (597.32, 138.12, 10.85, 54.66))
"""Force constants of the framework, eV/Å², eV/rad²."""
STRETCH, BEND = 700 * EV_PER_KCAL, 100 * EV_PER_KCAL
"""Of guests: Dreiding's single bond, its angle, eV/Å², eV/rad²."""
TORSION = 9 * EV_PER_KCAL
"""eV a bond: 1 - cos(φ - φ0) with the curvature of Dreiding's threefold 2 kcal/mol of single
bonds; the orders of bonds are not told."""
SILICON_CHARGE, OXYGEN_CHARGE = 1.5, -0.75
