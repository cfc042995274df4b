"""Ground states of free atoms (NIST Atomic Spectra Database, ground levels)."""

from __future__ import annotations

import re

_MULTIPLICITIES = """
H 2 He 1 Li 2 Be 1 B 2 C 3 N 4 O 3 F 2 Ne 1 Na 2 Mg 1 Al 2 Si 3 P 4 S 3 Cl 2 Ar 1
K 2 Ca 1 Sc 2 Ti 3 V 4 Cr 7 Mn 6 Fe 5 Co 4 Ni 3 Cu 2 Zn 1 Ga 2 Ge 3 As 4 Se 3 Br 2 Kr 1
Rb 2 Sr 1 Y 2 Zr 3 Nb 6 Mo 7 Tc 6 Ru 5 Rh 4 Pd 1 Ag 2 Cd 1 In 2 Sn 3 Sb 4 Te 3 I 2 Xe 1
"""

GROUND_STATE_MULTIPLICITY: dict[str, int] = {
    symbol: int(multiplicity) for symbol, multiplicity in re.findall(r"(\w+) (\d)", _MULTIPLICITIES)
}
"""Spin multiplicity 2S+1 of the neutral atom's ground level, hydrogen to xenon."""
