"""Space groups, inequivalent T-sites and oxygens."""

from __future__ import annotations

import numpy as np
import pytest

from molsieve.crystals.framework import Framework
from molsieve.crystals.known import known_framework
from molsieve.crystals.symmetry import o_sites, symmetry_of, t_sites


def test_sites_are_numbered_and_complete():
    framework = known_framework("CHA")
    symmetry = symmetry_of(framework)
    sites = o_sites(framework, symmetry)
    assert [site.name for site in sites] == ["O1", "O2", "O3", "O4"]
    assert [len(site.members) for site in sites] == [18, 18, 18, 18]
    together = np.sort(np.concatenate([site.members for site in sites]))
    assert np.array_equal(together, framework.o_index)


def test_operations_map_sites_onto_themselves():
    framework = known_framework("ABW")
    symmetry = symmetry_of(framework)
    scaled = framework.atoms.get_scaled_positions()
    for rotation, translation in zip(symmetry.rotations, symmetry.translations, strict=True):
        apart = (scaled @ rotation.T + translation)[:, None] - scaled[None]
        onto = np.abs(apart - np.rint(apart)).max(axis=2).argmin(axis=1)
        assert np.array_equal(symmetry.orbits[onto], symmetry.orbits)


def test_a_heteroatom_breaks_the_symmetry():
    atoms = known_framework("SOD").atoms.copy()
    atoms.symbols[0] = "Al"
    framework = Framework("SOD", atoms)
    assert len(t_sites(framework, symmetry_of(framework))) > 1


def test_a_tighter_tolerance_splits_the_site_of_rounded_coordinates():
    """The typed-in CHA is exact; the files of databases are not."""
    atoms = known_framework("CHA").atoms.copy()
    atoms.positions += np.random.default_rng(0).uniform(-1e-3, 1e-3, atoms.positions.shape)
    framework = Framework("CHA", atoms)
    assert len(t_sites(framework, symmetry_of(framework))) == 1
    assert len(t_sites(framework, symmetry_of(framework, 1e-4))) == 36


@pytest.mark.parametrize("code", ["SOD", "quartz"])
def test_orbits_name_their_first_atom(code):
    symmetry = symmetry_of(known_framework(code))
    assert (symmetry.orbits <= np.arange(len(symmetry.orbits))).all()
    assert np.array_equal(symmetry.orbits[symmetry.orbits], symmetry.orbits)
