"""Files of IZA frameworks, where they are: they are not part of this project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from molsieve.crystals.cif import read_framework
from molsieve.crystals.framework import primitive
from molsieve.crystals.pores import pores
from molsieve.crystals.rings import rings
from molsieve.crystals.symmetry import o_sites, symmetry_of, t_sites

DATA = Path(os.environ.get("MOLSIEVE_DATA", Path(__file__).parents[3] / "shared" / "data"))

# shared/facts/REFERENCES.md, section 3, relaxed files; largest ring, channels: Atlas, recalled
REFERENCE = {
    "SOD": ("Im-3m", 1, 1, 12, 16.97, 6, 0),
    "TON": ("Cmcm", 4, 6, 24, 18.53, 10, 1),
    "SFE": ("P2_1/m", 7, 11, 14, 17.22, 12, 1),
    "FER": ("Immm", 4, 8, 36, 17.94, 10, 2),
    "MFI": ("Pnma", 12, 26, 96, 18.19, 10, 3),
}


@pytest.mark.skipif(not (DATA / "iza_cif").is_dir(), reason=f"no {DATA / 'iza_cif'}")
@pytest.mark.parametrize("code", REFERENCE)
def test_as_in_the_reference_table(code):
    framework = read_framework(DATA / "iza_cif" / f"{code}.cif")
    symmetry = symmetry_of(framework)
    found = (
        symmetry.space_group,
        len(t_sites(framework, symmetry)),
        len(o_sites(framework, symmetry)),
        len(framework.t_index),
        round(framework.density_t_per_1000_angstrom3, 2),
        rings(primitive(framework), 12).largest,
        pores(framework).dimensionality(),
    )
    assert found == REFERENCE[code]
