"""Arms of protons and cations: lengths, directions, room."""

import ase
import numpy as np
import pytest

from molsieve.crystals.ion_geometry import (
    HYDROXYL_ANGSTROM,
    cation_arms,
    cation_oxygen_angstrom,
    closest_angstrom,
    ion_positions,
    near_pairs,
    proton_arms,
)

CELL = (12.0, 12.0, 12.0)
OXYGEN = np.zeros((1, 3))


def bridge(degrees: float) -> np.ndarray:
    """(1, 2, 3) vectors from an oxygen to two T atoms at 1.6 Å, opening towards +y."""
    half = np.radians(degrees / 2)
    return 1.6 * np.array([[[np.sin(half), np.cos(half), 0], [-np.sin(half), np.cos(half), 0]]])


def framework_of(to_t: np.ndarray, *more: tuple[str, tuple[float, float, float]]) -> ase.Atoms:
    """The oxygen, its two T atoms and whatever is in the way."""
    symbols = ["O", "Si", "Al", *(symbol for symbol, _ in more)]
    positions = [(0, 0, 0), *to_t[0], *(position for _, position in more)]
    return ase.Atoms(symbols, positions=positions, cell=CELL, pbc=True)


def placed(atoms: ase.Atoms, to_t: np.ndarray) -> tuple[np.ndarray, bool]:
    position, room = ion_positions(atoms, "H", proton_arms(OXYGEN, to_t, np.array([0])))
    return position[0], bool(room[0])


def test_a_proton_points_away_from_both_t_atoms() -> None:
    position, room = placed(framework_of(bridge(145)), bridge(145))
    assert room and position == pytest.approx([0, -HYDROXYL_ANGSTROM, 0], abs=1e-9)


def test_a_proton_bends_from_what_is_in_the_way_and_keeps_its_bond() -> None:
    atoms = framework_of(bridge(145), ("O", (0, -2.3, 0.3)))
    position, room = placed(atoms, bridge(145))
    assert room and np.linalg.norm(position) == pytest.approx(HYDROXYL_ANGSTROM)
    assert position[2] < -0.2 and position[0] == pytest.approx(0)  # to the side with more room
    assert np.linalg.norm(position - [0, -2.3, 0.3]) >= 1.6


def test_a_straight_bridge_has_a_proton_too() -> None:
    """As at inversion centres in ABW and ACO: T–O–T of 180° has no side to point away from."""
    position, room = placed(framework_of(bridge(180), ("O", (0, -1.8, 0))), bridge(180))
    assert room and np.linalg.norm(position) == pytest.approx(HYDROXYL_ANGSTROM)
    assert position[0] == pytest.approx(0, abs=1e-9)
    assert np.linalg.norm(position - [0, -1.8, 0]) > 1.8  # not towards it, where 0.83 Å were left


def test_no_room_is_told() -> None:
    ring = [
        ("O", (0.0, 2.2 * np.cos(a), 2.2 * np.sin(a))) for a in np.linspace(0, 2 * np.pi, 9)[:8]
    ]
    assert not placed(framework_of(bridge(170), *ring), bridge(170))[1]


def test_what_comes_through_the_boundary_is_in_the_way() -> None:
    atoms = framework_of(bridge(145), ("O", (0, 12.0 - 2.3, 0)))
    position, room = placed(atoms, bridge(145))
    assert room and abs(position[2]) > 0.2


@pytest.mark.parametrize(("ion", "length"), [("Na", 2.37), ("K", 2.73), ("Ca", 2.35), ("Li", 2.11)])
def test_a_cation_is_as_far_from_two_oxygens_as_shannon_says(ion: str, length: float) -> None:
    to_o = 1.7 * np.array([[[0.81, 0.58, 0], [-0.81, 0.58, 0]]])
    atoms = ase.Atoms("AlO2", positions=[(0, 0, 0), *to_o[0]], cell=CELL, pbc=True)
    position, room = ion_positions(atoms, ion, cation_arms(np.zeros((1, 3)), to_o, ion))
    distances = np.linalg.norm(position[0] - to_o[0], axis=1)
    assert cation_oxygen_angstrom(ion) == pytest.approx(length, abs=0.011)
    assert room[0] and distances == pytest.approx([cation_oxygen_angstrom(ion)] * 2)
    assert position[0, 1] > to_o[0, 0, 1]  # beyond the oxygens, not between them and Al


def test_closest_distances_grow_with_the_ion() -> None:
    numbers = np.array([8, 14, 1, 11])
    proton, lithium, caesium = (closest_angstrom(ion, numbers) for ion in ("H", "Li", "Cs"))
    assert (proton[:2] < lithium[:2]).all() and (lithium[:2] < caesium[:2]).all()


def test_near_pairs_see_images() -> None:
    cell = ase.cell.Cell.new((5.0, 9.0, 3.0))
    points = np.array([[0.1, 0, 0], [4.9, 0, 0], [2.5, 4.0, 0]])
    near = near_pairs(cell, points, 1.0)
    assert near.tolist() == [[False, True, False], [True, False, False], [False] * 3]
    assert near_pairs(cell, points, 3.1).diagonal().all()
