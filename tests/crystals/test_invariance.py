"""What is known of a framework does not depend on how it is written down."""

from __future__ import annotations

import ase
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from molsieve.crystals.framework import Framework, supercell
from molsieve.crystals.known import known_framework
from molsieve.crystals.pores import pores
from molsieve.crystals.rings import rings
from molsieve.crystals.symmetry import o_sites, symmetry_of, t_sites

CODES = st.sampled_from(["SOD", "ABW", "ACO", "quartz"])
SEEDS = st.integers(0, 2**32 - 1)
REPEATS = st.sampled_from([(1, 1, 1), (2, 1, 1), (1, 1, 2)])


def rewritten(framework: Framework, seed: int) -> Framework:
    """The same crystal: atoms in another order, origin elsewhere, turned, atoms in other cells."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(framework.atoms))
    turn = Rotation.random(rng=random).as_matrix()
    cell = framework.atoms.cell.array
    images = random.integers(-2, 3, (len(order), 3)) @ cell
    positions = framework.atoms.positions + images + random.normal(size=3)
    atoms = ase.Atoms(
        framework.atoms.numbers[order], positions[order] @ turn, cell=cell @ turn, pbc=True
    )
    return Framework(framework.name, atoms)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(code=CODES, seed=SEEDS, repeats=REPEATS)
def test_symmetry_density_and_rings(code, seed, repeats):
    framework = known_framework(code)
    other = rewritten(supercell(framework, repeats), seed)
    expected, found = symmetry_of(framework), symmetry_of(other)
    # a left-handed crystal would be the other of the two; turning keeps the hand
    assert found.number == expected.number
    assert len(t_sites(other, found)) == len(t_sites(framework, expected))
    assert len(o_sites(other, found)) == len(o_sites(framework, expected))
    assert other.density_t_per_1000_angstrom3 == pytest.approx(
        framework.density_t_per_1000_angstrom3
    )
    assert rings(other, 8).sites == rings(framework, 8).sites


@settings(max_examples=6, deadline=None, derandomize=True)
@given(code=CODES, seed=SEEDS, repeats=REPEATS)
def test_pores(code, seed, repeats):
    framework = known_framework(code)
    found = pores(rewritten(supercell(framework, repeats), seed))
    expected = pores(framework)
    for name in ("largest_included_angstrom", "free_in_dimensions_angstrom", "free_along_angstrom"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=1e-6)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(seed=SEEDS)
def test_a_missing_atom_is_always_found(seed):
    atoms = rewritten(known_framework("ACO"), seed).atoms.copy()
    del atoms[seed % len(atoms)]
    with pytest.raises(ValueError, match=r"instead of [24]: "):
        Framework("ACO", atoms)
