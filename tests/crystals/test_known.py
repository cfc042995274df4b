"""The typed-in frameworks against the reference tables of this project and against experiment."""

from __future__ import annotations

import json
from importlib.resources import files

import numpy as np
import pytest

from molsieve.crystals.framework import FrameworkError
from molsieve.crystals.known import known_codes, known_framework
from molsieve.crystals.symmetry import o_sites, symmetry_of, t_sites

# shared/facts/REFERENCES.md, section 3: space group, T- and O-sites, T atoms a cell, density
REFERENCE = {
    "SOD": ("Im-3m", 1, 1, 12, 16.65),
    "ABW": ("Imma", 1, 3, 8, 17.59),
    "ACO": ("Im-3m", 1, 2, 16, 16.46),
    "CHA": ("R-3m", 1, 4, 36, 15.05),
    "RHO": ("Im-3m", 1, 2, 48, 14.46),
    "LTA": ("Pm-3m", 1, 3, 24, 14.17),
    "quartz": ("P3_221", 1, 1, 3, 26.52),
}


def test_codes():
    assert set(known_codes()) == set(REFERENCE)


@pytest.mark.parametrize("code", REFERENCE)
def test_facts(code):
    framework = known_framework(code)
    symmetry = symmetry_of(framework)
    sites, oxygens = t_sites(framework, symmetry), o_sites(framework, symmetry)
    density = round(framework.density_t_per_1000_angstrom3, 2)
    found = (symmetry.space_group, len(sites), len(oxygens), len(framework.t_index), density)
    assert found == REFERENCE[code]


@pytest.mark.parametrize("code", REFERENCE)
def test_multiplicities_and_source_are_typed_in(code):
    text = files("molsieve.crystals").joinpath("known_frameworks.json").read_text("utf-8")
    entry = json.loads(text)[code]
    framework = known_framework(code)
    symmetry = symmetry_of(framework)
    sites = t_sites(framework, symmetry) + o_sites(framework, symmetry)
    assert sorted(site[1] for site in entry["sites"]) == sorted(len(s.members) for s in sites)
    assert entry["source"]


@pytest.mark.parametrize("code", REFERENCE)
def test_bonds_are_of_silica(code):
    framework = known_framework(code)
    bonds, atoms = framework.bonds, framework.atoms
    vector = atoms.positions[bonds.o] + bonds.image @ atoms.cell.array - atoms.positions[bonds.t]
    length = np.linalg.norm(vector, axis=1)
    assert length.min() > 1.60 and length.max() < 1.62


def test_quartz_as_measured():
    """Levien, Prewitt and Weidner (1980): mean Si–O 1.6092(7) Å, Si–O–Si 143.73(7)°."""
    framework = known_framework("quartz")
    bonds, atoms = framework.bonds, framework.atoms
    vector = atoms.positions[bonds.t] - atoms.positions[bonds.o] - bonds.image @ atoms.cell.array
    length = np.linalg.norm(vector, axis=1)
    assert length.mean() == pytest.approx(1.6092, abs=7e-4)
    one, other = (vector[np.flatnonzero(bonds.o == framework.o_index[0])[k]] for k in (0, 1))
    cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
    assert np.degrees(np.arccos(cosine)) == pytest.approx(143.73, abs=0.07)


def test_unknown_code():
    with pytest.raises(FrameworkError, match=r"no framework 'XYZ' is typed in; there are SOD, ABW"):
        known_framework("XYZ")
