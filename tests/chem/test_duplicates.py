"""One geometry counts once, however its atoms are numbered and turned and its cell is chosen."""

from __future__ import annotations

import ase
import ase.build
import numpy as np
import pandas as pd
import pytest

from molsieve.chem.duplicates import distance_fingerprint, without_duplicates
from molsieve.chem.identities import structure_row
from tests.morse_committee import cluster

NOTHING = pd.DataFrame([]).assign(species_id=[])


def row_of(atoms: ase.Atoms) -> dict:
    return structure_row(atoms, species_id="s", origin="attack", geometry_protocol_id="g")


def test_fingerprint_is_blind_to_permutation_rotation_and_translation():
    atoms = cluster("C2H2O", 1)
    row = row_of(atoms)
    turned = atoms[[1, 0, 3, 2, 4]]
    turned.rotate(37, (1, 2, 3))
    turned.translate((1, 2, 3))
    same = row_of(turned)
    assert np.allclose(distance_fingerprint(row), distance_fingerprint(same), atol=1e-4)
    atoms.positions[0] += 0.2
    other = row_of(atoms)
    assert [r is row for r in without_duplicates([row, same, other], NOTHING)] == [True, False]


def test_a_mirror_image_is_the_same():
    atoms = cluster("C2H2O", 1)
    mirrored = atoms.copy()
    mirrored.positions[:, 0] *= -1
    assert len(without_duplicates([row_of(atoms), row_of(mirrored)], NOTHING)) == 1


def crystal(seed: int = 0) -> ase.Atoms:
    atoms = ase.build.bulk("SiC", "zincblende", a=4.36, cubic=True)
    atoms.rattle(0.05, seed=seed)
    return atoms


def test_a_solid_is_the_same_in_another_order_place_and_cell():
    atoms = crystal()
    other = atoms[[6, 1, 4, 3, 2, 5, 0, 7]]
    other.rotate(50, (3, 1, 2), rotate_cell=True)
    other.positions += (0.7, -1.9, 3.1)
    other.wrap()
    # Other lattice vectors of the same lattice.
    other.cell[2] += other.cell[0] - other.cell[1]
    one, same = distance_fingerprint(row_of(atoms)), distance_fingerprint(row_of(other))
    assert np.allclose(one, same, atol=1e-3)
    assert len(without_duplicates([row_of(atoms), row_of(other)], NOTHING)) == 1


def test_another_solid_and_another_cell_are_told_apart():
    strained = crystal()
    strained.set_cell(strained.cell.array * 1.02, scale_atoms=True)
    rows = [row_of(a) for a in (crystal(), crystal(1), strained, crystal() * (2, 1, 1))]
    assert without_duplicates(rows, NOTHING) == rows
    assert without_duplicates(rows, pd.DataFrame(rows[1:3])) == [rows[0], rows[3]]


@pytest.mark.parametrize("step", [1e-4, 1e-3])
def test_a_small_move_of_an_atom_moves_the_fingerprint_a_little(step):
    atoms = crystal()
    moved = atoms.copy()
    moved.positions[3] += (step, 0, 0)
    change = distance_fingerprint(row_of(atoms)) - distance_fingerprint(row_of(moved))
    assert 0 < np.abs(change).max() <= 1.5 * step + 2e-5


def test_a_layer_has_a_fingerprint():
    layer = ase.build.graphene("C2", vacuum=None)
    layer.pbc = (True, True, False)
    layer.cell[2] = 0.0
    turned = layer[[1, 0]]
    turned.positions += (0.4, 0.2, 5.0)
    one, same = (distance_fingerprint(row_of(a)) for a in (layer, turned))
    assert np.allclose(one, same, atol=1e-3)


def test_an_atom_alone_is_always_the_same():
    rows = [row_of(ase.Atoms("He", [[0, 0, z]])) for z in (0.0, 1.0)]
    assert without_duplicates(rows, NOTHING) == rows[:1]
    assert without_duplicates(rows, pd.DataFrame(rows[:1])) == []
