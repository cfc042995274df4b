"""Neighbour lists kept between calls: always those of a fresh search."""

from dataclasses import replace

import ase.build
import numpy as np
import pytest
import torch

from molsieve.potential.batches import AtomsBatch
from molsieve.potential.neighbours import NeighbourCache, neighbour_list
from tests.potential.random_members import random_committee

CUTOFF = 4.0


def structures(periodic):
    molecules = [ase.build.molecule(name) for name in ("CH3CH2OH", "C6H6", "H2O")]
    if not periodic:
        return molecules
    layer = ase.build.fcc111("Cu", (2, 2, 2), vacuum=6.0, periodic=False)
    return [ase.build.bulk("NaCl", "rocksalt", a=5.6), ase.build.bulk("Si", cubic=True), layer]


def assert_fresh(edges, batch):
    fresh = neighbour_list(batch, CUTOFF)
    for name in ("centre", "neighbour", "images", "structure"):
        ours, theirs = getattr(edges, name), getattr(fresh, name)
        assert (ours is None and theirs is None) or torch.equal(ours, theirs)


@pytest.mark.parametrize("periodic", [False, True])
def test_a_random_walk_meets_the_fresh_list_at_every_step(periodic):
    batch = AtomsBatch.from_atoms(structures(periodic))
    torch.manual_seed(0)
    cache = NeighbourCache(CUTOFF, skin_angstrom=0.6)
    steps = 30
    for _ in range(steps):
        moved = batch.positions + 0.04 * torch.randn_like(batch.positions)
        batch = batch.with_positions(moved)
        assert_fresh(cache(batch), batch)
    assert 1 < cache.searches < steps / 2


def test_a_cell_under_strain_meets_the_fresh_list_at_every_step():
    batch = AtomsBatch.from_atoms(structures(True)[:2])
    cache = NeighbourCache(CUTOFF, skin_angstrom=0.6)
    rng = np.random.default_rng(1)
    for _ in range(20):
        deformation = torch.from_numpy(np.eye(3) + rng.normal(0, 0.03, (2, 3, 3)))
        positions = torch.einsum(
            "ni,nij->nj", batch.positions, deformation.index_select(0, batch.structure)
        )
        batch = replace(batch, positions=positions, cell=batch.cell @ deformation)
        assert_fresh(cache(batch), batch)
    assert 1 < cache.searches < 15


def test_a_jump_is_noticed():
    """An atom from far away, and one that comes half the skin and a little more."""
    pair = ase.Atoms("H2", [[0, 0, 0], [4.65, 0, 0]])
    cache = NeighbourCache(CUTOFF, skin_angstrom=0.6)
    assert len(cache(AtomsBatch.from_atoms([pair])).centre) == 0
    pair.positions = [[0.33, 0, 0], [4.32, 0, 0]]
    assert len(cache(AtomsBatch.from_atoms([pair])).centre) == 2
    assert cache.searches == 2


def test_other_structures_and_another_cell_of_a_layer_are_searched_anew():
    cache = NeighbourCache(CUTOFF)
    for atoms in (*structures(False), *structures(True)):
        batch = AtomsBatch.from_atoms([atoms])
        assert_fresh(cache(batch), batch)
    layer = structures(True)[2]
    layer.cell[0] *= 1.2
    batch = AtomsBatch.from_atoms([layer])
    assert_fresh(cache(batch), batch)
    assert cache.searches == 7


def test_pairs_beyond_the_cutoff_contribute_nothing():
    committee = random_committee(cutoff_angstrom=CUTOFF)
    for periodic in (False, True):
        batch = AtomsBatch.from_atoms(structures(periodic))
        within, more = (neighbour_list(batch, CUTOFF + skin) for skin in (0.0, 0.8))
        assert len(more.centre) > len(within.centre)
        one, other = (committee(batch, edges=edges) for edges in (within, more))
        torch.testing.assert_close(one.energies, other.energies, rtol=1e-9, atol=1e-6)
        torch.testing.assert_close(one.forces, other.forces, rtol=1e-5, atol=1e-5)
