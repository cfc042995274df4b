"""Pairs kept structure by structure: always those of a fresh search, whoever comes or goes."""

import ase.build
import pytest
import torch

from molsieve.potential.batches import AtomsBatch
from molsieve.potential.neighbours import neighbour_list
from molsieve.potential.verlet_lists import VerletLists

CUTOFF = 4.0


def structures():
    layer = ase.build.fcc111("Cu", (2, 2, 2), vacuum=6.0, periodic=False)
    salt = ase.build.bulk("NaCl", "rocksalt", a=5.6)
    return [salt, ase.build.bulk("Si", cubic=True), layer, ase.build.molecule("C6H6"), salt * 2]


def assert_fresh(edges, batch):
    fresh = neighbour_list(batch, CUTOFF)
    for name in ("centre", "neighbour", "images", "structure"):
        assert torch.equal(getattr(edges, name), getattr(fresh, name)), name


def test_comings_and_goings_meet_the_fresh_list_at_every_step():
    atoms = structures()
    lists = VerletLists(CUTOFF)
    seatings = [[0, 1, 3], [0, 1, 3], [1, 0, 3], [1, 0], [1, 0], [4, 2, 0], [2, 4, 3, 1, 0]]
    torch.manual_seed(0)
    steps = 0
    for keys in seatings:
        for _ in range(4):
            steps += len(keys)
            for a in atoms:
                a.positions += 0.05 * torch.randn(len(a), 3).numpy()
            batch = AtomsBatch.from_atoms([atoms[k] for k in keys])
            assert_fresh(lists(batch, keys), batch)
    assert len(atoms) < lists.searched < steps / 2


@pytest.mark.parametrize("moved", [0, 1])
def test_only_who_moved_far_is_searched_anew(moved):
    atoms = structures()[:3]
    lists = VerletLists(CUTOFF, skin_angstrom=0.6)
    lists(AtomsBatch.from_atoms(atoms), range(3))
    assert lists.searched == 3
    atoms[moved].positions[-1, 0] += 0.29
    lists(AtomsBatch.from_atoms(atoms), range(3))
    assert lists.searched == 3
    atoms[moved].positions[-1, 0] += 0.03
    batch = AtomsBatch.from_atoms(atoms)
    assert_fresh(lists(batch, range(3)), batch)
    assert lists.searched == 4


def test_a_lost_atom_does_not_stop_the_others():
    atoms = structures()[:2]
    lists = VerletLists(CUTOFF)
    lists(AtomsBatch.from_atoms(atoms), [7, 9])
    batch = AtomsBatch.from_atoms(atoms)
    batch.positions[0] = torch.nan
    edges = lists(batch, [7, 9])
    alone = neighbour_list(AtomsBatch.from_atoms(atoms[1:]), CUTOFF)
    assert int((edges.structure == 1).sum()) == len(alone.centre)
