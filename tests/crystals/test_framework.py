"""A framework in memory: what it holds, what it refuses, its supercell and primitive cell."""

from __future__ import annotations

import ase
import numpy as np
import pytest

from molsieve.crystals.framework import Framework, FrameworkError, primitive, supercell
from molsieve.crystals.known import known_framework


def refused(atoms: ase.Atoms) -> str:
    with pytest.raises(FrameworkError) as caught:
        Framework("made", atoms)
    return str(caught.value)


def with_atom(symbol: str, scaled: tuple[float, float, float]) -> ase.Atoms:
    atoms = known_framework("SOD").atoms.copy()
    return atoms + ase.Atoms(symbol, positions=[np.array(scaled) @ atoms.cell.array])


def bilayer() -> ase.Atoms:
    """Two honeycomb sheets of silica joined by oxygens: sound tetrahedra, but a layer."""
    a, height = 5.3, 1.6
    corners = [(1 / 3, 2 / 3), (2 / 3, 1 / 3)]
    middles = [(0.5, 0.0), (0.0, 0.5), (0.5, 0.5)]
    places = [("Si", *xy, z) for xy in corners for z in (height, -height)]
    places += [("O", *xy, z) for xy in middles for z in (height, -height)]
    places += [("O", *xy, 0.0) for xy in corners]
    cell = ase.Atoms(cell=[a, a, 20.0, 90, 90, 120]).cell
    return ase.Atoms(
        [place[0] for place in places],
        scaled_positions=[(x, y, z / 20.0) for _, x, y, z in places],
        cell=cell,
        pbc=True,
    )


def test_bonds_join_each_t_to_four_and_each_oxygen_to_two():
    framework = known_framework("ABW")
    bonds, n = framework.bonds, len(framework.atoms)
    assert (np.bincount(bonds.t, minlength=n)[framework.t_index] == 4).all()
    assert (np.bincount(bonds.o, minlength=n)[framework.o_index] == 2).all()


def test_atoms_are_a_private_copy():
    atoms = known_framework("SOD").atoms.copy()
    framework = Framework("mine", atoms)
    atoms.positions += 1.0
    assert not np.allclose(framework.atoms.positions, atoms.positions)


def test_atoms_outside_the_cell_keep_their_place_and_their_bonds():
    atoms = known_framework("ABW").atoms.copy()
    atoms.positions[::3] += 2 * atoms.cell.array[1]
    framework = Framework("ABW", atoms)
    assert np.array_equal(framework.atoms.positions, atoms.positions)
    bonds = framework.bonds
    vector = atoms.positions[bonds.o] + bonds.image @ atoms.cell.array - atoms.positions[bonds.t]
    assert np.linalg.norm(vector, axis=1).max() < 1.62


def test_a_proton_on_an_oxygen_belongs_to_the_framework():
    atoms = known_framework("SOD").atoms.copy()
    place = atoms.positions[20] + 0.96 * np.array([1.0, 0.0, 0.0])
    atoms.numbers[0] = 13
    framework = Framework("HSOD", atoms + ase.Atoms("H", positions=[place]))
    assert len(framework.o_index) == 24 and len(framework.t_index) == 12


@pytest.mark.parametrize("symbol", ["Al", "Ge", "B", "P", "Ti"])
def test_heteroatoms_are_t_atoms(symbol):
    atoms = known_framework("CHA").atoms.copy()
    atoms.symbols[0] = symbol
    assert len(Framework("CHA", atoms).t_index) == 36


def test_hydrogen_in_the_void():
    assert "is no proton of the framework" in refused(with_atom("H", (0.0, 0.0, 0.0)))


def test_a_t_atom_in_the_void():
    message = refused(with_atom("Si", (0.0, 0.0, 0.0)))
    assert "Si atom 37 at (0.0000, 0.0000, 0.0000) has 0 oxygen neighbours instead of 4" in message


def test_five_oxygens_around_a_t_atom():
    """A fifth oxygen 2.05 Å from silicon, over the face of its tetrahedron."""
    framework = known_framework("SOD")
    atoms = framework.atoms.copy()
    face = framework.bonds.o[framework.bonds.t == 0][:3]
    out = sum(atoms.get_distance(0, o, mic=True, vector=True) for o in face)
    place = atoms.positions[0] + 2.05 * out / np.linalg.norm(out)
    message = refused(atoms + ase.Atoms("O", positions=[place]))
    assert "overlap" in message or "has 5 oxygen neighbours instead of 4: it is no" in message


def test_two_atoms_on_one_point():
    atoms = known_framework("SOD").atoms
    assert "overlap: 0.00 Å apart" in refused(atoms + atoms[[20]])


def test_layers():
    message = refused(bilayer())
    assert "belongs to a layer, linked through oxygens in 2 directions instead of 3" in message


def test_not_periodic():
    atoms = known_framework("SOD").atoms.copy()
    atoms.pbc = (True, True, False)
    assert "not periodic in three directions" in refused(atoms)


def test_no_atoms():
    assert refused(ase.Atoms(cell=[5, 5, 5], pbc=True)) == "the structure has no atoms"


def test_not_a_number():
    atoms = known_framework("SOD").atoms.copy()
    atoms.positions[0, 0] = np.nan
    assert "not numbers" in refused(atoms)


def test_no_oxygen():
    assert "has no oxygen" in refused(ase.Atoms("Si", cell=[5, 5, 5], pbc=True))


def test_no_t_atom():
    assert "has no T atom" in refused(ase.Atoms("O", cell=[5, 5, 5], pbc=True))


def test_supercell():
    framework = known_framework("ABW")
    twice = supercell(framework, (2, 1, 3))
    assert len(twice.t_index) == 6 * len(framework.t_index)
    assert twice.name == "ABW"
    assert twice.density_t_per_1000_angstrom3 == pytest.approx(
        framework.density_t_per_1000_angstrom3
    )


@pytest.mark.parametrize(
    ("code", "factor"), [("SOD", 2), ("ABW", 2), ("CHA", 3), ("LTA", 1), ("quartz", 1)]
)
def test_primitive_cell(code, factor):
    framework = known_framework(code)
    small = primitive(framework)
    assert len(framework.t_index) == factor * len(small.t_index)
    assert len(primitive(supercell(framework, (1, 2, 1))).t_index) == len(small.t_index)


def test_primitive_cell_is_not_rotated():
    """Every atom of the primitive cell lies on an atom of the framework it came from."""
    framework = known_framework("CHA")
    small = primitive(framework)
    scaled = framework.atoms.cell.scaled_positions(small.atoms.positions)
    apart = scaled[:, None] - framework.atoms.get_scaled_positions()[None]
    nearest = np.abs(apart - np.rint(apart)).max(axis=2).min(axis=1)
    assert nearest.max() < 1e-6
