"""When a displaced geometry is no longer its molecule or its solid."""

from __future__ import annotations

import ase
import ase.build
import numpy as np
import pytest
import torch

from molsieve.chem.connectivity import bonds_of_geometry
from molsieve.geometries.soundness import Soundness, unsound
from molsieve.potential.graphs import AtomsBatch
from tests.morse_committee import cluster


def test_unsound_geometries_are_told():
    atoms = cluster("CO", 0)
    atoms.positions = [[0, 0, 0], [0, 0, 1.2]]
    bonds = bonds_of_geometry(atoms.numbers, atoms.positions)
    assert unsound(atoms.numbers, atoms.positions, bonds) is None
    assert unsound(atoms.numbers, atoms.positions * 0.5, bonds) == "two atoms too close"
    assert unsound(atoms.numbers, atoms.positions * 2.0, bonds) == "connectivity changed"


def test_structures_of_a_batch_are_judged_each_by_itself():
    atoms = [ase.build.molecule(n) for n in ("NH3", "C6H6", "CH3OH", "H2O", "CH4")]
    home = AtomsBatch.from_atoms(atoms)
    judge = Soundness(home)
    assert judge.faults(home) == [""] * 5
    scale = torch.tensor([1.0, 0.5, 1.5, 1.0, 1.0], dtype=torch.float64)
    place = home.positions * scale[home.structure, None]
    place[-1] = torch.nan
    found = judge.faults(home.with_positions(place))
    assert found == [
        "",
        "two atoms too close",
        "connectivity changed",
        "",
        "positions are not finite",
    ]


@pytest.mark.parametrize("seed", range(20))
def test_batched_judgement_is_that_of_one_by_one(seed):
    rng = np.random.default_rng(seed)
    atoms = [ase.build.molecule(n) for n in ("CH3OH", "C2H4", "HCOOH")]
    moved = [a.copy() for a in atoms]
    for a in moved:
        a.positions += rng.normal(0, 0.05 + 0.03 * (seed % 5), a.positions.shape)
    one = [
        unsound(b.numbers, b.positions, bonds_of_geometry(a.numbers, a.positions)) or ""
        for a, b in zip(atoms, moved, strict=True)
    ]
    assert Soundness(AtomsBatch.from_atoms(atoms)).faults(AtomsBatch.from_atoms(moved)) == one


def test_a_bond_may_stretch_further_where_it_is_allowed_to():
    home = AtomsBatch.from_atoms([ase.Atoms("CO", [[0, 0, 0], [0, 0, 1.2]])])
    stretched = home.with_positions(home.positions * 1.6)
    assert Soundness(home).faults(stretched) == ["connectivity changed"]
    assert Soundness(home, stretch=1.5).faults(stretched) == [""]
    assert Soundness(home, stretch=1.5).faults(home.with_positions(home.positions * 1.9)) != [""]


def test_solids_are_judged_through_their_boundaries():
    silica = ase.build.bulk("SiC", "zincblende", a=4.36)
    home = AtomsBatch.from_atoms([silica, silica.repeat(2)])
    judge = Soundness(home)
    assert len(judge.bonds.centre) == 8 + 64
    assert judge.faults(home) == ["", ""]
    wide = home.cell.clone()
    wide[0] *= 1.35
    inverse = torch.linalg.inv(home.cell)
    place = torch.einsum(
        "ni,nij,njk->nk", home.positions, inverse[home.structure], wide[home.structure]
    )
    grown = AtomsBatch(
        home.numbers, place, home.structure, wide, home.pbc, home.charge, home.multiplicity
    )
    assert judge.faults(grown) == ["connectivity changed", ""]
    near = home.positions.clone()
    # Silicon towards the image of a carbon in the next cell, through the boundary.
    near[2] = near[2] - 0.4 * (near[3] - near[2])
    found = judge.faults(home.with_positions(near))
    assert found[0] == "" and found[1]
